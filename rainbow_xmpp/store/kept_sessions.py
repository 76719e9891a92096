"""Sessions that may be resumed after a restart: written when the server stops, taken when it starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.ownership import owned_by_each

_k = tables.kept_sessions.c


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

    async def take(self, owner_id: str = "") -> list[KeptRow]:
        """All of them, or those of one account. They are gone from here then: no session is restored twice.

        Of several nodes that ask at once each gets others.
        """
        mine = _k.owner_id == owner_id if owner_id else sa.true()
        async with self._database.read() as connection:
            if (await connection.execute(sa.select(_k.id).where(mine).limit(1))).first() is None:
                return []
        async with self._database.write() as connection:
            taken = await connection.execute(
                sa.delete(tables.kept_sessions).where(mine).returning(_k.id, _k.owner_id, _k.sealed)
            )
            return [KeptRow(row.owner_id, row.sealed) for row in sorted(taken)]
