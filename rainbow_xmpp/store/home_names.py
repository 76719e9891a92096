"""Keyed hashes of the names of those who are at home here, for the questions of other regions."""

from collections.abc import Callable, Sequence
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.directory import ACCOUNT_COLUMNS, AccountReader
from rainbow_xmpp.store.ownership import owned_by_each
from rainbow_xmpp.store.upsert import insert_or_ignore
from rainbow_xmpp.store.values import Account

_u, _e, _n = tables.users.c, tables.emails.c, tables.home_names.c
_AT_ONCE = 500


class Key(Protocol):
    """See `rainbow_xmpp.regions.names.NamesKey`."""

    id: str

    def hash(self, name: str, /) -> bytes: ...


class HomeNames:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def find(self, hashes: Sequence[bytes]) -> dict[bytes, Account]:
        """Who is meant by these; nobody by those that are left out, nor by a disabled account's."""
        statement = (
            sa.select(_n.hash, *ACCOUNT_COLUMNS)
            .select_from(
                tables.home_names.join(
                    tables.users, sa.and_(_u.company_id == _n.company_id, _u.id == _n.owner_id)
                ).join(tables.companies, tables.companies.c.id == _u.company_id)
            )
            .where(_n.hash.in_(hashes))
        )
        async with self._database.read() as connection:
            reader = AccountReader()
            found = {bytes(row[0]): reader.account(row[1:]) for row in await connection.execute(statement)}
        return {hash_: account for hash_, account in found.items() if account.may_log_in}

    async def taken(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Which of these are somebody's name here, disabled or not."""
        if not hashes:
            return set()
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(_n.hash).where(_n.hash.in_(hashes)))
            return {bytes(hash_) for hash_ in rows.scalars()}

    async def complete(self, keys: Sequence[Key]) -> int:
        """Enter everybody who is missing under one of these keys, forget what other keys made; how many are new."""
        ids = [key.id for key in keys]
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.home_names).where(_n.key_id.not_in(ids)))
        entered = 0
        for key in keys:
            missing = sa.select(_u.company_id, _u.id).where(
                ~sa.exists().where(_n.company_id == _u.company_id, _n.owner_id == _u.id, _n.key_id == key.id)
            )
            while True:
                async with self._database.write() as connection:
                    people = [(row[0], row[1]) for row in await connection.execute(missing.limit(_AT_ONCE))]
                    await self._enter(connection, people, [key])
                entered += len(people)
                if len(people) < _AT_ONCE:
                    break
        return entered

    async def renew(self, company_id: str, account_id: str, keys: Sequence[Key]) -> None:
        """Enter one person as they are called now."""
        async with self._database.write() as connection:
            of_them = _n.company_id == company_id, _n.owner_id == account_id
            await connection.execute(sa.delete(tables.home_names).where(*of_them))
            await self._enter(connection, [(company_id, account_id)], keys)

    async def _enter(
        self, connection: AsyncConnection, people: Sequence[tuple[str, str]], keys: Sequence[Key]
    ) -> None:
        if not people:
            return
        ids = [account_id for _, account_id in people]
        names: dict[str, list[str]] = {}
        for statement in (
            sa.select(_u.id, _u.localpart).where(_u.id.in_(ids)),
            sa.select(_e.owner_id, _e.address).where(_e.owner_id.in_(ids)),
        ):
            for owner, name in await connection.execute(statement):
                names.setdefault(owner, []).append(name)
        rows = [
            {**owned, "hash": key.hash(name), "key_id": key.id}
            for owned in await owned_by_each(connection, people, self._now())
            for key in keys
            for name in names.get(str(owned["owner_id"]), ())
        ]
        if rows:
            await connection.execute(insert_or_ignore(self._database.dialect, tables.home_names), rows)
