"""Accounts: making them, one or thousands, changing and removing them. Lookups are in `directory.py`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import changes, tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.directory import ACCOUNT_COLUMNS, COMPANY_WIDTH, WIDTH, AccountReader, Directory
from rainbow_xmpp.store.enrolment import account_from, companies_of, conflicts_of, insert
from rainbow_xmpp.store.errors import AlreadyExists, ImportRefused, NotFound
from rainbow_xmpp.store.keys import among, key_list
from rainbow_xmpp.store.moves import refuse_if_frozen
from rainbow_xmpp.store.names import (
    company_key,
    normalise_email,
    normalise_localpart,
    search_key,
    tidy_name,
)
from rainbow_xmpp.store.refresh_tokens import end_logins
from rainbow_xmpp.store.values import (
    Account,
    ChangeKind,
    Conflict,
    ConflictField,
    Headcount,
    Member,
    NewAccount,
    Role,
    Visibility,
)

_u = tables.users.c
_e = tables.emails.c

_MEMBERS = (
    sa.select(*ACCOUNT_COLUMNS, _u.created_at, _e.address)
    .select_from(
        tables.users.join(tables.companies).outerjoin(
            tables.emails, sa.and_(_e.company_id == _u.company_id, _e.owner_id == _u.id)
        )
    )
    .where(_u.company_id == sa.bindparam("company_id"))
    .order_by(_u.created_at, _u.id, _e.created_at, _e.address)
)
_ONE_MEMBER = _MEMBERS.where(_u.id == sa.bindparam("id"))
_PAGE = (
    sa.select(*ACCOUNT_COLUMNS)
    .select_from(tables.users.join(tables.companies))
    .where(_u.company_id == sa.bindparam("company_id"), _u.id > sa.bindparam("after"))
    .order_by(_u.id)
    .limit(sa.bindparam("most"))
)
_COUNTS = sa.select(_u.company_id, sa.func.count(), sa.func.sum(sa.case((_u.disabled, 1), else_=0))).group_by(
    _u.company_id
)


class Accounts(Directory):
    """The accounts of this region. `now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        super().__init__(database)
        self._now = now

    async def add(self, new: NewAccount) -> Account:
        """Make one account. Raises AlreadyExists, NotFound("company"), InvalidAddress, InvalidLocalpart."""
        normalise_email(new.email)
        normalise_localpart(new.localpart)
        try:
            (account,) = await self.add_many([new])
        except ImportRefused as refused:
            conflict = refused.conflicts[0]
            if conflict.field is ConflictField.COMPANY:
                raise NotFound("company", new.company) from None
            raise AlreadyExists(conflict.field, getattr(new, conflict.field)) from None
        return account

    async def add_many(self, rows: Sequence[NewAccount]) -> list[Account]:
        """Make all of these accounts in one transaction, or none: ImportRefused names every bad row."""
        at = int(self._now())
        try:
            async with self._database.write() as connection:
                return await _add_all(connection, rows, at)
        except sa.exc.IntegrityError:  # another node was quicker between our look and our write
            if conflicts := await self.conflicts(rows):
                raise ImportRefused(conflicts) from None
            raise

    async def conflicts(self, rows: Sequence[NewAccount]) -> list[Conflict]:
        """What `add_many` would refuse, to be asked before the slow work of hashing passwords."""
        dialect = self._database.dialect
        async with self._database.read() as connection:
            companies = await companies_of(connection, dialect, rows)
            return await conflicts_of(connection, dialect, rows, companies)

    async def list(self, company_id: str) -> list[Member]:
        """The company's people with their addresses, oldest account first."""
        async with self._database.read() as connection:
            return _members((await connection.execute(_MEMBERS, {"company_id": company_id})).all())

    async def member(self, company_id: str, account_id: str) -> Member | None:
        """One of the company's people."""
        async with self._database.read() as connection:
            parameters = {"company_id": company_id, "id": account_id}
            members = _members((await connection.execute(_ONE_MEMBER, parameters)).all())
        return members[0] if members else None

    async def page(
        self, company_id: str, *, after: str = "", most: int = 500, disabled: bool | None = None
    ) -> Sequence[Account]:
        """Some of the company's people, by their ids; ask again with the last one's id while any come."""
        statement = _PAGE if disabled is None else _PAGE.where(_u.disabled == disabled)
        async with self._database.read() as connection:
            reader = AccountReader()
            parameters = {"company_id": company_id, "after": after, "most": most}
            return [reader.account(row) for row in await connection.execute(statement, parameters)]

    async def emails_of(self, company_id: str, account_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The addresses of these people, by their ids; whoever has none is left out."""
        dialect = self._database.dialect
        statement = (
            sa.select(_e.owner_id, _e.address)
            .where(_e.company_id == company_id, among(dialect, _e.owner_id))
            .order_by(_e.created_at, _e.address)
        )
        found: dict[str, tuple[str, ...]] = {}
        async with self._database.read() as connection:
            for owner, address in await connection.execute(
                statement, {"keys": key_list(dialect, account_ids)}
            ):
                found[owner] = (*found.get(owner, ()), address)
        return found

    async def counts(self) -> dict[str, Headcount]:
        """How many people each company has, by its id; companies without any are left out."""
        async with self._database.read() as connection:
            rows = await connection.execute(_COUNTS)
            return {company_id: Headcount(all_, disabled) for company_id, all_, disabled in rows}

    async def count(self, company_id: str) -> int:
        """How many people a company has, those who are shut out included."""
        async with self._database.read() as connection:
            return await _how_many(connection, company_id)

    async def count_within(self, connection: AsyncConnection, company_id: str) -> int:
        """The same as a transaction sees it that adds people; others who add wait for its end."""
        company = sa.select(tables.companies.c.id).where(tables.companies.c.id == company_id)
        # not FOR UPDATE, which waits for those who have added somebody, who wait for us: a deadlock
        await connection.execute(company.with_for_update(key_share=True))
        return await _how_many(connection, company_id)

    async def levels_in_use(self) -> Sequence[tuple[str, str, int]]:
        """Company, service level of their own and how many people have it; the company's own is left out."""
        statement = (
            sa.select(_u.company_id, _u.service_level, sa.func.count())
            .where(_u.service_level != "")
            .group_by(_u.company_id, _u.service_level)
            .order_by(_u.company_id, _u.service_level)
        )
        async with self._database.read() as connection:
            return [(row[0], row[1], row[2]) for row in await connection.execute(statement)]

    async def listed(self, company_id: str, *, most: int) -> dict[str, str] | None:
        """Localparts and names of the people in the company's roster; None when there are more than `most`."""
        shown = (_u.company_id == company_id, _u.disabled.is_(False), _u.listed.is_(True))
        statement = sa.select(_u.localpart, _u.name).where(*shown).order_by(_u.localpart).limit(most + 1)
        async with self._database.read() as connection:
            found = {row[0]: row[1] for row in await connection.execute(statement)}
        return None if len(found) > most else found

    async def set_listed(self, company_id: str, account_id: str, listed: bool) -> None:
        """Show somebody in the company's roster, or hide them there. Raises NotFound."""
        await self._update(company_id, account_id, ChangeKind.ACCOUNT_CHANGED, listed=listed)

    async def set_role(self, company_id: str, account_id: str, role: Role) -> None:
        """Give the account this role and end its tokens, which carry the old one. Raises NotFound."""
        await self._update(company_id, account_id, ChangeKind.ACCOUNT_CHANGED, role=role, epoch=_u.epoch + 1)

    async def change(self, company_id: str, account_id: str, values: Mapping[str, object]) -> None:
        """Change these columns in one go; another role ends tokens. Raises NotFound and StoreError."""
        changed = dict(values)
        if "name" in changed:
            name = tidy_name(str(changed["name"]))
            changed |= {"name": name, "name_key": search_key(name)}
        if "role" in changed:
            changed["epoch"] = _u.epoch + 1
        await self._update(company_id, account_id, ChangeKind.ACCOUNT_CHANGED, **changed)

    async def set_name(self, company_id: str, account_id: str, name: str) -> None:
        """Say what others call this person. Raises NotFound, and StoreError for a name that does not fit."""
        name = tidy_name(name)
        values = {"name": name, "name_key": search_key(name)}
        await self._update(company_id, account_id, ChangeKind.ACCOUNT_CHANGED, **values)

    async def set_visibility(self, company_id: str, account_id: str, visibility: Visibility) -> None:
        """Say who may find and reach this person. Raises NotFound."""
        await self._update(company_id, account_id, ChangeKind.ACCOUNT_CHANGED, visibility=visibility)

    async def set_service_level(self, company_id: str, account_id: str, service_level: str) -> None:
        """Give the account this service level. Raises NotFound."""
        await self._update(company_id, account_id, ChangeKind.ACCOUNT_CHANGED, service_level=service_level)

    async def set_disabled(self, company_id: str, account_id: str, disabled: bool) -> None:
        """Shut the account out, or let it in again; its epoch rises. Raises NotFound."""
        kind = ChangeKind.ACCOUNT_DISABLED if disabled else ChangeKind.ACCOUNT_ENABLED
        await self._update(company_id, account_id, kind, disabled=disabled, epoch=_u.epoch + 1)

    async def set_second_factor(self, company_id: str, account_id: str, second_factor: bool) -> None:
        """Say whether the password alone suffices; whatever was logged in ends. Raises NotFound."""
        await self._update(
            company_id,
            account_id,
            ChangeKind.FACTOR_CHANGED,
            second_factor=second_factor,
            epoch=_u.epoch + 1,
        )

    async def bump_epoch(
        self, company_id: str, account_id: str, kind: ChangeKind = ChangeKind.CREDENTIALS_CHANGED
    ) -> None:
        """End the account's tokens and sessions without changing anything else. Raises NotFound.

        `kind` says why, and so what the sessions are told.
        """
        await self._update(company_id, account_id, kind, epoch=_u.epoch + 1)

    async def remove(self, company_id: str, account_id: str) -> None:
        """Remove the account and all it owns, in plugins' tables too. Raises NotFound and BeingMoved."""
        async with self._database.write() as connection:
            await refuse_if_frozen(connection, account_id)
            gone = await connection.execute(
                sa.delete(tables.users).where(_u.company_id == company_id, _u.id == account_id)
            )
            if gone.rowcount == 0:
                raise NotFound("account", account_id)
            at = int(self._now())
            await changes.record(connection, at, ChangeKind.ACCOUNT_REMOVED, company_id, [account_id])

    async def _update(self, company_id: str, account_id: str, kind: ChangeKind, **values: object) -> None:
        async with self._database.write() as connection:
            await refuse_if_frozen(connection, account_id)
            done = await connection.execute(
                sa.update(tables.users)
                .where(_u.company_id == company_id, _u.id == account_id)
                .values(**values)
            )
            if done.rowcount == 0:
                raise NotFound("account", account_id)
            if "epoch" in values:
                await end_logins(connection, company_id, account_id)
            await changes.record(connection, int(self._now()), kind, company_id, [account_id])


async def _how_many(connection: AsyncConnection, company_id: str) -> int:
    counting = sa.select(sa.func.count()).select_from(tables.users).where(_u.company_id == company_id)
    return int((await connection.execute(counting)).scalar_one())


async def _add_all(connection: AsyncConnection, rows: Sequence[NewAccount], at: int) -> list[Account]:
    dialect = connection.dialect.name
    companies = await companies_of(connection, dialect, rows)
    if conflicts := await conflicts_of(connection, dialect, rows, companies):
        raise ImportRefused(conflicts)
    accounts = [account_from(row, companies[company_key(row.company)]) for row in rows]
    await insert(connection, rows, accounts, at)
    by_company: dict[str, list[str]] = {}
    for account in accounts:
        by_company.setdefault(account.company.id, []).append(account.id)
    for company_id, ids in by_company.items():
        await changes.record(connection, at, ChangeKind.ACCOUNT_ADDED, company_id, ids)
    return accounts


def _members(rows: Iterable[Sequence[Any]]) -> list[Member]:
    """Members from rows of one account and one of its addresses each, an account's rows standing together."""
    reader = AccountReader()
    found: dict[str, Member] = {}
    for row in rows:
        id, (created_at, address) = row[COMPANY_WIDTH], row[WIDTH:]
        known = found.get(id)
        if known is not None:
            found[id] = replace(known, emails=(*known.emails, address))
        else:
            found[id] = Member(reader.account(row), (address,) if address else (), created_at)
    return [*found.values()]
