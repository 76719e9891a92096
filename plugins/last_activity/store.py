"""When people were last seen, and what they said then."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.keys import owner_list, owners
from rainbow_xmpp.store.tables import people_table, users
from rainbow_xmpp.store.upsert import upsert

activities = people_table(
    "last_activity",
    sa.Column("seen_at", sa.BigInteger(), nullable=False),
    sa.Column("status", sa.Text(), nullable=False),
)

_a = activities.c
_GET = sa.select(_a.seen_at, _a.status).where(
    _a.company_id == sa.bindparam("company"), _a.owner_id == sa.bindparam("owner")
)


class Seen(NamedTuple):
    """When somebody went (Unix time in seconds), and the status they left."""

    at: int
    status: str


class _Departure(NamedTuple):
    company_id: str
    owner_id: str
    seen: Seen


class LastActivities:
    """One for each account. Those who go while one transaction runs go into the next one together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._get = store.prepare(_GET)
        self._departures: Batcher[_Departure, bool] = Batcher(self._put_all)
        asked = owners(store.dialect)
        self._who = sa.select(asked.c.company_id, asked.c.owner_id, users.c.region).select_from(
            asked.join(
                users, sa.and_(users.c.company_id == asked.c.company_id, users.c.id == asked.c.owner_id)
            )
        )

    async def get(self, company_id: str, owner_id: str) -> Seen | None:
        """When this person was last seen; who may know was asked before."""
        for row in await self._store.fetch(self._get, {"company": company_id, "owner": owner_id}):
            return Seen(*row)
        return None

    async def put(self, company_id: str, owner_id: str, at: int, status: str) -> None:
        """Keep this; it is on the disk when it returns. Somebody who does not exist is passed over."""
        await self._departures.get(_Departure(company_id, owner_id, Seen(at, status)))

    async def close(self) -> None:
        """Wait until what came is on the disk."""
        await self._departures.close()

    async def _put_all(self, departures: Sequence[_Departure]) -> Mapping[_Departure, bool]:
        latest = {(each.company_id, each.owner_id): each.seen for each in departures}
        async with self._store.write() as connection:
            found = await connection.execute(self._who, owner_list(self._store.dialect, sorted(latest)))
            rows = [
                {
                    "company_id": company,
                    "owner_id": owner,
                    "region": region,
                    "created_at": latest[company, owner].at,
                    "seen_at": latest[company, owner].at,
                    "status": latest[company, owner].status,
                }
                for company, owner, region in found
            ]
            if rows:
                statement = upsert(self._store.dialect, activities, ("seen_at", "status"))
                await connection.execute(statement, rows)
        return {}
