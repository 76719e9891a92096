"""Whom people have blocked."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.keys import owner_list, owners
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table
from rainbow_xmpp.store.upsert import upsert

MAX_JID_BYTES = 2047
"""Of an address that can be blocked: more does not fit into an index of PostgreSQL's."""

blocked = people_table(
    "blocked_jids", sa.Column("jid", sa.String(MAX_JID_BYTES), nullable=False), key=("jid",)
)

_b = blocked.c
_OWNED = sa.and_(_b.company_id == sa.bindparam("company"), _b.owner_id == sa.bindparam("owner"))
_ALL = sa.select(_b.jid).where(_OWNED)
_DELETE_ALL = sa.delete(blocked).where(_OWNED)
_DELETE = _DELETE_ALL.where(_b.jid.in_(sa.bindparam("jids", expanding=True)))


class BlockedJids:
    """A block list for each account: addresses in their normal form."""

    def __init__(self, store: Store) -> None:
        self._store = store
        asked = owners(store.dialect)
        whose = sa.and_(_b.company_id == asked.c.company_id, _b.owner_id == asked.c.owner_id)
        self._many = store.prepare(
            sa.select(asked.c.owner_id, _b.jid).select_from(asked.join(blocked, whose))
        )

    async def load(self, whose: Sequence[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
        """The lists of these (company id, account id), by account; who has blocked nobody is missing."""
        found: dict[str, set[str]] = {}
        for owner_id, jid in await self._store.fetch(self._many, owner_list(self._store.dialect, whose)):
            found.setdefault(owner_id, set()).add(jid)
        return {owner_id: frozenset(jids) for owner_id, jids in found.items()}

    async def add(
        self, company_id: str, owner_id: str, jids: Sequence[str], *, most: int
    ) -> frozenset[str] | None:
        """Block these too; the list as it is then. None, and nothing is done, when it would have more than `most`.

        Raises NotFound.
        """
        async with self._store.write() as connection:
            row = await owned_by(connection, company_id, owner_id, self._store.now())
            before = await _all(connection, company_id, owner_id)
            new = sorted(set(jids) - before)
            if new and len(before) + len(new) > most:
                return None
            if new:
                statement = upsert(self._store.dialect, blocked, ("created_at",))
                await connection.execute(statement, [row | {"jid": jid} for jid in new])
        return before.union(new)

    async def remove(self, company_id: str, owner_id: str, jids: Sequence[str]) -> frozenset[str]:
        """Block these no longer, or nobody when there are none; the list as it is then."""
        parameters = {"company": company_id, "owner": owner_id}
        async with self._store.write() as connection:
            if not jids:
                await connection.execute(_DELETE_ALL, parameters)
                return frozenset()
            await connection.execute(_DELETE, parameters | {"jids": list(jids)})
            return await _all(connection, company_id, owner_id)


async def _all(connection: AsyncConnection, company_id: str, owner_id: str) -> frozenset[str]:
    rows = await connection.execute(_ALL, {"company": company_id, "owner": owner_id})
    return frozenset(rows.scalars())
