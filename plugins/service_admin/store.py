"""When people logged in the last time."""

from collections.abc import Mapping

import sqlalchemy as sa

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by_each
from rainbow_xmpp.store.tables import people_table
from rainbow_xmpp.store.upsert import upsert

logins = people_table("service_admin_logins", sa.Column("at", sa.BigInteger(), nullable=False))

_GET = sa.select(logins.c.at).where(
    logins.c.company_id == sa.bindparam("company"), logins.c.owner_id == sa.bindparam("owner")
)


class LastLogins:
    """One time for each account (Unix time in seconds)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, seen: Mapping[tuple[str, str], int]) -> None:
        """By (company id, account id); who is gone meanwhile is left out."""
        async with self._store.write() as connection:
            rows = await owned_by_each(connection, sorted(seen), self._store.now())
            for row in rows:
                row["at"] = seen[str(row["company_id"]), str(row["owner_id"])]
            if rows:
                await connection.execute(upsert(self._store.dialect, logins, ("at",)), rows)

    async def get(self, company_id: str, owner_id: str) -> int | None:
        """None: not since this is kept."""
        async with self._store.read() as connection:
            parameters = {"company": company_id, "owner": owner_id}
            found = (await connection.execute(_GET, parameters)).scalar_one_or_none()
            return None if found is None else int(found)
