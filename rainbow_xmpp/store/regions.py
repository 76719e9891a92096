"""Whose data lies in this database: the region that every row says."""

from collections.abc import Sequence

import sqlalchemy as sa

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database

_REGION = "region"


class StoredRegions:
    """The regions of what is kept here; it should be one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rename(self, old: str, new: str) -> int:
        """Call what is of the region `old` by its new name, in every table, loaded plugins' too; how many rows.

        For a database from before its region had a name. Nothing is moved.
        """
        companies = tables.companies
        probe = sa.select(companies.c.id).where(companies.c.region == old).limit(1)
        async with self._database.read() as connection:
            if (await connection.execute(probe)).first() is None:
                return 0
        renamed = 0
        async with self._database.write() as connection:
            for table in tables.metadata.sorted_tables:
                if _REGION in table.c:
                    where = table.c[_REGION] == old
                    result = await connection.execute(sa.update(table).where(where).values({_REGION: new}))
                    renamed += result.rowcount
        return renamed

    async def of_people(self) -> Sequence[tuple[str, int]]:
        """Each region that somebody kept here is of, with how many people that is; the most first."""
        region, people = tables.users.c.region, sa.func.count()
        statement = sa.select(region, people).group_by(region).order_by(people.desc(), region)
        async with self._database.read() as connection:
            return [(name, count) for name, count in await connection.execute(statement)]
