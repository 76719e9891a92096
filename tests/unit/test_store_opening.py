"""A connection that is being opened when everything ends."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from rainbow_xmpp.store.database import Database


async def test_whoever_is_cancelled_while_a_connection_is_opened_leaves_no_thread_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the loop may be gone right after the end."""
    begun, may_open, opened = threading.Event(), threading.Event(), threading.Event()
    connect = sqlite3.connect

    def slowly(*arguments: object, **options: object) -> sqlite3.Connection:
        begun.set()
        may_open.wait(10.0)
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]
        opened.set()
        return connection

    monkeypatch.setattr(sqlite3, "connect", slowly)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/some.db")
    checking = asyncio.create_task(database.check())
    await asyncio.to_thread(begun.wait, 10.0)
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0.02)
    assert not closing.done(), "it waits for the thread"
    may_open.set()
    await closing
    assert opened.is_set()
