"""How much one session may send: stanzas and bytes, a burst at once and so much a second for long."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from rainbow_xmpp.config import Limits
from rainbow_xmpp.session import Session
from rainbow_xmpp.session.limits import Pace, xml_limits
from rainbow_xmpp.xml import DEFAULT_LIMITS


class Loop(asyncio.SelectorEventLoop):
    """Its time jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1_000_000.0

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def _run_once(self) -> None:
        loop = cast(Any, self)
        if not loop._ready and loop._scheduled:
            self._now = max(self._now, loop._scheduled[0].when())
        loop_run_once = super()._run_once  # type: ignore[misc]
        loop_run_once()


class Home:
    bare = "ann@localhost"


class Wire:
    """Counts how often it was told to rest."""

    is_paused = False
    rests = 0

    def pause(self) -> None:
        self.is_paused = True

    def slowed(self) -> None:
        self.rests += 1

    def resume(self) -> None:
        self.is_paused = False


class Sender:
    """A session, and when each of its stanzas was handled, counted from the first moment."""

    def __init__(self, loop: Loop, pace: Pace) -> None:
        self.loop = loop
        self.wire = Wire()
        self.handled: list[float] = []
        began = loop.time()
        self.session = Session(
            cast(Any, None),
            "ann@localhost/x",
            cast(Any, Home()),
            cast(Any, self.wire),
            lambda session, data: self.handled.append(loop.time() - began),
            pace,
        )

    def send(self, *stanzas: bytes) -> None:
        """Hand in these stanzas at once, and wait until all are handled."""

        async def work() -> None:
            for stanza in stanzas:
                self.session.receive(stanza)
            await self.session.idle()

        self.loop.run_until_complete(work())


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def test_without_limits_nobody_rests(loop: Loop) -> None:
    sender = Sender(loop, Pace(0, 1, 0, 1))
    sender.send(*[b"x" * 100_000] * 1000)
    assert sender.handled == [0.0] * 1000
    assert sender.wire.rests == 0


def test_stanzas_beyond_the_burst_come_at_their_pace(loop: Loop) -> None:
    sender = Sender(loop, Pace(10, 20, 0, 1))
    sender.send(*[b"x"] * 60)
    # One burst, one for the time before, and the other 20 at 10 a second.
    assert sender.handled[39] == 0
    assert sender.handled[-1] == pytest.approx(2, abs=0.2)
    assert not sender.wire.is_paused


def test_bytes_beyond_the_burst_come_at_their_pace(loop: Loop) -> None:
    sender = Sender(loop, Pace(0, 1, 1000, 5000))
    sender.send(*[b"x" * 500] * 30)
    assert sender.handled[19] == 0
    assert sender.handled[-1] == pytest.approx(5, abs=0.2)


def test_a_stanza_larger_than_the_burst_is_handled_and_paid_for(loop: Loop) -> None:
    sender = Sender(loop, Pace(0, 1, 1000, 10_000))
    sender.send(b"x" * 30_000, b"x" * 30_000, b"y")
    assert sender.handled[0] == 0  # the time before was worth that
    assert sender.handled[1] == pytest.approx(30, abs=0.2)
    assert sender.handled[2] == pytest.approx(30, abs=0.3)


def test_both_are_held_to_the_stricter_one(loop: Loop) -> None:
    sender = Sender(loop, Pace(10, 10, 1000, 100_000))
    sender.send(*[b"x"] * 40)
    assert sender.handled[-1] == pytest.approx(2, abs=0.2)


def test_who_is_silent_earns_one_burst_and_not_more(loop: Loop) -> None:
    sender = Sender(loop, Pace(10, 10, 0, 1))
    sender.send(*[b"x"] * 20)
    loop.pass_time(3600)
    before = len(sender.handled)
    sender.send(*[b"x"] * 30)
    late = [at for at in sender.handled[before:] if at > sender.handled[before]]
    assert len(late) == 20


def test_a_new_pace_counts_at_once(loop: Loop) -> None:
    sender = Sender(loop, Pace(0, 1, 0, 1))
    sender.send(*[b"x"] * 100)
    sender.session.use_pace(Pace(10, 10, 0, 1))
    sender.send(*[b"x"] * 40)
    assert sender.handled[-1] == pytest.approx(2, abs=0.2)
    sender.session.use_pace(Pace(0, 1, 0, 1))
    began = loop.time()
    sender.send(*[b"x"] * 1000)
    assert loop.time() == began


def test_who_rests_hears_of_a_new_pace(loop: Loop) -> None:
    sender = Sender(loop, Pace(0, 1, 1, 1))
    loop.call_later(2, sender.session.use_pace, Pace(0, 1, 0, 1))
    sender.send(b"x", b"x" * 10_000, b"x" * 10_000)  # at the old pace hours
    assert sender.handled[-1] < 10


def test_the_shipped_limits_are_those_the_scanner_knows_by_heart() -> None:
    limits = Limits()
    assert xml_limits(limits.xml, limits.stanza_bytes) is DEFAULT_LIMITS
    before = xml_limits(limits.xml_before_login, limits.stanza_bytes_before_login)
    assert (before.max_bytes, before.depth, before.elements) == (10_240, 16, 64)
