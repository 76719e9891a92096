"""Second factors as rows. What decides whether a code counts is one statement, so that it counts once.

`now` is Unix time in whole seconds. Secrets come and go sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.second_factor.tables import apps, factors, recovery_codes
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.upsert import upsert

_f, _c, _a = factors.c, recovery_codes.c, apps.c
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Factor:
    """What is kept of an account's factor."""

    secret: bytes | None = field(repr=False)
    on_since: int | None
    tries: int
    tries_since: int
    pending: bytes | None = field(repr=False)
    pending_until: int


@dataclass(frozen=True, slots=True)
class App:
    """What an app password is called, and when it was used."""

    id: str
    name: str
    created_at: int
    used_at: int | None


_COLUMNS = (_f.secret, _f.on_since, _f.tries, _f.tries_since, _f.pending, _f.pending_until)


class Factors:
    """One row for each account that began to make a factor."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, account: Account) -> Factor | None:
        """What there is by now."""
        async with self._store.read() as connection:
            return await self.get_within(connection, account)

    async def get_within(self, connection: AsyncConnection, account: Account) -> Factor | None:
        """The same as a transaction sees it."""
        found = await connection.execute(sa.select(*_COLUMNS).where(*_of(account)))
        row = found.one_or_none()
        return None if row is None else Factor(*row)

    async def put_pending(self, account: Account, sealed: bytes, until: int) -> None:
        """Keep a secret that waits to be confirmed, in the place of one before."""
        async with self._store.write() as connection:
            row = await owned_by(connection, account.company.id, account.id, self._store.now())
            row |= {"last_step": 0, "tries": 0, "tries_since": 0, "pending": sealed, "pending_until": until}
            await connection.execute(upsert(self._store.dialect, factors, ("pending", "pending_until")), row)

    async def spend(
        self, connection: AsyncConnection, account: Account, now: int, most: int
    ) -> Factor | None:
        """Count a try as wrong before the code is looked at; None when there were `most` within the hour.

        Holds the row until the transaction's end: others who try at the same time come afterwards.
        """
        is_new_hour = sa.or_(_f.tries_since <= now - HOUR_S, _f.tries_since > now)
        spending = (
            sa.update(factors)
            .where(*_of(account), sa.or_(is_new_hour, _f.tries < most))
            .values(
                tries=sa.case((is_new_hour, 1), else_=_f.tries + 1),
                tries_since=sa.case((is_new_hour, now), else_=_f.tries_since),
            )
            .returning(*_COLUMNS)
        )
        row = (await connection.execute(spending)).one_or_none()
        return None if row is None else Factor(*row)

    async def give_back(self, connection: AsyncConnection, account: Account) -> None:
        """The try was right, and is no wrong one."""
        await connection.execute(
            sa.update(factors).where(*_of(account), _f.tries > 0).values(tries=_f.tries - 1)
        )

    async def use_step(self, connection: AsyncConnection, account: Account, secret: bytes, step: int) -> bool:
        """Let the code of this time step count; False when it, or a later one, was used already."""
        using = (
            sa.update(factors)
            .where(*_of(account), _f.secret == secret, _f.last_step < step)
            .values(last_step=step)
        )
        return (await connection.execute(using)).rowcount == 1

    async def use_recovery_code(self, connection: AsyncConnection, account: Account, hash: str) -> bool:
        """Let this recovery code count; False when there is none (any more)."""
        using = sa.delete(recovery_codes).where(
            _c.company_id == account.company.id, _c.owner_id == account.id, _c.hash == hash
        )
        return (await connection.execute(using)).rowcount == 1

    async def confirm(
        self, connection: AsyncConnection, account: Account, pending: bytes, step: int, now: int
    ) -> bool:
        """What is pending is the factor from now on; False when it is not what is pending any more."""
        confirming = (
            sa.update(factors)
            .where(*_of(account), _f.pending == pending)
            .values(
                secret=_f.pending,
                on_since=now,
                last_step=step,
                tries=0,
                pending=None,
                pending_until=0,
            )
        )
        return (await connection.execute(confirming)).rowcount == 1

    async def replace_codes(
        self, connection: AsyncConnection, account: Account, hashes: Sequence[str]
    ) -> None:
        """These recovery codes in the place of those there are."""
        await connection.execute(
            sa.delete(recovery_codes).where(_c.company_id == account.company.id, _c.owner_id == account.id)
        )
        whose = await owned_by(connection, account.company.id, account.id, self._store.now())
        await connection.execute(sa.insert(recovery_codes), [whose | {"hash": hash} for hash in hashes])

    async def count_codes(self, account: Account) -> int:
        """How many recovery codes are left."""
        counting = (
            sa.select(sa.func.count())
            .select_from(recovery_codes)
            .where(_c.company_id == account.company.id, _c.owner_id == account.id)
        )
        async with self._store.read() as connection:
            return int((await connection.execute(counting)).scalar_one())

    async def forget(self, connection: AsyncConnection, account: Account) -> None:
        """Nothing is left of the factor."""
        for table in (factors, recovery_codes, apps):
            await connection.execute(
                sa.delete(table).where(
                    table.c.company_id == account.company.id, table.c.owner_id == account.id
                )
            )

    # -- app passwords ---------------------------------------------------------------------------------

    async def add_app(self, connection: AsyncConnection, account: Account, id: str, name: str) -> None:
        """Keep what an app password is called."""
        whose = await owned_by(connection, account.company.id, account.id, self._store.now())
        await connection.execute(sa.insert(apps), whose | {"id": id, "name": name})

    async def drop_app(self, connection: AsyncConnection, account: Account, id: str) -> None:
        await connection.execute(
            sa.delete(apps).where(_a.company_id == account.company.id, _a.owner_id == account.id, _a.id == id)
        )

    async def apps_of(self, account: Account) -> dict[str, App]:
        """By their ids; also those that a new password has ended."""
        statement = sa.select(_a.id, _a.name, _a.created_at, _a.used_at).where(
            _a.company_id == account.company.id, _a.owner_id == account.id
        )
        async with self._store.read() as connection:
            return {row[0]: App(*row) for row in await connection.execute(statement)}

    async def app_used(self, account: Account, id: str, now: int) -> None:
        """A client logged in with it; written once an hour at the most."""
        using = (
            sa.update(apps)
            .where(
                _a.company_id == account.company.id,
                _a.owner_id == account.id,
                _a.id == id,
                sa.or_(_a.used_at.is_(None), _a.used_at <= now - HOUR_S),
            )
            .values(used_at=now)
        )
        async with self._store.write() as connection:
            await connection.execute(using)

    # -- another sealing key ---------------------------------------------------------------------------

    async def sealed(self, *, after: str = "", most: int = 500) -> list[tuple[str, str, bytes]]:
        """Company, account and sealed secret, by account; ask again with the last account while any come."""
        statement = (
            sa.select(_f.company_id, _f.owner_id, _f.secret)
            .where(_f.secret.is_not(None), _f.owner_id > after)
            .order_by(_f.owner_id)
            .limit(most)
        )
        async with self._store.read() as connection:
            return [(row[0], row[1], bytes(row[2])) for row in await connection.execute(statement)]

    async def reseal(self, company_id: str, account_id: str, before: bytes, after: bytes) -> None:
        """The same secret under another key, unless it is another secret by now."""
        async with self._store.write() as connection:
            await connection.execute(
                sa.update(factors)
                .where(_f.company_id == company_id, _f.owner_id == account_id, _f.secret == before)
                .values(secret=after)
            )


def _of(account: Account) -> tuple[sa.ColumnElement[bool], ...]:
    return (_f.company_id == account.company.id, _f.owner_id == account.id)
