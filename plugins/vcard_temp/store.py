"""The vCards of accounts."""

import sqlalchemy as sa

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table
from rainbow_xmpp.store.upsert import upsert

vcards = people_table("vcards", sa.Column("data", sa.LargeBinary(), nullable=False))

_GET = sa.select(vcards.c.data).where(
    vcards.c.company_id == sa.bindparam("company"), vcards.c.owner_id == sa.bindparam("owner")
)


class VCards:
    """One vCard for each account, as XML."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._get = store.prepare(_GET)

    async def get(self, company_id: str, owner_id: str) -> bytes | None:
        """The account's vCard; who may see it was asked before."""
        for row in await self._store.fetch(self._get, {"company": company_id, "owner": owner_id}):
            return bytes(row[0])
        return None

    async def put(self, company_id: str, owner_id: str, data: bytes) -> None:
        """Keep this vCard in place of the one before. Raises NotFound."""
        async with self._store.write() as connection:
            row = await owned_by(connection, company_id, owner_id, self._store.now())
            await connection.execute(upsert(self._store.dialect, vcards, ("data",)), row | {"data": data})
