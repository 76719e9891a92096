"""Opening SQLite connections: whoever waits for one may be cancelled, its thread cannot."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiosqlite


class Opening:
    """Makes the connections of one database, and waits at the end for those that nobody waits for any more.

    Otherwise the thread of a connection opens its file when the server has stopped, and answers a loop that is closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._under_way: set[asyncio.Task[aiosqlite.Connection]] = set()

    async def connect(self) -> aiosqlite.Connection:
        """A new connection."""
        opening = asyncio.get_running_loop().create_task(self._open(), name="store opening")
        self._under_way.add(opening)
        try:
            connection = await asyncio.shield(opening)
        except Exception:  # cancelled is another thing: it goes on
            self._under_way.discard(opening)
            raise
        self._under_way.discard(opening)
        return connection

    async def _open(self) -> aiosqlite.Connection:
        connection = aiosqlite.connect(self._path)
        connection._thread.daemon = True  # as SQLAlchemy does when it connects by itself
        return await connection

    async def close(self) -> None:
        """Close what was opened for nobody."""
        while self._under_way:
            with suppress(Exception):
                await (await self._under_way.pop()).close()
