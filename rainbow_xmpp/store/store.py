"""The store: one database of one region, one attribute for each kind of thing kept."""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.observe.timings import DatabaseTimings
from rainbow_xmpp.store import migrate
from rainbow_xmpp.store.accounts import Accounts
from rainbow_xmpp.store.audit import AuditRecords
from rainbow_xmpp.store.authorisations import Authorisations
from rainbow_xmpp.store.changes import Changes
from rainbow_xmpp.store.companies import Companies
from rainbow_xmpp.store.contact_requests import ContactRequests
from rainbow_xmpp.store.credentials import Credentials
from rainbow_xmpp.store.database import Database, Query
from rainbow_xmpp.store.errors import DatabaseUnreachable
from rainbow_xmpp.store.group_commit import GivenUp, GroupCommit, Upkeep
from rainbow_xmpp.store.home_names import HomeNames
from rainbow_xmpp.store.kept_sessions import KeptSessions
from rainbow_xmpp.store.links import Links
from rainbow_xmpp.store.moves import Moves
from rainbow_xmpp.store.outbox import Outbox
from rainbow_xmpp.store.refresh_tokens import RefreshTokens
from rainbow_xmpp.store.regions import StoredRegions
from rainbow_xmpp.store.rosters import Rosters

T = TypeVar("T")


class Store:
    """Open it with `Store.open`, close it when done."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self.companies = Companies(database, now)
        self.accounts = Accounts(database, now)
        self.credentials = Credentials(database, now)
        self.rosters = Rosters(database, now)
        self.links = Links(database, now)
        self.authorisations = Authorisations(database, now)
        self.contact_requests = ContactRequests(database, now)
        self.refresh_tokens = RefreshTokens(database, now)
        self.kept_sessions = KeptSessions(database, now)
        self.regions = StoredRegions(database)
        self.home_names = HomeNames(database, now)
        self.outbox = Outbox(database, now)
        self.moves = Moves(database, now)
        self.changes = Changes(database)
        self.audit = AuditRecords(database)
        self.now = now

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        plugin_paths: Iterable[Path] = (),
        require_schema: bool = True,
        now: Callable[[], float] = time.time,
    ) -> Self:
        """Connect to `sqlite+aiosqlite:///FILE` (made when missing) or `postgresql+asyncpg://…`.

        Raises SchemaOutdated when migrations are left to be run (unless `require_schema` is False) and
        DatabaseUnreachable. `now` gives Unix time in seconds.
        """
        database = Database(url)
        try:
            await database.check()
            if require_schema:
                (await migrate.schema_state(database, plugin_paths)).require()
        except sa.exc.DBAPIError as error:
            await database.close()
            raise DatabaseUnreachable(database.why_unreachable(error)) from error
        except BaseException:
            await database.close()
            raise
        return cls(database, now)

    async def schema_state(self, plugin_paths: Iterable[Path] = ()) -> migrate.SchemaState:
        """Compare the database with the migrations of this software."""
        return await migrate.schema_state(self._database, plugin_paths)

    @property
    def timings(self) -> DatabaseTimings:
        """How long calls took."""
        return self._database.timings

    @property
    def writing(self) -> int:
        """How many transactions run or wait for their turn."""
        return self._database.writing

    @property
    def group_commits(self) -> Sequence[GroupCommit[Any]]:
        """The group commits that were opened."""
        return self._database.group_commits

    @property
    def uncommitted(self) -> int:
        """Entries of group commits that are not on the disk yet."""
        return self._database.uncommitted

    async def committed(self) -> None:
        """Wait until every entry of a group commit is on the disk, or was given up."""
        await self._database.committed()

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql", for statements that the two spell differently."""
        return self._database.dialect

    def read(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for a plugin's store to read with; `snapshot`: all statements see the same state."""
        return self._database.read(snapshot=snapshot)

    def prepare(self, statement: sa.SelectBase) -> Query:
        """Compile a query for `fetch`; once, when a plugin's store is made."""
        return self._database.prepare(statement)

    async def fetch(self, query: Query, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """All rows of a query, several times cheaper than by `read`: for what every login asks.

        Values are as the driver gives them: on SQLite, booleans and dates come as numbers and text.
        """
        return await self._database.fetch(query, parameters)

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for a plugin's store to write with, in one transaction; be short, writers queue."""
        return self._database.write()

    def group_commit(
        self,
        on_sqlite: Callable[[sqlite3.Connection, list[T]], None],
        on_postgresql: Callable[[Any, list[T]], Awaitable[None]],
        *,
        upkeep: Upkeep[T] | None = None,
        given_up: GivenUp[T] | None = None,
    ) -> GroupCommit[T]:
        """A writer of its own for entries that come by the thousand, such as messages; close it before the store.

        Each function writes a batch inside a transaction that is open: the first is a plain call in a thread,
        the second is given a connection of asyncpg. `upkeep` is what SQLite does for many entries at once, in
        transactions of its own: in quiet moments, and every few thousand entries. `given_up` may look at the entries
        of a batch that failed before whoever waits for them is told; see `GroupCommit`.
        """
        return self._database.group_commit(on_sqlite, on_postgresql, upkeep, given_up)

    async def check(self) -> None:
        """Raises DatabaseUnreachable when the database does not answer."""
        await self._database.check()

    async def close(self) -> None:
        """Answer what was asked for, then close every connection."""
        await self.accounts.close()
        await self.rosters.close()
        await self._database.close()
