"""Sessions that may be resumed after a restart: written when the server stops, taken when it starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.ownership import owned_by_each

_k = tables.kept_sessions.c
_ALL = sa.select(_k.owner_id, _k.sealed).order_by(_k.id)


@dataclass(frozen=True, slots=True)
class KeptRow:
    """Whose it is, and what only `Box` can read."""

    owner_id: str
    sealed: bytes = field(repr=False)


class KeptSessions:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def save(self, rows: Sequence[tuple[str, KeptRow]]) -> None:
        """Write all of them at once, each with its company's id; those of accounts that are gone are left out."""
        if not rows:
            return
        async with self._database.write() as connection:
            pairs = sorted({(company_id, row.owner_id) for company_id, row in rows})
            owned = {
                str(each["owner_id"]): each for each in await owned_by_each(connection, pairs, self._now())
            }
            written = [
                owned[row.owner_id] | {"sealed": row.sealed} for _, row in rows if row.owner_id in owned
            ]
            if written:
                await connection.execute(sa.insert(tables.kept_sessions), written)

    async def take(self) -> list[KeptRow]:
        """All of them, which are gone from here then: no session is restored twice."""
        async with self._database.read() as connection:
            found = [KeptRow(*row) for row in await connection.execute(_ALL)]
        if found:
            async with self._database.write() as connection:
                await connection.execute(sa.delete(tables.kept_sessions))
        return found
