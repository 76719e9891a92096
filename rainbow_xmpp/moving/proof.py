"""What is left of somebody in this database after they have gone."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.moving.kinds import Person, kinds
from rainbow_xmpp.store import tables

_KNOWS_IDS = "knows_ids"
"""In the declaration of a table that may name, by its id, an account which is gone: why, and for how long."""


async def leftovers(connection: AsyncConnection, who: Person) -> dict[str, int]:
    """How many rows, by table: what is theirs, and what of nobody's else names them by their id.

    Rows of other people may name them: a roster, somebody's log, an authorisation. Those are the others' own.
    """
    found = {}
    of_people = kinds()
    for kind in of_people:
        if left := await kind.count(connection, who):
            found[kind.name] = left
    names = {kind.name for kind in of_people}
    for table in tables.metadata.sorted_tables:
        if table.name in names or table.info.get(_KNOWS_IDS):
            continue
        texts = [column for column in table.columns if isinstance(column.type, sa.String)]
        if not texts:
            continue
        where = sa.or_(*(column.contains(who.account_id, autoescape=True) for column in texts))
        statement = sa.select(sa.func.count()).select_from(table).where(where)
        if left := int((await connection.execute(statement)).scalar_one()):
            found[table.name] = left
    return found
