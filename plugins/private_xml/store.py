"""What clients keep with their accounts, by the name of the outermost element."""

from collections.abc import Mapping

import sqlalchemy as sa

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table
from rainbow_xmpp.store.upsert import upsert

MAX_ELEMENT_NAME = 1024

elements = people_table(
    "private_xml",
    sa.Column("element", sa.String(MAX_ELEMENT_NAME), nullable=False),
    sa.Column("data", sa.LargeBinary(), nullable=False),
    key=("element",),
)

_e = elements.c
_OWNED = sa.and_(_e.company_id == sa.bindparam("company"), _e.owner_id == sa.bindparam("owner"))
_GET = sa.select(_e.data).where(_OWNED, _e.element == sa.bindparam("name"))
_OTHERS = (
    sa.select(sa.func.count())
    .select_from(elements)
    .where(_OWNED, _e.element.not_in(sa.bindparam("names", expanding=True)))
)


class PrivateXml:
    """One piece of XML for each element name of an account."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._get = store.prepare(_GET)

    async def get(self, company_id: str, owner_id: str, element: str) -> bytes | None:
        """What was kept under this name (`{namespace}tag`)."""
        parameters = {"company": company_id, "owner": owner_id, "name": element}
        for row in await self._store.fetch(self._get, parameters):
            return bytes(row[0])
        return None

    async def put(self, company_id: str, owner_id: str, kept: Mapping[str, bytes], *, most: int) -> bool:
        """Keep these under their names in place of what was there before: all of them, or none.

        False: the account would have more than `most` names, or a name is too long. Raises NotFound.
        """
        if any(len(element) > MAX_ELEMENT_NAME for element in kept):
            return False
        parameters = {"company": company_id, "owner": owner_id, "names": list(kept)}
        async with self._store.write() as connection:
            row = await owned_by(connection, company_id, owner_id, self._store.now())
            if (await connection.execute(_OTHERS, parameters)).scalar_one() + len(kept) > most:
                return False
            statement = upsert(self._store.dialect, elements, ("data",))
            rows = [row | {"element": element, "data": data} for element, data in kept.items()]
            await connection.execute(statement, rows)
        return True
