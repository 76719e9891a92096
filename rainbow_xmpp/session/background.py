"""Work that nobody waits for, with an owner all the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any

from rainbow_xmpp.store.outage import is_outage

log = logging.getLogger(__name__)


class Background:
    """Runs awaitables beside everything else, logs what fails, and ends them all at `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Awaitable[None] | Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(_finish(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def is_busy(self) -> bool:
        return bool(self._tasks)

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """What runs now."""
        return frozenset(self._tasks)

    async def idle(self) -> None:
        """Wait until nothing runs."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def settle(self, timeout_s: float) -> None:
        """Wait until nothing is left, at most this long, then cancel the rest."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in late:
                task.cancel()


async def _finish(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception as error:
        if is_outage(error):
            log.warning("background work failed: the database does not answer (%s)", type(error).__name__)
        else:
            log.exception("background work failed")
