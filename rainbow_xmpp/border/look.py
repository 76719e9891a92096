"""Looks at another region: whether it answers, how quickly, and what its clock says."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rainbow_xmpp.border.nats import LOOK_FOR_EDGES, NatsBorder

TIMES = 3
"""So often a region is asked, and the quickest answer counts."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `ahead_s`: so far the clock here is ahead of the one there."""

    round_trip_s: float
    ahead_s: float


async def look_at(border: NatsBorder, region: str) -> Look:
    """Raises Unreachable and Refused."""
    best = Look(float("inf"), 0.0)
    for _ in range(TIMES):
        began = time.perf_counter()
        await border.ask(region, LOOK_FOR_EDGES, b"")
        round_trip_s = time.perf_counter() - began
        if round_trip_s < best.round_trip_s:
            best = Look(round_trip_s, border.ahead_s(region) - round_trip_s / 2)
    return best
