"""Client State Indication (XEP-0352): what an inactive client is spared, and what it never waits for."""

import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainbow_xmpp.plugin import Layer
from rainbow_xmpp.plugins.client_state import ClientState
from rainbow_xmpp.plugins.client_state.quiet import Bounds, Quiet
from rainbow_xmpp.plugins.ping import Ping
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import names
from tests.plugins.fast_client import by_password, person

INACTIVE, ACTIVE = f"<inactive xmlns='{names.CSI}'/>", f"<active xmlns='{names.CSI}'/>"
ME = "ann@rainbow.test/phone"
TYPING = f"<composing xmlns='{names.CHATSTATES}'/>"
PAUSED = f"<paused xmlns='{names.CHATSTATES}'/>"
NO_STORE = f"<no-store xmlns='{names.HINTS}'/>"


def message(inside: str, more: str = "type='chat'", sender: str = "bob@rainbow.test/desk") -> str:
    return f"<message xmlns='jabber:client' from='{sender}' to='{ME}' {more}>{inside}</message>"


def presence(more: str = "", inside: str = "", sender: str = "bob@rainbow.test/desk") -> str:
    return f"<presence xmlns='jabber:client' from='{sender}' to='{ME}' {more}>{inside}</presence>"


def event(sender: str, more: str = "") -> str:
    items = f"<event xmlns='{names.PUBSUB_EVENT}'><items node='n'><item id='1'/></items></event>"
    return message(items + more, "type='headline'", sender)


def copy(inside: str, way: str = "sent") -> str:
    forwarded = (
        f"<forwarded xmlns='{names.FORWARD}'>{message(inside, sender='ann@rainbow.test/desk')}</forwarded>"
    )
    return message(f"<{way} xmlns='{names.CARBONS}'>{forwarded}</{way}>", sender="ann@rainbow.test")


UNIMPORTANT = {
    "presence": presence(),
    "a status": presence(inside="<show>away</show><status>at lunch</status>"),
    "somebody goes": presence("type='unavailable'"),
    "somebody in a room": presence(inside=f"<x xmlns='{names.MUC_USER}'><item affiliation='none'/></x>"),
    "somebody types": message(TYPING),
    "somebody stops typing": message(PAUSED + NO_STORE + "<thread>t</thread>"),
    "somebody types in a room": message(TYPING, "type='groupchat'", "room@rooms.rainbow.test/bob"),
    "a copy of somebody typing": copy(TYPING),
    "news of somebody's node": event("bob@rainbow.test"),
}
IMPORTANT = {
    "words": message("<body>hi</body>"),
    "words with a state": message(f"<body>hi</body><active xmlns='{names.CHATSTATES}'/>"),
    "an empty message": message(""),
    "a subject": message("<subject>s</subject>", "type='groupchat'"),
    "a receipt": message(f"<received xmlns='{names.RECEIPTS}' id='1'/>"),
    "a receipt with a state": message(f"<received xmlns='{names.RECEIPTS}' id='1'/>{TYPING}"),
    "a marker": message("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"),
    "a call": message("<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>"),
    "a copy of words": copy("<body>hi</body>", "received"),
    "a copy of nothing": message(f"<sent xmlns='{names.CARBONS}'/>", sender="ann@rainbow.test"),
    "an error": message(TYPING, "type='error'"),
    "news of an own node": event("ann@rainbow.test"),
    "news with words": event("bob@rainbow.test", "<body>new</body>"),
    "a request": f"<iq xmlns='jabber:client' to='{ME}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    "an answer": f"<iq xmlns='jabber:client' to='{ME}' type='result' id='1'/>",
    "somebody asks to subscribe": presence("type='subscribe'"),
    "somebody allows it": presence("type='subscribed'"),
    "a refused presence": presence("type='error'"),
    "the own presence": presence(sender=ME),
    "who one is in a room": presence(
        inside=f"<x xmlns='{names.MUC_USER}'><item affiliation='none'/><status code='110'/></x>"
    ),
}


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([ClientState, Ping]) as running:
        yield running


async def inactive(server: TestServer) -> Client:
    ann = await server.login("ann@acme", resource="phone")
    ann.send(INACTIVE)
    return ann


def sent(client: Client, *stanzas: str) -> list[bytes]:
    """What goes out when the server has these stanzas for a client."""
    for stanza in stanzas:
        client.session.wire.send(stanza.encode())
    unread, client.wire.unread = client.wire.unread, []
    return unread


def numbered(number: int, sender: str = "bob@rainbow.test/desk") -> str:
    return presence(f"id='{number}'", sender=sender)


def ids(stanzas: list[bytes]) -> list[int]:
    return [int(re.findall(rb" id='(\d+)'", stanza)[0]) for stanza in stanzas]


# What waits and what does not


@pytest.mark.parametrize("what", UNIMPORTANT)
async def test_what_can_wait_waits_until_the_client_is_active(server: TestServer, what: str) -> None:
    ann = await inactive(server)
    assert sent(ann, UNIMPORTANT[what]) == []
    ann.send(ACTIVE)
    assert sent(ann) == [UNIMPORTANT[what].encode()]
    assert sent(ann, UNIMPORTANT[what]) == [UNIMPORTANT[what].encode()]


@pytest.mark.parametrize("what", IMPORTANT)
async def test_what_matters_goes_out_at_once_with_what_waited_before_it(
    server: TestServer, what: str
) -> None:
    ann = await inactive(server)
    waits = UNIMPORTANT["presence"]
    assert sent(ann, waits) == []
    assert sent(ann, IMPORTANT[what]) == [waits.encode(), IMPORTANT[what].encode()]
    assert sent(ann, waits) == []  # it is still inactive


async def test_the_last_presence_and_state_of_each_sender_is_kept_where_it_came(server: TestServer) -> None:
    ann = await inactive(server)
    eve = "eve@rainbow.test/desk"
    assert sent(ann, numbered(1), numbered(2, eve), message(TYPING), numbered(3), message(PAUSED)) == []
    ann.send(ACTIVE)
    assert sent(ann) == [stanza.encode() for stanza in (numbered(2, eve), numbered(3), message(PAUSED))]
    assert server.node.counters.stanzas_spared == 2


async def test_news_of_nodes_do_not_replace_each_other(server: TestServer) -> None:
    ann = await inactive(server)
    assert sent(ann, event("bob@rainbow.test"), event("bob@rainbow.test")) == []
    ann.send(ACTIVE)
    assert len(sent(ann)) == 2


async def test_people_meet_it_in_their_rosters_and_chats(server: TestServer) -> None:
    bob = await server.person("bob@acme")
    await server.subscribe("ann@rainbow.test", to=bob)
    ann = await inactive(server)
    desk = await server.login("bob@acme", resource="desk")
    desk.send("<presence><show>away</show></presence>")
    desk.send(f"<message to='{ann.jid}' type='chat'>{TYPING}</message>")
    assert [stanza for stanza in await ann.rest() if "bob" in stanza.get("from", "")] == []
    desk.say("hello", to=ann.jid)
    came = [stanza for stanza in await ann.rest() if "bob" in stanza.get("from", "")]
    assert [stanza.tag.partition("}")[2] for stanza in came][-2:] == ["message", "message"]
    assert came[-1].findtext("{jabber:client}body") == "hello"
    shown = [stanza.findtext("{jabber:client}show") for stanza in came if stanza.tag.endswith("}presence")]
    assert shown in ([], ["away"])


# When it ends


async def test_what_waits_comes_before_the_answer_to_what_is_asked_next(server: TestServer) -> None:
    """§5.1."""
    ann = await inactive(server)
    sent(ann, numbered(1))
    ann.send(ACTIVE)
    ann.send("<iq type='get' id='2' to='rainbow.test'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert ids(await ann.rest_bytes()) == [1, 2]


async def test_nothing_waits_for_longer_than_is_configured(server: TestServer) -> None:
    ann, bob = await inactive(server), await server.login("bob@acme")
    bob.send(INACTIVE)
    sent(ann, numbered(1))
    server.clock.advance(200)
    sent(bob, numbered(2))
    server.clock.advance(99)
    await server.run_job(ClientState.send_what_waited)
    assert sent(ann) == []
    server.clock.advance(1)
    await server.run_job(ClientState.send_what_waited)
    assert ids(sent(ann)) == [1]
    assert sent(bob, numbered(3)) == []
    server.reconfigure({ClientState: ClientState.Options(wait_s=15)})
    await server.run_job(ClientState.send_what_waited)
    assert ids(sent(bob)) == [3]
    assert sent(ann, numbered(4)) == []  # both are still inactive


@pytest.mark.parametrize("options", [{"max_stanzas": 3}, {"max_bytes": 1024}])
async def test_more_than_is_configured_sends_all(server: TestServer, options: dict[str, int]) -> None:
    server.reconfigure({ClientState: ClientState.Options(**options)})  # type: ignore[arg-type]
    ann = await inactive(server)
    senders = [f"p{number}@rainbow.test/{'x' * 250}" for number in range(4)]
    for number in range(100):  # of one sender only the last one waits, however many come
        assert sent(ann, numbered(number, senders[0])) == []
    came = sent(ann, *(numbered(number, sender) for number, sender in enumerate(senders[1:])))
    assert ids(came)[:3] == [99, 0, 1]


async def test_a_stream_that_ends_takes_along_what_waits(server: TestServer) -> None:
    ann, bob = await inactive(server), await server.login("bob@acme")
    sent(ann, numbered(1))
    ann.session.end_by_administrator()
    await server.settle()
    assert ids(ann.wire.unread) == [1]
    bob.send(INACTIVE)
    sent(bob, numbered(2))
    await bob.leave()
    assert server.node.counters.sessions_inactive == 0
    assert server.plugin(ClientState)._waiting == {}


async def test_another_connection_begins_active_and_gets_what_waited(server: TestServer) -> None:
    """§5.2: below may be stream management, which has to have it, whatever became of the connection."""
    ann = await inactive(server)
    ann.session.wire.below = counting = Counting(ann.wire)  # type: ignore[attr-defined]
    sent(ann, numbered(1))
    other = MemoryWire(lambda: None)
    ann.session.move_to(other, "en")
    assert ids(counting.sent) == [1]
    ann.session.wire.send(numbered(2).encode())
    assert ids(other.unread) == [2]
    assert ann.session.wire is counting
    assert server.node.counters.sessions_inactive == 0


async def test_saying_it_twice_or_without_a_reason_changes_nothing(server: TestServer) -> None:
    ann = await server.login("ann@acme", resource="phone")
    ann.send(ACTIVE)
    link = ann.session.wire
    ann.send(INACTIVE)
    ann.send(INACTIVE)
    assert server.node.counters.sessions_inactive == 1
    sent(ann, numbered(1))
    ann.send(ACTIVE)
    ann.send(ACTIVE)
    assert ids(sent(ann)) == [1]
    assert ann.session.wire is link  # an active client has nothing in its way
    assert server.node.counters.sessions_inactive == 0


async def test_a_plugin_that_stops_leaves_nothing_behind(server: TestServer) -> None:
    ann = await inactive(server)
    sent(ann, numbered(1))
    await server.node.plugins.stop()
    assert ids(sent(ann)) == [1]
    assert not isinstance(ann.session.wire, Layer)


async def test_whom_the_plugin_serves_no_longer_is_active(server: TestServer) -> None:
    ann = await inactive(server)
    sent(ann, numbered(1))
    server.reconfigure({ClientState: ClientState.Options(companies=("other",))})
    assert ids(sent(ann)) == [1]
    ann.send(INACTIVE)
    assert ids(sent(ann, numbered(2))) == [2]


# What is announced, and Bind 2


async def test_it_is_announced_to_those_who_have_logged_in_and_for_inline_binding(server: TestServer) -> None:
    await person(server)
    visitor = server.knock()
    assert visitor.features.find(f"{{{names.CSI}}}csi") is None
    offered = visitor.features.iter(f"{{{names.BIND2}}}feature")
    assert names.CSI in [feature.get("var") for feature in offered]
    await by_password(visitor, inline=f"<bind xmlns='{names.BIND2}'/>")
    assert (await visitor.receive()).find(f"{{{names.CSI}}}csi") is not None
    assert visitor.session is not None
    visitor.session.wire.send(numbered(1).encode())
    assert ids(visitor.unread) == [1]


async def test_a_client_that_nobody_looks_at_need_not_be_active_first(server: TestServer) -> None:
    await person(server)
    visitor = server.knock()
    await by_password(visitor, inline=f"<bind xmlns='{names.BIND2}'>{INACTIVE}</bind>")
    assert (await visitor.receive()).tag.endswith("}features")  # of the stream, which does not wait
    assert visitor.session is not None
    visitor.session.wire.send(numbered(1).encode())
    assert visitor.unread == []
    visitor.session.receive(ACTIVE.encode())
    assert ids(visitor.unread) == [1]


# Any order


class Counting(Layer):
    """Remembers what went through."""

    def __init__(self, below: MemoryWire) -> None:
        super().__init__(below)
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        super().send(data)


class Keeping:
    """Keeps no clients but one."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.is_waiting = False
        self.count_spared = 0

    def waits(self, quiet: Quiet, is_waiting: bool) -> None:
        assert is_waiting is not self.is_waiting
        self.is_waiting = is_waiting

    def spared(self) -> None:
        self.count_spared += 1

    def over(self, session: object) -> None: ...


class Bound:
    """As much of a session as the layer looks at."""

    def __init__(self) -> None:
        self.wire = MemoryWire(lambda: None)
        self.bare, self.full = "ann@rainbow.test", ME


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("presence"), st.sampled_from("abcd")),
        st.tuples(st.just("typing"), st.sampled_from("abcd")),
        st.tuples(st.just("words"), st.sampled_from("abcd")),
        st.tuples(st.just("flush"), st.just("")),
    ),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(steps=STEPS, most=st.integers(1, 6))
def test_whatever_comes_nothing_important_is_late_lost_or_out_of_order(
    steps: list[tuple[str, str]], most: int
) -> None:
    """The client ends up with the same last presence of everybody, and each sender's stanzas in their order."""
    session = Bound()
    wire = session.wire
    keeper = Keeping(Bounds(most, 10_000))
    quiet = Quiet(session, keeper)  # type: ignore[arg-type]
    last: dict[tuple[str, str], int] = {}
    made = 0
    for number, (kind, sender) in enumerate(steps):
        jid = f"{sender}@rainbow.test/x"
        if kind == "flush":
            quiet.flush()
            continue
        made += 1
        inside = {"typing": TYPING, "words": "<body>hi</body>"}.get(kind)
        stanza = numbered(number, jid) if inside is None else message(inside, f"id='{number}'", jid)
        quiet.send(stanza.encode())
        last[kind, sender] = number
        if kind == "words":
            assert ids(wire.unread)[-1] == number
        assert keeper.is_waiting is (made - keeper.count_spared > len(wire.unread))
        assert made - keeper.count_spared - len(wire.unread) <= most
    quiet.flush()
    came = ids(wire.unread)
    assert len(came) == made - keeper.count_spared
    assert came == sorted(came)
    assert set(last.values()) <= set(came)
    assert {number for number, (kind, _) in enumerate(steps) if kind == "words"} <= set(came)
