"""Regions in memory for tests, with a border that delays, loses, doubles and is cut as it is told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rainbow_xmpp.border import ANSWER_S, MOST_BYTES, Refused, Serve, TooLarge, Unreachable, is_for_edges

if TYPE_CHECKING:
    from rainbow_xmpp.testing.server import TestServer

log = logging.getLogger(__name__)

_QUIET = 3
"""So many looks in a row must find nothing under way: tasks begin others."""


class FakeBorders:
    """What the borders of a test hang on. `crossed` keeps what went over: (from, to, service, bytes)."""

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        """Each way."""
        self.cut: set[frozenset[str]] = set()
        """Pairs of regions that do not reach each other."""
        self.lost_answers = 0
        """So many of the next answers are lost: the request has been served."""
        self.crossed: list[tuple[str, str, str, bytes]] = []
        self.under_way = 0
        """So many questions are on their way, or being answered."""
        self._serving: dict[tuple[str, str], Serve] = {}
        self._regions: list[str] = []
        self._edges: set[str] = set()

    async def settle(self, servers: Sequence[TestServer]) -> None:
        """Nothing is on its way between these, and none of them has anything left to do but to wait."""
        quiet = 0
        while quiet < _QUIET:
            for server in servers:
                await server.settle()
            is_cut_off = bool(self.cut)
            is_busy = self.under_way or any(not is_cut_off and _is_carrying(each) for each in servers)
            quiet = 0 if is_busy else quiet + 1
            await asyncio.sleep(0.001 if is_busy else 0)

    def border(self, region: str, *, keeps_data: bool = True) -> FakeBorder:
        """The end of one region."""
        if keeps_data:
            self._regions.append(region)
        else:
            self._edges.add(region)
        return FakeBorder(self, region)

    def others(self, region: str) -> Sequence[str]:
        """The regions with data beside this one."""
        return [name for name in self._regions if name != region]

    def serve(self, region: str, service: str, handler: Serve) -> None:
        """Answer what is asked of a region."""
        self._serving[region, service] = handler

    def leave(self, region: str) -> None:
        """A region serves nothing any more."""
        for served in [each for each in self._serving if each[0] == region]:
            del self._serving[served]

    async def carry(self, origin: str, region: str, service: str, request: bytes) -> bytes:
        """There and back."""
        self.under_way += 1
        try:
            return await self._carry(origin, region, service, request)
        finally:
            self.under_way -= 1

    async def _carry(self, origin: str, region: str, service: str, request: bytes) -> bytes:
        await self._pass(origin, region, service, request)
        handler = self._serving.get((region, service))
        if handler is None:
            raise Unreachable(f"{region} does not serve {service}")
        if origin in self._edges and not is_for_edges(service):
            raise Refused(region)
        try:
            answer = await handler(origin, request)
        except Refused:
            raise Refused(region) from None
        except Exception as error:
            log.exception("%s could not be served to %s", service, origin)
            raise Refused(region) from error
        if len(answer) > MOST_BYTES:
            raise Refused(region)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unreachable(region)
        await self._pass(region, origin, service, answer)
        return answer

    async def _pass(self, origin: str, region: str, service: str, data: bytes) -> None:
        await asyncio.sleep(self.delay_s)
        if frozenset((origin, region)) in self.cut:
            raise Unreachable(region)
        self.crossed.append((origin, region, service, data))


class FakeBorder:
    """A `Border` of `FakeBorders`."""

    def __init__(self, borders: FakeBorders, here: str) -> None:
        self._borders = borders
        self.here = here

    @property
    def others(self) -> Sequence[str]:
        return self._borders.others(self.here)

    async def ask(self, region: str, service: str, request: bytes, *, within_s: float = ANSWER_S) -> bytes:
        if len(request) > MOST_BYTES:
            raise TooLarge(region)
        try:
            async with asyncio.timeout(within_s):
                return await self._borders.carry(self.here, region, service, request)
        except TimeoutError:
            raise Unreachable(region) from None

    async def serve(self, service: str, handler: Serve) -> None:
        self._borders.serve(self.here, service, handler)

    async def close(self) -> None:
        self._borders.leave(self.here)


def _is_carrying(server: TestServer) -> bool:
    reach = server.node.neighbours.reach
    return reach is not None and reach.carrier.is_busy
