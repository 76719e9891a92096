"""Finding out who somebody is: the only questions about people that are asked without knowing the company.

They are what a storm of logins asks, so they are batched (`batch.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.companies import COLUMNS as COMPANY_COLUMNS
from rainbow_xmpp.store.companies import company_from
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import InvalidAddress, InvalidLocalpart
from rainbow_xmpp.store.keys import among, key_list
from rainbow_xmpp.store.names import normalise_email, normalise_localpart
from rainbow_xmpp.store.values import Account, Company, LoginRecord, Role, Visibility

V = TypeVar("V")

_u = tables.users.c
_k = tables.credentials.c

ACCOUNT_COLUMNS = (
    *COMPANY_COLUMNS,
    _u.id,
    _u.localpart,
    _u.role,
    _u.visibility,
    _u.region,
    _u.service_level,
    _u.disabled,
    _u.epoch,
    _u.name,
    _u.listed,
    _u.second_factor,
)
"""What `AccountReader` reads, in its order."""

WIDTH = len(ACCOUNT_COLUMNS)
COMPANY_WIDTH = len(COMPANY_COLUMNS)
_LOCALPART = COMPANY_WIDTH + 1

_USERS = tables.users.join(tables.companies)
_LOGINS = _USERS.outerjoin(tables.credentials, sa.and_(_k.company_id == _u.company_id, _k.owner_id == _u.id))
_BY_ID = sa.select(*ACCOUNT_COLUMNS).select_from(_USERS).where(_u.id == sa.bindparam("id"))


class AccountReader:
    """Makes accounts from the rows of one query; accounts of one company share its object."""

    def __init__(self) -> None:
        self._companies: dict[str, Company] = {}

    def account(self, row: Sequence[Any]) -> Account:
        """The account in the first `WIDTH` columns of a row."""
        company = self._companies.get(row[0])
        if company is None:
            company = self._companies[row[0]] = company_from(row[:COMPANY_WIDTH])
        id, localpart, role, visibility, region, service_level, disabled, epoch, name, listed, factor = row[
            COMPANY_WIDTH:WIDTH
        ]
        return Account(
            id,
            localpart,
            company,
            Role(role),
            Visibility(visibility),
            region,
            service_level,
            bool(disabled),
            epoch,
            name,
            bool(listed),
            bool(factor),
        )

    def login(self, row: Sequence[Any]) -> LoginRecord:
        """The account and the credentials in the columns after it."""
        return LoginRecord(self.account(row), *row[WIDTH : WIDTH + 3])


class Directory:
    """Looks up accounts by what people call them; found accounts may be disabled."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = database.dialect
        address = tables.emails.c.address
        login_columns = (*ACCOUNT_COLUMNS, _k.sealed, _k.key_id, _k.imported_hash)
        by_address = _LOGINS.join(
            tables.emails,
            sa.and_(tables.emails.c.company_id == _u.company_id, tables.emails.c.owner_id == _u.id),
        )
        self._by_localpart = self._batcher(
            sa.select(*ACCOUNT_COLUMNS).select_from(_USERS).where(among(dialect, _u.localpart)),
            key_of=lambda row: row[_LOCALPART],
            value_of=AccountReader.account,
        )
        self._login_by_localpart = self._batcher(
            sa.select(*login_columns).select_from(_LOGINS).where(among(dialect, _u.localpart)),
            key_of=lambda row: row[_LOCALPART],
            value_of=AccountReader.login,
        )
        self._login_by_email = self._batcher(
            sa.select(*login_columns, address).select_from(by_address).where(among(dialect, address)),
            key_of=lambda row: row[-1],
            value_of=AccountReader.login,
        )

        self._by_id = database.prepare(_BY_ID)

    async def by_localpart(self, localpart: str) -> Account | None:
        """The account whose JIDs have this localpart, as JIDs carry it (already prepared)."""
        return await self._by_localpart.get(localpart)

    async def for_login(self, identifier: str) -> LoginRecord | None:
        """Who logs in as `identifier`, a localpart or an e-mail address as it was typed."""
        try:
            if "@" in identifier:
                return await self._login_by_email.get(normalise_email(identifier))
            return await self._login_by_localpart.get(normalise_localpart(identifier))
        except (InvalidAddress, InvalidLocalpart):
            return None  # nobody can be called this

    async def by_id(self, account_id: str) -> Account | None:
        """The account with this id, when all that is known is a change or a token."""
        for row in await self._database.fetch(self._by_id, {"id": account_id}):
            return AccountReader().account(row)
        return None

    async def close(self) -> None:
        """Wait for the lookups under way."""
        for batcher in (self._by_localpart, self._login_by_localpart, self._login_by_email):
            await batcher.close()

    def _batcher(
        self,
        statement: sa.Select[Any],
        *,
        key_of: Callable[[Sequence[Any]], str],
        value_of: Callable[[AccountReader, Sequence[Any]], V],
    ) -> Batcher[str, V]:
        database = self._database
        query = database.prepare(statement)

        async def load(keys: Sequence[str]) -> Mapping[str, V]:
            rows = await database.fetch(query, {"keys": key_list(database.dialect, keys)})
            reader = AccountReader()
            return {key_of(row): value_of(reader, row) for row in rows}

        return Batcher(load)
