"""Who consented, and when."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table
from rainbow_xmpp.store.upsert import insert_or_ignore

consents = people_table("region_consents", sa.Column("given_at", sa.BigInteger(), nullable=False))
_c = consents.c


class Consents:
    """One for each account, or none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, people: Sequence[Account]) -> Mapping[str, int]:
        """When each of these gave theirs (Unix time in seconds), by their ids; who has not is left out."""
        statement = sa.select(_c.owner_id, _c.given_at).where(
            _c.owner_id.in_([account.id for account in people])
        )
        async with self._store.read() as connection:
            rows = await connection.execute(statement)
            return {row[0]: row[1] for row in rows}

    async def give(self, account: Account) -> int:
        """From now on, or from whenever it was given before; Unix time in seconds."""
        now = int(self._store.now())
        async with self._store.write() as connection:
            row = await owned_by(connection, account.company.id, account.id, now)
            await connection.execute(
                insert_or_ignore(self._store.dialect, consents), {**row, "given_at": now}
            )
        return (await self.of([account])).get(account.id, now)

    async def withdraw(self, account: Account) -> bool:
        """Whether there was one."""
        async with self._store.write() as connection:
            gone = await connection.execute(
                sa.delete(consents).where(_c.company_id == account.company.id, _c.owner_id == account.id)
            )
        return bool(gone.rowcount)
