"""A connection that is being opened when everything ends."""

import asyncio
import threading
from pathlib import Path

import pytest

from rainbow_xmpp.store.database import Database


@pytest.mark.parametrize("turns", range(6))
async def test_whoever_is_cancelled_while_a_connection_is_opened_leaves_no_thread(
    tmp_path: Path, turns: int
) -> None:
    """However far it had come; the file may be gone right after the end."""
    before = set(threading.enumerate())
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/some.db")
    checking = asyncio.create_task(database.check())
    for _ in range(turns):
        await asyncio.sleep(0)
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    await database.close()
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 5.0)
        assert not thread.is_alive() or "asyncio" in thread.name
