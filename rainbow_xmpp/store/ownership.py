"""The columns that say whose a row is, for the stores of plugins."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.errors import NotFound

_u = tables.users.c
_REGION = sa.select(_u.region).where(_u.company_id == sa.bindparam("company"), _u.id == sa.bindparam("owner"))


async def owned_by(
    connection: AsyncConnection, company_id: str, owner_id: str, now: float
) -> dict[str, object]:
    """The columns of every `people_table` for a new row of this account; `now` is Unix time in seconds.

    Raises NotFound when the company has no such account.
    """
    parameters = {"company": company_id, "owner": owner_id}
    region = (await connection.execute(_REGION, parameters)).scalar_one_or_none()
    if region is None:
        raise NotFound("account", owner_id)
    return {"company_id": company_id, "owner_id": owner_id, "region": region, "created_at": int(now)}
