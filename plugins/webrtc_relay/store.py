"""The tables behind the accounting: one row for each person and month, one for each company and month."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.webrtc_relay.credentials import userid_of
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.carried import Carried
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import metadata, people_table
from rainbow_xmpp.store.upsert import insert_or_ignore, upsert

USERIDS = "userids of the relay"
"""What the secret is called that userids are made with."""
_USED = ("seconds", "allocations", "bytes_in", "bytes_out")


def _used_columns() -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in _USED]


person_months = people_table(
    "webrtc_relay_person_months",
    sa.Column("month", sa.Integer(), nullable=False),  # 202611
    sa.Column("userid", sa.String(64), nullable=False, index=True),  # what the relay knows the person by
    *_used_columns(),
    key=("month",),
    carried=Carried(
        lambda row, keys: {**row, "userid": ""},
        lambda row, keys: {
            **row,
            "userid": userid_of(keys.secret_for(USERIDS), row["company_id"], row["owner_id"]),
        },
    ),
)

# Nobody's personal data, and what was used stays true when a company is gone: no owner and no foreign key.
company_months = sa.Table(
    "webrtc_relay_company_months",
    metadata,
    sa.Column("company_id", sa.String(24), primary_key=True),
    sa.Column("month", sa.Integer(), primary_key=True),
    *_used_columns(),
)

# A keyed hash and a time: it outlives the account whose credentials are void, for hours.
revocations = sa.Table(
    "webrtc_relay_revocations",
    metadata,
    sa.Column("userid", sa.String(64), primary_key=True),
    sa.Column("until", sa.BigInteger(), nullable=False),  # credentials that end by then are void
)

_p, _c, _r = person_months.c, company_months.c, revocations.c
_SUM_OF_PERSON = sa.select(_p.seconds).where(
    _p.company_id == sa.bindparam("company"),
    _p.owner_id == sa.bindparam("owner"),
    _p.month == sa.bindparam("month"),
)
_SUM_OF_COMPANY = sa.select(_c.seconds).where(
    _c.company_id == sa.bindparam("company"), _c.month == sa.bindparam("month")
)
_OWNER = (
    sa.select(_p.company_id, _p.owner_id)
    .where(_p.userid == sa.bindparam("userid"))
    .order_by(_p.month.desc())
    .limit(1)
)


class Used(NamedTuple):
    """What was used of the relay."""

    seconds: int = 0
    """In which media passed."""
    allocations: int = 0
    bytes_in: int = 0
    """From clients to their peers."""
    bytes_out: int = 0
    """From peers to the clients."""

    def plus(self, more: Used) -> Used:
        return Used(*(mine + others for mine, others in zip(self, more, strict=True)))


class Owner(NamedTuple):
    company_id: str
    account_id: str


class UsageOfPerson(NamedTuple):
    """One line of what a company's administrators see."""

    account_id: str
    used: Used


class RelayUsage:
    """Months are numbers such as 202611, in UTC."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of_person = store.prepare(_SUM_OF_PERSON)
        self._of_company = store.prepare(_SUM_OF_COMPANY)
        self._owner = store.prepare(_OWNER)
        insert = (postgresql if store.dialect == "postgresql" else sqlite).insert
        companies = insert(company_months)
        self._add_company = companies.on_conflict_do_update(
            index_elements=[_c.company_id, _c.month],
            set_={name: company_months.c[name] + companies.excluded[name] for name in _USED},
        )

    async def begin(self, account: Account, userid: str, month: int, now: float) -> None:
        """Make the person's row of the month, by which the relay's reports find their owner."""
        try:
            async with self._store.write() as connection:
                owned = await owned_by(connection, account.company.id, account.id, now)
                row = {**owned, "month": month, "userid": userid}
                await connection.execute(insert_or_ignore(self._store.dialect, person_months), [row])
        except NotFound:
            return  # removed meanwhile

    async def owner_of(self, userid: str) -> Owner | None:
        """Whose it is; None for a removed account's."""
        for row in await self._store.fetch(self._owner, {"userid": userid}):
            return Owner(*row)
        return None

    async def seconds(self, company_id: str, account_id: str, month: int) -> int:
        """What a person used in the month."""
        asked = {"company": company_id, "owner": account_id, "month": month}
        return sum(row[0] for row in await self._store.fetch(self._of_person, asked))

    async def company_seconds(self, company_id: str, month: int) -> int:
        """What all people of a company used in the month, those included who are gone."""
        found = await self._store.fetch(self._of_company, {"company": company_id, "month": month})
        return sum(row[0] for row in found)

    async def add(self, month: int, used: Mapping[tuple[Owner, str], Used]) -> None:
        """Add what people (with their userids) used in the month; all of it, or nothing when this raises."""
        companies: dict[str, Used] = {}
        for (owner, _), each in used.items():
            companies[owner.company_id] = companies.get(owner.company_id, Used()).plus(each)
        async with self._store.write() as connection:
            for (owner, userid), each in sorted(used.items()):
                await self._add_person(connection, owner, userid, month, each)
            rows = [
                {"company_id": company_id, "month": month, **companies[company_id]._asdict()}
                for company_id in sorted(companies)
            ]
            await connection.execute(self._add_company, rows)

    async def _add_person(
        self, connection: AsyncConnection, owner: Owner, userid: str, month: int, used: Used
    ) -> None:
        """A month may have turned since the person's row was made; of a removed person nothing is kept."""
        try:
            owned = await owned_by(connection, owner.company_id, owner.account_id, 0)
        except NotFound:
            return
        added = {name: person_months.c[name] + value for name, value in used._asdict().items()}
        where = sa.and_(_p.company_id == owner.company_id, _p.owner_id == owner.account_id, _p.month == month)
        done = await connection.execute(sa.update(person_months).where(where).values(added))
        if not done.rowcount:
            row = {**owned, "month": month, "userid": userid, **used._asdict()}
            await connection.execute(sa.insert(person_months), [row])

    # -- what administrators see -----------------------------------------------------------------------

    async def of_company(self, company_id: str, month: int) -> Used:
        """What a company used in the month."""
        asked = sa.select(*(_c[name] for name in _USED)).where(_c.company_id == company_id, _c.month == month)
        async with self._store.read() as connection:
            for row in await connection.execute(asked):
                return Used(*row)
        return Used()

    async def of_people(self, company_id: str, month: int, *, after: str, most: int) -> list[UsageOfPerson]:
        """A company's people who used anything, in the order of their ids, behind this one."""
        asked = (
            sa.select(_p.owner_id, *(_p[name] for name in _USED))
            .where(_p.company_id == company_id, _p.month == month, _p.owner_id > after)
            .where(sa.or_(_p.seconds > 0, _p.allocations > 0))
            .order_by(_p.owner_id)
            .limit(most)
        )
        async with self._store.read() as connection:
            return [UsageOfPerson(row[0], Used(*row[1:])) for row in await connection.execute(asked)]

    async def people_of(self, company_id: str, since_month: int) -> list[str]:
        """The ids of a company's people who were given credentials in the month or later."""
        asked = sa.select(_p.owner_id).where(_p.company_id == company_id, _p.month >= since_month).distinct()
        async with self._store.read() as connection:
            return [row[0] for row in await connection.execute(asked)]

    # -- void credentials ------------------------------------------------------------------------------

    async def revoke(self, userid: str, until: int) -> None:
        """A person's credentials that end by this Unix time (seconds) are void."""
        async with self._store.write() as connection:
            statement = upsert(self._store.dialect, revocations, ("until",))
            await connection.execute(statement, [{"userid": userid, "until": until}])

    async def revoked(self, now: int) -> dict[str, int]:
        """All userids of which credentials are void that would still be good."""
        asked = sa.select(_r.userid, _r.until).where(_r.until > now)
        async with self._store.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(asked)}

    async def forget_revocations(self, now: int) -> None:
        """Of those that end by themselves by now."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(revocations).where(_r.until <= now))

    async def forget_months(self, before: int) -> None:
        """Drop what people used in months before this one; companies' sums stay."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(person_months).where(_p.month < before))
