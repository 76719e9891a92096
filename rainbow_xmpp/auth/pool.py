"""Where slow hashing runs: a few threads beside the event loop, with a bound on who may wait."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from rainbow_xmpp.errors import RainbowError

P = ParamSpec("P")
R = TypeVar("R")

_NICENESS = 5


class PoolFull(RainbowError):
    """Too many wait for a hash already; the caller tells the client to try again later."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} password checks are waiting already")


class HashPool:
    """Runs blocking hash functions. By default one core is left to the event loop.

    `most` bounds the calls under way and waiting together: at 2 ms each, 500 are a wait of one second.
    """

    def __init__(self, threads: int | None = None, *, most: int = 500) -> None:
        threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self._executor = ThreadPoolExecutor(threads, "hash", initializer=_yield_to_the_loop)
        self._most = most
        self._pending = 0

    @property
    def pending(self) -> int:
        """How many calls are under way or waiting."""
        return self._pending

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it in a thread. Raises PoolFull at once when too many wait."""
        if self._pending >= self._most:
            raise PoolFull(self._pending)
        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args, **kwargs))
        future.add_done_callback(self._finished)
        return await future

    def close(self) -> None:
        """Drop what waits; what is under way ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _finished(self, _future: object) -> None:
        self._pending -= 1


def _yield_to_the_loop() -> None:
    """On Linux every thread has a priority of its own: the event loop's thread goes first."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    except OSError:
        pass  # elsewhere there is no such thing; the hash only takes its share then
