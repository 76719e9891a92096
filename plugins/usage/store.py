"""The table behind the counting."""

from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.tables import metadata

# Nobody's personal data, and what was sent stays true when a company is gone: so no owner and no foreign key.
usage_days = sa.Table(
    "usage_days",
    metadata,
    sa.Column("company_id", sa.String(24), primary_key=True),
    sa.Column("day", sa.Date(), primary_key=True),
    sa.Column("messages", sa.BigInteger(), nullable=False),
)


class UsageDays:
    """Messages by company and UTC day."""

    def __init__(self, store: Store) -> None:
        self._store = store
        insert = (postgresql if store.dialect == "postgresql" else sqlite).insert(usage_days)
        self._add = insert.on_conflict_do_update(
            index_elements=[usage_days.c.company_id, usage_days.c.day],
            set_={"messages": usage_days.c.messages + insert.excluded.messages},
        )

    async def add(self, day: date, messages: Mapping[str, int]) -> None:
        """Add these numbers, by company id, to those of the day; nothing is added when this raises."""
        rows = [{"company_id": id, "day": day, "messages": messages[id]} for id in sorted(messages)]
        async with self._store.write() as connection:
            await connection.execute(self._add, rows)

    async def of(self, company_id: str) -> dict[date, int]:
        """A company's messages on each day on which it sent any."""
        t = usage_days.c
        days = sa.select(t.day, t.messages).where(t.company_id == company_id).order_by(t.day)
        async with self._store.read() as connection:
            return {row.day: row.messages for row in await connection.execute(days)}
