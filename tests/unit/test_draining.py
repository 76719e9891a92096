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
        self.is_awaited = False

    def goodbye(self, one: int) -> None:
        self.here.remove(one)
        self.gone[-1].append(one)

    def connected(self) -> list[int]:
        self.gone.append([])
        return list(self.here)

    async def let_go(self, spread_s: float) -> None:
        await let_go(self.connected, lambda: self.is_awaited, self.goodbye, spread_s)


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


async def test_who_comes_in_meanwhile_is_waited_for_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "SLICE_S", 0.01)
    crowd = Crowd(0)
    crowd.is_awaited = True
    leaving = asyncio.create_task(crowd.let_go(5))
    await asyncio.sleep(0.05)
    crowd.here.append(99)
    crowd.is_awaited = False
    async with asyncio.timeout(4):
        await leaving
    assert crowd.gone[-2:] == [[99], []] or [99] in crowd.gone


async def test_nobody_is_waited_for_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(4):
        await Crowd(0).let_go(60)
