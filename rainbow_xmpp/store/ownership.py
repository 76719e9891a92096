"""The columns that say whose a row is, for the stores of plugins."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.errors import BeingMoved, NotFound
from rainbow_xmpp.store.keys import owner_list, owners
from rainbow_xmpp.store.moves import is_frozen

_u = tables.users.c
_REGION = sa.select(_u.region, is_frozen(_u.id)).where(
    _u.company_id == sa.bindparam("company"), _u.id == sa.bindparam("owner")
)


async def owned_by(
    connection: AsyncConnection, company_id: str, owner_id: str, now: float
) -> dict[str, object]:
    """The columns of every `people_table` for a new row of this account; `now` is Unix time in seconds.

    Raises NotFound when the company has no such account, and BeingMoved.
    """
    parameters = {"company": company_id, "owner": owner_id}
    found = (await connection.execute(_REGION, parameters)).one_or_none()
    if found is None:
        raise NotFound("account", owner_id)
    region, is_moving = found
    if is_moving:
        raise BeingMoved(owner_id)
    return {"company_id": company_id, "owner_id": owner_id, "region": region, "created_at": int(now)}


async def owned_by_each(
    connection: AsyncConnection, pairs: Sequence[tuple[str, str]], now: float
) -> list[dict[str, object]]:
    """The same columns for many accounts, (company id, account id); left out is who does not exist any more,
    or is being moved to another region."""
    dialect = connection.dialect.name
    asked = owners(dialect)
    statement = (
        sa.select(_u.company_id, _u.id, _u.region)
        .select_from(
            asked.join(tables.users, sa.and_(_u.company_id == asked.c.company_id, _u.id == asked.c.owner_id))
        )
        .where(~is_frozen(_u.id))
    )
    found = await connection.execute(statement, owner_list(dialect, pairs))
    return [
        {"company_id": company, "owner_id": owner, "region": region, "created_at": int(now)}
        for company, owner, region in found
    ]
