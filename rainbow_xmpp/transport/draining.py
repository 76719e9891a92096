"""How a server that stops lets its clients go: a few at a time, so that they do not all come back at once elsewhere."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

SLICE_S = 0.1
T = TypeVar("T")


async def let_go(connected: Callable[[], Iterable[T]], goodbye: Callable[[T], None], spread_s: float) -> None:
    """Say `goodbye` to everybody in `connected`, in equal slices over so many seconds; at once where these are 0.

    It takes all of them, also when nobody is left: whoever is logging in gets the time to finish, and is let go like
    the others, and a load balancer that is slow to notice may send somebody still.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + spread_s
    while True:
        left = list(connected())
        slices = max(1, math.ceil((end - loop.time()) / SLICE_S))
        for each in left[: math.ceil(len(left) / slices)]:
            goodbye(each)
        if slices == 1:
            return
        await asyncio.sleep(SLICE_S)
