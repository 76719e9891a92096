"""Group commit: what many ask for while one transaction runs goes to the disk together in the next one.

A commit costs as much as twenty rows, so rows are written by one thread (SQLite) or one connection (PostgreSQL) of
their own, in the order in which they came. Nobody waits in a task: whoever adds an entry may leave a call with its
batch, and all calls of a batch are made in one turn of the event loop when it is settled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rainbow_xmpp.errors import Condition, RainbowError, StanzaError
from rainbow_xmpp.store.outage import is_outage

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_ENTRIES = 400
"""So many entries go into one transaction at most: some milliseconds. A longer one would keep other writers
waiting, a shorter one costs more for each message."""
LINGER_S = 0.002
"""So long a batch waits for company when the one before had some; a lonely entry never waits."""
MOST_WAITING = 20_000
"""So many entries may wait while the database is away."""
MOST_WAITING_BYTES = 67_108_864
"""The same for their size."""
PATIENCE_S = 10.0
"""So long a batch is tried again while the database is away. Then whoever waits is told."""
RETRY_S = 0.25
"""Between two tries."""
TRANSACTION_S = 5.0
"""So long PostgreSQL may take for one batch before its connection counts as lost."""
QUIET_S = 1.0
"""So long nothing must have come for a moment to be quiet."""
CHECKPOINT_PAGES = 2_000
"""Pages of the write-ahead log, as estimated, after which they are copied into the database."""
WAL_PAGES = 8_000
"""Pages of the write-ahead log at which SQLite makes a checkpoint itself, inside a commit: when nobody else has."""
_PAGES_A_STEP = 40
"""Pages that a step of the upkeep writes, about."""
_PAGES_A_COMMIT = 4
"""Pages that even the smallest transaction writes, about."""
_BYTES_AN_ENTRY = 1_024
_BYTES_A_PAGE = 4_096


class Overloaded(StanzaError):
    """More waits for the disk than may wait; it may pass (type "wait")."""

    def __init__(self) -> None:
        super().__init__(Condition.RESOURCE_CONSTRAINT)


class Closed(RainbowError):
    """The writer has been closed."""


class Batch(Generic[T]):
    """Entries that are committed together, and what is to be done then. Satisfies `rainbow_xmpp.session.Settling`."""

    __slots__ = ("_calls", "began", "bytes", "entries", "error", "is_settled")

    def __init__(self) -> None:
        self.entries: list[T] = []
        self.bytes = 0
        self.began = 0.0
        """When its first entry came; 0.0 before (monotonic clock, seconds)."""
        self.is_settled = False
        self.error: Exception | None = None
        """Why nothing of it was kept; None when all was, or while that is open."""
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def after(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call this when the batch is settled, behind what was left here before; at once when it is already."""
        if self.is_settled:
            call(*arguments)
        else:
            self._calls.append((call, arguments))

    def settle(self, error: Exception | None = None) -> None:
        """It is over. A call that fails costs the others nothing."""
        self.error = error
        calls = self._calls
        for call, arguments in calls:  # grows while it runs: what is added now comes behind
            try:
                call(*arguments)
            except Exception:
                log.exception("what waited for a commit failed")
        self.is_settled = True
        self._calls = []


GivenUp = Callable[[list[T], bool], Awaitable[None]]


class Backend(Protocol[T]):
    """Where batches go. Raising means that nothing of the batch was kept."""

    async def write(self, entries: list[T]) -> None:
        """Write these in one transaction. The results of each entry are left in it."""

    async def look_after(self, *, is_quiet: bool) -> bool:
        """Between two batches: time for a small part of the upkeep, if it is due; whether more of it is.

        `is_quiet`: nothing has come for a while.
        """

    async def probe(self) -> None:
        """Write something that changes nothing, to the disk. Raising means that the database takes nothing."""

    async def close(self) -> None:
        """Let go of thread and connection."""


class GroupCommit(Generic[T]):
    """The one writer of a kind of entries in this process. `add` never waits."""

    def __init__(
        self,
        backend: Backend[T],
        *,
        patience_s: float = PATIENCE_S,
        given_up: GivenUp[T] | None = None,
    ) -> None:
        """`given_up` looks at the entries of a batch that failed before anybody is told: a database that takes nothing
        can often be read, and when it could not lately, the second argument says so."""
        self._backend = backend
        self._patience_s = patience_s
        self._given_up = given_up
        self._is_blind = False
        """It could not be read in this outage."""
        self._open: Batch[T] = Batch()
        self._full: list[Batch[T]] = []
        self._waiting = 0
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        """When the last batch was settled."""
        self._has_company = False
        self._is_closed = False
        self.is_closing = False
        """Nothing that was given up is to be added again."""
        self.is_away = False
        """The last try failed: the database does not take anything at the moment."""
        self.batches = 0
        """Committed since the start."""
        self.committed = 0
        """Entries committed since the start."""
        self.failed = 0
        """Entries given up since the start, whose senders were told."""

    @property
    def waiting(self) -> int:
        """Entries that are not settled."""
        return self._waiting

    def add(self, entry: T, size: int, *, anyway: bool = False) -> Batch[T]:
        """Let this entry of so many bytes be written with the next batch, which is returned.

        Raises Overloaded when too much waits already; the entry is not taken then. What follows from an entry that was
        taken is taken `anyway`.
        """
        if not anyway and (self._waiting >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES):
            raise Overloaded()
        batch = self._open
        if len(batch.entries) >= MOST_ENTRIES:
            self._full.append(batch)
            self._open = batch = Batch()
        if not batch.entries:
            batch.began = monotonic()
        batch.entries.append(entry)
        batch.bytes += size
        self._waiting += 1
        self._waiting_bytes += size
        if self._task is None:
            if self._is_closed:
                raise Closed("nothing is written any more")
            self._task = asyncio.get_running_loop().create_task(self._run(), name="group commit")
        return batch

    async def settled(self) -> None:
        """Wait until everything that was added is settled, and all of the upkeep is done."""
        while self._task is not None:
            await asyncio.wait((self._task,))
        if self.committed and not self.is_away:
            self._task = tidying = asyncio.create_task(self._look_after(), name="group commit")
            await asyncio.wait((tidying,))

    async def close(self) -> None:
        """Write what waits, then let go; what the database does not take within the patience is given up."""
        self.is_closing = True
        await self.settled()
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._backend.close()

    async def _run(self) -> None:
        try:
            is_more = False
            while self._waiting or is_more:
                if self._waiting:
                    await self._commit_next()
                is_more = await self._backend.look_after(is_quiet=False)
        except Exception:
            log.exception("the upkeep of a group commit failed")
        finally:
            self._last = monotonic()
            self._ended()

    async def _commit_next(self) -> None:
        if self._has_company and not self._full and len(self._open.entries) < MOST_ENTRIES:
            await asyncio.sleep(LINGER_S)
        batch = self._next()
        self._has_company = len(batch.entries) > 1
        await self._commit(batch)

    def _ended(self) -> None:
        """A task is over; what came meanwhile is written at once, and when nothing comes there is time."""
        self._task = None
        if self._is_closed:
            return
        loop = asyncio.get_running_loop()
        if self._waiting:
            self._task = loop.create_task(self._run(), name="group commit")
        elif self._timer is None:
            self._timer = loop.call_later(QUIET_S, self._look_whether_quiet)

    def _look_whether_quiet(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self._task is not None or monotonic() - self._last < QUIET_S:
            self._timer = loop.call_later(QUIET_S, self._look_whether_quiet)
        else:
            self._task = loop.create_task(self._look_after(), name="group commit")

    async def _look_after(self) -> None:
        try:
            if self.is_away:
                await self._look_whether_back()
                return
            while not self._waiting and await self._backend.look_after(is_quiet=True):
                pass
        except Exception:
            log.exception("the upkeep of a group commit failed")
        finally:
            self._task = None
            if self._waiting or self.is_away:
                self._ended()

    async def _look_whether_back(self) -> None:
        """Nothing waits any more: everybody was told. A server that takes nothing may be sent nothing, so it asks."""
        try:
            await self._backend.probe()
        except Exception as failure:
            if not is_outage(failure):
                raise
        else:
            self._is_back()

    def _next(self) -> Batch[T]:
        if self._full:
            return self._full.pop(0)
        batch, self._open = self._open, Batch()
        return batch

    async def _commit(self, batch: Batch[T]) -> None:
        error: Exception | None = None
        while True:
            try:
                await self._backend.write(batch.entries)
                self._is_back()
                error = None
                break
            except Exception as failure:
                error = failure
                if not is_outage(failure):
                    log.exception("a batch could not be written")
                    break
                self._went_away(failure)
                if monotonic() - batch.began > self._patience_s:
                    break
                await asyncio.sleep(RETRY_S)
        if error is not None and self._given_up is not None:
            await self._look_at_lost(batch, self._given_up)
        self._waiting -= len(batch.entries)
        self._waiting_bytes -= batch.bytes
        self.batches += 1
        if error is None:
            self.committed += len(batch.entries)
        else:
            self.failed += len(batch.entries)
        batch.settle(error)

    async def _look_at_lost(self, batch: Batch[T], look: GivenUp[T]) -> None:
        try:
            async with asyncio.timeout(TRANSACTION_S):
                await look(batch.entries, self._is_blind)
        except Exception as failure:
            self._is_blind = True
            if not is_outage(failure):
                log.exception("entries that were given up could not be looked at")

    def _went_away(self, failure: Exception) -> None:
        if not self.is_away:
            self.is_away = True
            log.error(
                "the database takes nothing (%s): messages wait up to %d s, then their senders are told",
                failure,
                self._patience_s,
            )

    def _is_back(self) -> None:
        if self.is_away:
            self.is_away = self._is_blind = False
            log.warning("the database takes messages again")


class Upkeep(Protocol[T]):
    """What SQLite does for many entries at a time, in small steps. Nothing of it is called while another call runs."""

    def committed(self, entries: list[T]) -> None:
        """This batch is on the disk."""

    def lost(self) -> None:
        """The connection is gone, and it may be unknown what of the last transaction was kept."""

    def is_due(self, *, is_quiet: bool) -> bool:
        """Whether there is a step to be done now; `is_quiet`: nothing has come for a while."""

    def step(self, connection: sqlite3.Connection) -> None:
        """One step, inside a transaction that is open: some milliseconds, since whoever writes waits for it."""


class SqliteThread(Generic[T]):
    """A `Backend`: SQLite, by a connection and a thread of its own.

    `turn` is the place in the queue of all writers of this process; `write` runs in the thread, inside a
    transaction that is already open.

    Checkpoints are made by a second thread, while the first one writes on; what came meanwhile is then copied between
    two batches, so that the write-ahead log can begin anew. Inside a commit a checkpoint would make it wait for
    thousands of pages.
    """

    def __init__(
        self,
        open_: Callable[[], sqlite3.Connection],
        turn: Callable[[], AbstractAsyncContextManager[None]],
        write: Callable[[sqlite3.Connection, list[T]], None],
        upkeep: Upkeep[T] | None = None,
    ) -> None:
        self._open = open_
        self._turn = turn
        self._write = write
        self._upkeep = upkeep
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")
        self._copier = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._copying: asyncio.Future[None] | None = None
        """A checkpoint beside the writer that runs, or has run and was not followed by one between batches."""
        self._pages = 0
        """Written since the last checkpoint, as estimated."""

    async def write(self, entries: list[T]) -> None:
        async with self._turn():
            await self._in_thread(self._transaction, entries)

    def _in_thread(self, call: Callable[..., None], *arguments: Any) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _transaction(self, entries: list[T]) -> None:
        with self._open_transaction("FULL") as connection:
            self._write(connection, entries)
        self._pages += _PAGES_A_COMMIT + len(entries) * _BYTES_AN_ENTRY // _BYTES_A_PAGE
        if self._upkeep is not None:
            self._upkeep.committed(entries)

    @contextmanager
    def _open_transaction(self, synchronous: str) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open()
        try:
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._connection = None
            connection.close()  # rolls back; a connection in an unknown state is not used again
            if self._upkeep is not None:
                self._upkeep.lost()
            raise

    async def look_after(self, *, is_quiet: bool) -> bool:
        """A step of the upkeep, and the write-ahead log into the database."""
        try:
            await self._check(is_quiet)
            if self._upkeep is None or not self._upkeep.is_due(is_quiet=is_quiet):
                return False
            async with self._turn():
                await self._in_thread(self._step)
            return self._upkeep.is_due(is_quiet=is_quiet)
        except Exception as error:
            if not is_outage(error):
                raise
            return False

    def _step(self) -> None:
        assert self._upkeep is not None, "asked before"
        with self._open_transaction("NORMAL") as connection:  # a power cut costs a step; it is done again
            self._upkeep.step(connection)
        self._pages += _PAGES_A_STEP

    async def _check(self, is_quiet: bool) -> None:
        if self._copying is None:
            if self._pages >= (CHECKPOINT_PAGES // 2 if is_quiet else CHECKPOINT_PAGES):
                self._copying = asyncio.get_running_loop().run_in_executor(self._copier, self._copy_beside)
        elif self._copying.done():
            copying, self._copying = self._copying, None
            self._pages = 0
            await copying
            async with self._turn():
                await self._in_thread(self._copy)

    def _copy_beside(self) -> None:
        connection = self._open()
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            connection.close()

    def _copy(self) -> None:
        if self._connection is not None:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    async def probe(self) -> None:
        async with self._turn():
            await self._in_thread(self._probe)

    def _probe(self) -> None:
        with self._open_transaction("FULL") as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version}")  # its page is written, changed or not

    async def close(self) -> None:
        await self._in_thread(self._let_go)
        self._thread.shutdown()
        self._copier.shutdown()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PostgresqlConnection(Generic[T]):
    """A `Backend`: PostgreSQL, by one connection. `write` runs inside a transaction that is already open."""

    def __init__(
        self, connect: Callable[[], Awaitable[Any]], write: Callable[[Any, list[T]], Awaitable[None]]
    ) -> None:
        self._connect = connect
        self._write = write
        self._connection: Any = None

    async def write(self, entries: list[T]) -> None:
        await self._transaction(lambda connection: self._write(connection, entries))

    async def probe(self) -> None:
        await self._transaction(
            lambda connection: connection.execute("SELECT txid_current()")
        )  # has a commit

    async def _transaction(self, act: Callable[[Any], Awaitable[object]]) -> None:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await self._connect()
        try:
            async with asyncio.timeout(TRANSACTION_S), connection.transaction():
                await act(connection)
        except BaseException:
            self._connection = None
            connection.terminate()
            raise

    async def look_after(self, *, is_quiet: bool) -> bool:
        """PostgreSQL looks after itself."""
        return False

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
