"""The connections: SQLite or PostgreSQL, who may read and write when, and what durable means.

SQLite: WAL, so readers never wait for the writer; `synchronous=FULL`, so what was committed survives a power
cut; one writer at a time, in the order of asking, who takes the write lock at BEGIN and therefore never fails
half-way with "database is locked". PostgreSQL: its own defaults.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from rainbow_xmpp.store.errors import DatabaseUnreachable, StoreError

BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process that writes (the command line beside a running server)."""

SQLITE_READERS = 4
POSTGRESQL_CONNECTIONS = 10


class Database:
    """One open database. `dialect` is "sqlite" or "postgresql"."""

    def __init__(self, url: str) -> None:
        """Raises StoreError for a URL of another kind; connects on first use."""
        self.url = sa.make_url(url)
        self.dialect = _dialect_of(self.url)
        if self.dialect == "sqlite":
            _make_private_file(_sqlite_path(self.url))
            self._readers = _sqlite_engine(
                self.url,
                SQLITE_READERS,
                isolation_level="AUTOCOMMIT",
                skip_autocommit_rollback=True,  # nothing to roll back, and each call is a thread hop
            )
            self._writer = _sqlite_engine(self.url, 1)
            sa.event.listen(self._writer.sync_engine, "begin", _begin_immediate)
        else:
            self._writer = _postgresql_engine(self.url)
            self._readers = self._writer.execution_options(isolation_level="AUTOCOMMIT")
        self._write_lock = asyncio.Lock() if self.dialect == "sqlite" else None

    def read(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for reading; with `snapshot` all its statements see the same state of the database."""
        return self._snapshot() if snapshot else self._readers.connect()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in one transaction: committed at the end, rolled back by any exception."""
        if self._write_lock is None:
            async with self._writer.begin() as connection:
                yield connection
        else:
            async with self._write_lock, self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncConnection]:
        if self.dialect == "sqlite":
            async with self._readers.connect() as connection:
                await connection.exec_driver_sql("BEGIN")
                try:
                    yield connection
                finally:
                    await connection.exec_driver_sql("ROLLBACK")
        else:
            async with self._writer.connect() as connection:
                yield await connection.execution_options(isolation_level="REPEATABLE READ")

    async def check(self) -> None:
        """Raises DatabaseUnreachable when no connection can be made."""
        try:
            async with self._readers.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
        except (sa.exc.DBAPIError, OSError) as error:
            raise DatabaseUnreachable(self._why_unreachable(error)) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.dispose()
        await self._writer.dispose()

    def _why_unreachable(self, error: Exception) -> str:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        return f"cannot open {self.url.render_as_string(hide_password=True)}: {cause}"


def _dialect_of(url: sa.URL) -> str:
    if url.drivername == "sqlite+aiosqlite":
        return "sqlite"
    if url.drivername == "postgresql+asyncpg":
        return "postgresql"
    shown = url.render_as_string(hide_password=True)
    raise StoreError(
        f"{shown} is not a database this server knows: use sqlite+aiosqlite:///FILE or postgresql+asyncpg://…"
    )


def _sqlite_path(url: sa.URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise StoreError(
            "sqlite+aiosqlite:/// needs the name of a file: a database in memory is lost at the end"
        )
    return Path(url.database)


def _make_private_file(path: Path) -> None:
    """Folder and file are for the server's user only; SQLite gives its -wal and -shm files the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise DatabaseUnreachable(f"cannot open {path}: {error.strerror}") from error


def _sqlite_engine(url: sa.URL, connections: int, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        **options,
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver shall not begin transactions by itself
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql_engine(url: sa.URL) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_recycle=1800,
        pool_pre_ping=False,  # a lost connection is found by use; SQLAlchemy then drops the whole pool
        skip_autocommit_rollback=True,
        connect_args={"server_settings": {"application_name": "rainbow-xmpp"}},
    )
