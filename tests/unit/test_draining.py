"""Clients are let go a few at a time."""

import asyncio

import pytest

from rainbow_xmpp.transport import draining
from rainbow_xmpp.transport.draining import let_go


class Crowd:
    """Everybody who is connected, and when they were let go (in slices)."""

    def __init__(self, number: int) -> None:
        self.here = list(range(number))
        self.gone: list[list[int]] = []

    def goodbye(self, one: int) -> None:
        self.here.remove(one)
        self.gone[-1].append(one)

    def connected(self) -> list[int]:
        self.gone.append([])
        return list(self.here)

    async def let_go(self, spread_s: float) -> None:
        await let_go(self.connected, self.goodbye, spread_s)


async def test_without_time_for_it_everybody_goes_at_once() -> None:
    crowd = Crowd(7)
    await crowd.let_go(0)
    assert crowd.gone == [list(range(7))]


async def test_everybody_goes_in_slices_and_nobody_is_left_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draining, "SLICE_S", 0.02)
    crowd = Crowd(20)
    await crowd.let_go(0.2)
    assert not crowd.here
    assert max(map(len, crowd.gone)) <= 10, "however late the machine is, not all at once"
    assert len([each for each in crowd.gone if each]) >= 3


async def test_who_comes_in_meanwhile_is_let_go_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "SLICE_S", 0.01)
    crowd = Crowd(0)
    leaving = asyncio.create_task(crowd.let_go(0.3))
    await asyncio.sleep(0.05)
    crowd.here.append(99)
    await leaving
    assert [99] in crowd.gone
    assert not crowd.here
