"""Work that is done beside everything else whenever somebody says that there is some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Waker:
    """Runs something beside everything else, once at a time; woken meanwhile, it runs once more."""

    def __init__(self, work: Callable[[], Awaitable[None]], spawn: Callable[[Awaitable[None]], None]) -> None:
        self._work = work
        self._spawn = spawn
        self._is_running = False
        self._again = False

    def wake(self) -> None:
        if self._is_running:
            self._again = True
            return
        self._is_running = True
        self._spawn(self._run())

    async def _run(self) -> None:
        try:
            self._again = True
            while self._again:
                self._again = False
                await self._work()
        finally:
            self._is_running = False
