"""Natural batching: what is asked for while one query runs goes into the next, together.

A storm of logins then costs a few large queries instead of thousands of small ones, and a caller who
comes alone is served at once: there is no timer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Batcher(Generic[K, V]):
    """Collects keys and loads them together.

    `load` is given different keys, at most `most` of them, and returns what it found; a key that is missing
    from its answer is answered with None. Its exception goes to everyone who waited for that load. A key
    asked for after a load began is never answered by that load, so who writes and then asks sees the write.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, most: int = 256) -> None:
        self._load = load
        self._most = most
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._running: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """What `load` finds for this key, or None."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="store batch")
        return await future

    async def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """What `load` finds for these keys, asked for together; what it does not find is missing."""
        loop = asyncio.get_running_loop()
        asked: dict[K, asyncio.Future[V | None]] = {}
        for key in keys:
            asked[key] = loop.create_future()
            self._waiting.setdefault(key, []).append(asked[key])
        if self._waiting and self._running is None:
            self._running = asyncio.create_task(self._run(), name="store batch")
        await asyncio.gather(*asked.values())
        return {key: found for key, future in asked.items() if (found := future.result()) is not None}

    async def close(self) -> None:
        """Let what was asked for be answered; call it before the connections are closed."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._next_batch())
        finally:
            self._running = None
            for futures in self._waiting.values():  # only when this task itself was cancelled
                for future in futures:
                    future.cancel()
            self._waiting.clear()

    def _next_batch(self) -> dict[K, list[asyncio.Future[V | None]]]:
        if len(self._waiting) <= self._most:
            batch, self._waiting = self._waiting, {}
            return batch
        keys = list(self._waiting)[: self._most]
        return {key: self._waiting.pop(key) for key in keys}

    async def _answer(self, batch: dict[K, list[asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._load(list(batch))
        except Exception as error:
            _fail(batch.values(), error)
            return
        except BaseException:
            for futures in batch.values():
                for future in futures:
                    future.cancel()
            raise
        for key, futures in batch.items():
            value = found.get(key)
            for future in futures:
                if not future.done():  # whoever stopped waiting is passed over
                    future.set_result(value)


def _fail(waiting: Iterable[list[asyncio.Future[V | None]]], error: Exception) -> None:
    for futures in waiting:
        for future in futures:
            if not future.done():
                future.set_exception(error)
