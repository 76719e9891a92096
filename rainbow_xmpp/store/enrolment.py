"""Adding new accounts: what stands in their way, and their rows. Called inside `Accounts`' transactions."""

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.companies import COLUMNS as COMPANY_COLUMNS
from rainbow_xmpp.store.companies import company_from
from rainbow_xmpp.store.errors import InvalidAddress, InvalidLocalpart
from rainbow_xmpp.store.keys import among, key_list
from rainbow_xmpp.store.names import (
    company_key,
    normalise_email,
    normalise_localpart,
    search_key,
    tidy_name,
)
from rainbow_xmpp.store.values import Account, Company, Conflict, ConflictField, NewAccount

_REASONS = {
    ConflictField.COMPANY: "there is no company {!r}",
    ConflictField.EMAIL: "the address {!r} belongs to another account",
    ConflictField.LOCALPART: "the localpart {!r} belongs to another account",
}


async def companies_of(
    connection: AsyncConnection, dialect: str, rows: Sequence[NewAccount]
) -> dict[str, Company]:
    """The companies that these rows name and that exist, by `company_key`."""
    keys = sorted({company_key(row.company) for row in rows})
    statement = sa.select(*COMPANY_COLUMNS).where(among(dialect, tables.companies.c.name_key))
    found = await connection.execute(statement, {"keys": key_list(dialect, keys)})
    return {company_key(row[1]): company_from(row) for row in found}


async def conflicts_of(
    connection: AsyncConnection, dialect: str, rows: Sequence[NewAccount], companies: Mapping[str, Company]
) -> list[Conflict]:
    """What keeps these rows from being added, in their order; they are compared with each other too."""
    emails = _Column(
        ConflictField.EMAIL, tables.emails.c.address, [row.email for row in rows], normalise_email
    )
    localparts = _Column(
        ConflictField.LOCALPART,
        tables.users.c.localpart,
        [row.localpart for row in rows],
        normalise_localpart,
    )
    await emails.find_taken(connection, dialect)
    await localparts.find_taken(connection, dialect)
    found: list[Conflict] = []
    for index, row in enumerate(rows):
        if company_key(row.company) not in companies:
            reason = _REASONS[ConflictField.COMPANY].format(row.company)
            found.append(Conflict(index, ConflictField.COMPANY, reason))
        found += filter(None, (emails.conflict(index), localparts.conflict(index)))
    return found


async def insert(
    connection: AsyncConnection, rows: Sequence[NewAccount], accounts: Sequence[Account], at: int
) -> None:
    """Write the rows of these accounts, made by `account_from` from `rows`; `at` is Unix time in seconds."""
    people = [
        {"company_id": a.company.id, "owner_id": a.id, "region": a.region, "created_at": at} for a in accounts
    ]
    await connection.execute(sa.insert(tables.users), [_user_row(account, at) for account in accounts])
    await connection.execute(
        sa.insert(tables.emails),
        [whose | {"address": normalise_email(row.email)} for whose, row in zip(people, rows, strict=True)],
    )
    secrets = [
        whose | {"sealed": row.sealed, "key_id": row.key_id, "imported_hash": row.imported_hash}
        for whose, row in zip(people, rows, strict=True)
        if row.sealed is not None or row.imported_hash is not None
    ]
    if secrets:
        await connection.execute(sa.insert(tables.credentials), secrets)


def account_from(new: NewAccount, company: Company) -> Account:
    """The account that `new` becomes in this company."""
    return Account(
        id=new.id,
        localpart=normalise_localpart(new.localpart),
        company=company,
        role=new.role,
        visibility=new.visibility,
        region=company.region if new.region is None else new.region,
        service_level=new.service_level,
        disabled=False,
        epoch=0,
        name=tidy_name(new.name),
    )


class _Column:
    """The values of one unique field in an import, and which of them are taken."""

    def __init__(
        self,
        field: ConflictField,
        column: sa.Column[str],
        given: Sequence[str],
        normalise: Callable[[str], str],
    ) -> None:
        self._field = field
        self._column = column
        self._given = given
        self._taken: set[str] = set()
        self._refusals: dict[int, str] = {}
        self._values: list[str] = []
        for index, text in enumerate(given):
            try:
                self._values.append(normalise(text))
            except (InvalidAddress, InvalidLocalpart) as error:
                self._values.append("")
                self._refusals[index] = str(error)

    async def find_taken(self, connection: AsyncConnection, dialect: str) -> None:
        """Ask the database which of the values other accounts have."""
        statement = sa.select(self._column).where(among(dialect, self._column))
        rows = await connection.execute(statement, {"keys": key_list(dialect, self._values)})
        self._taken = set(rows.scalars())

    def conflict(self, index: int) -> Conflict | None:
        """What is wrong with this row; ask for the rows in their order."""
        if reason := self._refusals.get(index):
            return Conflict(index, self._field, reason)
        value = self._values[index]
        if value in self._taken:
            return Conflict(index, self._field, _REASONS[self._field].format(self._given[index]))
        self._taken.add(value)  # a later row with the same value is in the way of this one
        return None


def _user_row(account: Account, at: int) -> dict[str, object]:
    return {
        "id": account.id,
        "company_id": account.company.id,
        "region": account.region,
        "created_at": at,
        "localpart": account.localpart,
        "role": account.role,
        "visibility": account.visibility,
        "service_level": account.service_level,
        "disabled": account.disabled,
        "epoch": account.epoch,
        "name": account.name,
        "name_key": search_key(account.name),
        "listed": account.listed,
        "second_factor": account.second_factor,
    }
