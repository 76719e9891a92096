"""The counters and the queue of stream management: in whatever order things happen, nothing is lost or repeated."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rainbow_xmpp.stream_management.elements import WRAP, read_count
from rainbow_xmpp.stream_management.unacked import Unacked

COUNTS = st.one_of(st.integers(0, 5), st.integers(WRAP - 5, WRAP + 5), st.integers(0, 2**40))


@settings(max_examples=300, deadline=None)
@given(
    began=COUNTS,
    steps=st.lists(
        st.tuples(st.sampled_from(("send", "arrive", "acknowledge", "lose")), st.integers(1, 4)), max_size=60
    ),
)
def test_whatever_happens_each_stanza_arrives_once_and_in_order(
    began: int, steps: list[tuple[str, int]]
) -> None:
    """The client handles what arrives, acknowledges when it likes, and resumes after every loss."""
    queue = Unacked()
    queue.acked = began
    on_the_way: list[bytes] = []
    handled: list[bytes] = []
    sent = 0

    def acknowledge() -> None:
        count = queue.newly((began + len(handled)) % WRAP)
        assert count is not None
        assert count <= len(queue)
        queue.forget(count)

    for step, times in steps:
        for _ in range(times):
            if step == "send":
                stanza = b"%d" % sent
                sent += 1
                queue.add(stanza, 0)
                on_the_way.append(stanza)
            elif step == "arrive" and on_the_way:
                handled.append(on_the_way.pop(0))
        if step == "acknowledge":
            acknowledge()
        elif step == "lose":
            acknowledge()  # <resume h=''/>
            on_the_way = list(queue.stanzas)
        assert queue.bytes == sum(map(len, queue.stanzas))
        assert queue.sent == began + sent
        assert [each.number for each in queue] == list(range(queue.acked, queue.sent))
    acknowledge()
    handled += queue.stanzas
    assert handled == [b"%d" % number for number in range(sent)]


@given(began=COUNTS, length=st.integers(0, 20), h=st.integers(0, WRAP - 1))
def test_what_was_not_sent_is_never_acknowledged(began: int, length: int, h: int) -> None:
    queue = Unacked()
    queue.acked = began
    for _ in range(length):
        queue.add(b"x", 0)
    count = queue.newly(h)
    honest = {(began + more) % WRAP for more in range(length + 1)}
    assert (count is not None and count <= length) is (h in honest)


def test_an_older_count_says_nothing_and_a_higher_one_is_a_lie() -> None:
    queue = Unacked()
    for _ in range(10):
        queue.add(b"x", 0)
    queue.forget(8)
    assert queue.newly(5) is None
    assert queue.newly(8) == 0
    assert (queue.newly(11) or 0) > len(queue)


@given(st.text(max_size=12))
def test_counts_are_unsigned_ints(text: str) -> None:
    count = read_count(text)
    plain = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < WRAP
    assert (count is not None) is plain


def test_a_missing_count_is_none() -> None:
    assert read_count(None) is None
    assert read_count("4294967295") == WRAP - 1
