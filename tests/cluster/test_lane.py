"""Lanes between nodes: each item once and in order, whatever the bus loses, doubles or turns around."""

import random

import pytest

from rainbow_xmpp.cluster import lane
from rainbow_xmpp.cluster.items import Down, Hello, Item, Snapshot, Stanza, decode
from rainbow_xmpp.cluster.lane import Incoming, Outgoing, Overdue
from rainbow_xmpp.cluster.peer import Peer


def stanza(number: int, size: int = 1) -> Stanza:
    return Stanza(f"ann@x/{number}", b"x" * size)


def test_items_go_in_frames_that_the_bus_takes() -> None:
    out = Outgoing()
    for number in range(lane.MOST_ITEMS + 5):
        out.put(stanza(number))
    out.put(stanza(1, lane.MOST_FRAME_BYTES + 1))
    out.put(stanza(2))
    batches = list(out.batches())
    assert [(first, len(items)) for first, items in batches] == [(1, 200), (201, 5), (206, 1), (207, 1)]
    assert out.is_waiting and not out.has_more and list(out.batches()) == []


def test_what_is_acknowledged_is_forgotten_and_the_rest_goes_again() -> None:
    out = Outgoing()
    for number in range(4):
        out.put(stanza(number))
    assert [batch.first for batch in out.batches()] == [1]
    out.got(2)
    out.got(1)
    out.got(99)  # more than was sent: nobody may say that
    assert not out.is_waiting
    out.put(stanza(4))
    out.put(Down("ann@x/4"))
    list(out.batches())
    out.got(5)
    out.send_again()
    assert list(out.batches()) == [(6, [Down("ann@x/4")])]
    assert out.undelivered() == []


def test_a_node_that_is_too_far_behind_is_told_everything_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "MOST_KEPT", 3)
    out = Outgoing()
    for number in range(3):
        out.put(stanza(number))
    with pytest.raises(Overdue):
        out.put(stanza(3))
    monkeypatch.setattr(lane, "MOST_KEPT_BYTES", 10)
    with pytest.raises(Overdue):
        Outgoing().put(stanza(0, 11))


def test_nothing_is_taken_twice_and_nothing_out_of_order() -> None:
    back = Incoming()
    one, two, three = stanza(1), stanza(2), stanza(3)
    assert back.take("a", 2, [two]) is None
    assert back.take("a", 1, [one, two]) == [one, two]
    assert back.take("a", 2, [two, three]) == [three]
    assert back.take("a", 1, [one]) == []
    assert back.take("a", 5, [one]) is None
    assert back.take("b", 1, [three]) == [three]


class Bus:
    """Two peers and what is between them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.on_the_way: list[tuple[int, bytes]] = []
        hellos = Hello(1, 1, "one"), Hello(1, 2, "two")
        self.peers = [
            Peer(
                hellos[1 - me],
                hellos[me],
                lambda data, me=me: self._publish(me, data),
                lambda: [Snapshot()],
            )  # type: ignore[misc]
            for me in (0, 1)
        ]
        self.got: tuple[list[Item], list[Item]] = ([], [])

    def _publish(self, sender: int, data: bytes) -> None:
        for _ in range(self._chance.choices((0, 1, 2), (3, 6, 1))[0]):
            self.on_the_way.append((1 - sender, data))

    def deliver(self, now: float) -> None:
        """What is on its way arrives, sometimes turned around."""
        arriving, self.on_the_way = self.on_the_way, []
        if self._chance.random() < 0.2:
            self._chance.shuffle(arriving)
        for receiver, data in arriving:
            frame = decode(data)
            assert frame is not None and hasattr(frame, "items")
            self.got[receiver].extend(self.peers[receiver].take(frame, now))


@pytest.mark.parametrize("seed", range(20))
def test_two_nodes_hear_each_other_over_a_bus_that_loses_a_third(seed: int) -> None:
    chance = random.Random(seed)
    bus, said = Bus(chance), ([Snapshot()], [Snapshot()])
    now = 0.0
    for turn in range(400):
        now += 0.25
        for me, peer in enumerate(bus.peers):
            if turn < 200:
                for _ in range(chance.randrange(4)):
                    item = stanza(len(said[me]))
                    said[me].append(item)  # type: ignore[arg-type]
                    peer.put(item)
            peer.flush(now)
            peer.tick(now)
        bus.deliver(now)
    assert bus.got == (said[1], said[0])
    assert [peer.undelivered() for peer in bus.peers] == [[], []]


def test_what_is_not_of_this_language_is_not_understood() -> None:
    assert [decode(data) for data in (b"", b"\xc1", b"\x93\xa1m\x01\x02", b"<message/>")] == [None] * 4
