"""The connections: SQLite or PostgreSQL, who may read and write when, and what durable means.

SQLite: WAL, so readers never wait for the writer; `synchronous=FULL`, so what was committed survives a power
cut; one writer at a time, in the order of asking, who takes the write lock at BEGIN and therefore never fails
half-way with "database is locked". PostgreSQL: its own defaults.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

from rainbow_xmpp.observe.timings import DatabaseTimings
from rainbow_xmpp.store.errors import DatabaseUnreachable, StoreError
from rainbow_xmpp.store.group_commit import (
    WAL_PAGES,
    Backend,
    GivenUp,
    GroupCommit,
    PostgresqlConnection,
    SqliteThread,
    Upkeep,
)
from rainbow_xmpp.store.joined import join
from rainbow_xmpp.store.opening import Opening
from rainbow_xmpp.store.room import lacks_room, no_room

BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process that writes (the command line beside a running server)."""

_CONNECTION_LOST = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InternalClientError,  # used between the server's last words and the end of the connection
    OSError,
)

T = TypeVar("T")

SQLITE_READERS = 4
POSTGRESQL_CONNECTIONS = 10


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as text for one database, the order of its parameters, and those that stand in it."""

    sql: str
    parameters: tuple[str, ...]
    constants: Mapping[str, object]


class Database:
    """One open database. `dialect` is "sqlite" or "postgresql"."""

    def __init__(self, url: str) -> None:
        """Raises StoreError for a URL of another kind; connects on first use."""
        self.url = _parsed(url)
        self.dialect = _dialect_of(self.url)
        self._opening: Opening | None = None
        if self.dialect == "sqlite":
            _make_private_file(_sqlite_path(self.url))
            self._opening = Opening(_sqlite_path(self.url))
            self._readers = _sqlite_engine(
                self.url,
                SQLITE_READERS,
                self._opening,
                isolation_level="AUTOCOMMIT",
                # Nothing to roll back, and each call is a thread hop.
                skip_autocommit_rollback=True,
                pool_reset_on_return=None,
            )
            self._writer = _sqlite_engine(self.url, 1, self._opening)
            sa.event.listen(self._writer.sync_engine, "begin", _begin_immediate)
        else:
            self._writer = _postgresql_engine(self.url)
            self._readers = self._writer.execution_options(isolation_level="AUTOCOMMIT")
        self._write_lock = asyncio.Lock() if self.dialect == "sqlite" else None
        self.timings = DatabaseTimings()
        self.writing = 0
        """Transactions that run or wait for their turn."""
        self.group_commits: list[GroupCommit[Any]] = []
        """Those that were opened, for figures."""

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; with `snapshot` all its statements see the same state of the database."""
        began = perf_counter()
        try:
            async with self._snapshot() if snapshot else self._readers.connect() as connection:
                yield connection
        finally:
            self.timings.read.observe(perf_counter() - began)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in one transaction: committed at the end, rolled back by any exception."""
        began = perf_counter()
        self.writing += 1
        try:
            async with self._write_lock or nullcontext(), self._writer.begin() as connection:
                yield connection
                await join(connection)
        finally:
            self.writing -= 1
            self.timings.write.observe(perf_counter() - began)

    def group_commit(
        self,
        on_sqlite: Callable[[sqlite3.Connection, list[T]], None],
        on_postgresql: Callable[[asyncpg.Connection, list[T]], Awaitable[None]],
        upkeep: Upkeep[T] | None = None,
        given_up: GivenUp[T] | None = None,
    ) -> GroupCommit[T]:
        """A writer of its own for entries that come by the thousand; see `rainbow_xmpp.store.group_commit`.

        Each function writes a batch inside a transaction that is open; the first runs in a thread.
        """
        backend: Backend[T]
        if self.dialect == "sqlite":
            backend = SqliteThread(self._open_sqlite, self._turn, on_sqlite, upkeep)
        else:
            backend = PostgresqlConnection(self._connect_postgresql, on_postgresql)
        commits: GroupCommit[T] = GroupCommit(backend, given_up=given_up)
        self.group_commits.append(commits)
        return commits

    @property
    def uncommitted(self) -> int:
        """Entries of group commits that are not on the disk yet."""
        return sum(commits.waiting for commits in self.group_commits)

    async def committed(self) -> None:
        """Wait until they are."""
        for commits in self.group_commits:
            await commits.settled()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """This writer's place in the queue of all who write to the file in this process."""
        began = perf_counter()
        self.writing += 1
        try:
            async with self._write_lock or nullcontext():
                yield
        finally:
            self.writing -= 1
            self.timings.write.observe(perf_counter() - began)

    def _open_sqlite(self) -> sqlite3.Connection:
        connection = sqlite3.connect(_sqlite_path(self.url), isolation_level=None, check_same_thread=False)
        _prepare_sqlite(connection, None)
        return connection

    async def _connect_postgresql(self) -> asyncpg.Connection:
        _, options = self._writer.dialect.create_connect_args(self.url)
        return await asyncpg.connect(
            **options, timeout=5.0, server_settings={"application_name": "rainbow-xmpp log"}
        )

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncConnection]:
        if self.dialect == "sqlite":
            async with self._readers.connect() as connection:
                try:
                    await connection.exec_driver_sql("BEGIN")
                    yield connection
                    await connection.exec_driver_sql("COMMIT")
                except BaseException:
                    await (
                        connection.invalidate()
                    )  # sooner than a transaction left open on a pooled connection
                    raise
        else:
            async with self._writer.connect() as connection:
                yield await connection.execution_options(isolation_level="REPEATABLE READ")

    def prepare(self, statement: sa.SelectBase) -> Query:
        """Compile a statement for `fetch`."""
        compiled = statement.compile(dialect=self._readers.dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        return Query(compiled.string, tuple(compiled.positiontup or ()), constants)

    async def fetch(self, query: Query, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """All rows of a query, as the driver gives them: the short way, for what every login asks.

        One call of the driver instead of a dozen (on SQLite each is a thread hop) and no result objects: an
        eighth of the time of `read`. Booleans of SQLite come as numbers.
        """
        began = perf_counter()
        try:
            return await self._rows(query, parameters)
        finally:
            self.timings.query.observe(perf_counter() - began)

    async def _rows(self, query: Query, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        given = {**query.constants, **parameters}
        values = [given[name] for name in query.parameters]
        if self.dialect == "sqlite":
            return await greenlet_spawn(self._fetch, "execute_fetchall", query.sql, values)
        for _ in range(self._idle_connections()):
            try:
                return await greenlet_spawn(self._fetch, "fetch", query.sql, *values)
            except _CONNECTION_LOST:  # the database was restarted, and this connection did not know
                continue
        return await greenlet_spawn(self._fetch, "fetch", query.sql, *values)

    def _idle_connections(self) -> int:
        """How many connections made earlier wait in the pool; each may have been lost meanwhile."""
        pool = self._readers.pool
        assert isinstance(pool, sa.QueuePool)
        return pool.checkedin()

    def _fetch(self, method: str, *arguments: object) -> Sequence[Sequence[Any]]:
        connection = self._readers.sync_engine.raw_connection()
        try:
            call = getattr(connection.driver_connection, method)
            rows: Sequence[Sequence[Any]] = await_only(call(*arguments))
        except BaseException:
            connection.invalidate()
            raise
        finally:
            connection.close()
        return rows

    async def check(self) -> None:
        """Raises DatabaseUnreachable when no connection can be made."""
        try:
            async with self._readers.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
        except (sa.exc.DBAPIError, OSError) as error:
            raise DatabaseUnreachable(self.why_unreachable(error)) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.dispose()
        await self._writer.dispose()
        if self._opening is not None:
            await self._opening.close()

    def why_unreachable(self, error: Exception) -> str:
        """The database and the driver's words for an administrator, without the password."""
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if (
            self.dialect == "sqlite"
            and cause is not None
            and lacks_room(cause, path := _sqlite_path(self.url))
        ):
            return no_room(path)
        hint = "; is PostgreSQL running there?" if isinstance(cause, OSError) else ""
        return f"cannot open {self.url.render_as_string(hide_password=True)}: {cause}{hint}"


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # neither is shown: the URL may hold a password
        raise StoreError(
            "storage.url cannot be read; write postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE, "
            "in USER and PASSWORD with %40 for @, %3A for :, %2F for / and %25 for %"
        ) from None


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


def _sqlite_engine(url: sa.URL, connections: int, opening: Opening, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        async_creator=opening.connect,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,  # in the words of errors, which are logged
        **options,
    )
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver shall not begin transactions by itself
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",  # first: switching the journal waits for others too
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "journal_size_limit=67108864",
        f"wal_autocheckpoint={WAL_PAGES}",
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
        hide_parameters=True,
        pool_recycle=1800,
        pool_pre_ping=False,  # a lost connection is found by use; SQLAlchemy then drops the whole pool
        skip_autocommit_rollback=True,
        connect_args={"server_settings": {"application_name": "rainbow-xmpp"}},
    )
