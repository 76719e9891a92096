"""The log of administrative writes: how a running server hears of what happened elsewhere."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.values import Change, ChangeKind

_ORDER_LOCK = 0x7261696E_626F7722
"""PostgreSQL's advisory lock: changes commit in the order of their ids, so that no reader skips one."""

_INSERT = sa.insert(tables.changes)
_LATEST = sa.select(sa.func.coalesce(sa.func.max(tables.changes.c.id), 0))
_AFTER = (
    sa.select(
        tables.changes.c.id,
        tables.changes.c.kind,
        tables.changes.c.company_id,
        tables.changes.c.account_id,
        tables.changes.c.at,
    )
    .where(tables.changes.c.id > sa.bindparam("id"))
    .order_by(tables.changes.c.id)
    .limit(sa.bindparam("most"))
)


class Changes:
    """Read by every running server about once a second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._latest_query = database.prepare(_LATEST)
        self._after_query = database.prepare(_AFTER)

    async def latest_id(self) -> int:
        """The id of the newest change, 0 when there was none: where a starting server begins to read."""
        rows = await self._database.fetch(self._latest_query, {})
        return int(rows[0][0])

    async def after(self, id: int, *, most: int = 1000) -> list[Change]:
        """The oldest changes newer than this id; ask again with the last one's id while `most` come."""
        rows = await self._database.fetch(self._after_query, {"id": id, "most": most})
        return [Change(row[0], ChangeKind(row[1]), row[2], row[3], row[4]) for row in rows]

    async def forget_before(self, at: int) -> int:
        """Drop changes older than this Unix time (seconds), which every server has read; returns how many."""
        async with self._database.write() as connection:
            result = await connection.execute(sa.delete(tables.changes).where(tables.changes.c.at < at))
            return result.rowcount


async def record(
    connection: AsyncConnection,
    now: int,
    kind: ChangeKind,
    company_id: str,
    account_ids: Sequence[str | None],
) -> None:
    """Append a change for each account, as the last thing in the transaction that does the change."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))
    rows = [{"kind": kind, "company_id": company_id, "account_id": id, "at": now} for id in account_ids]
    await connection.execute(_INSERT, rows)
