"""Refresh tokens: opaque, kept as hashes, each good for one use; a second use ends the whole family.

A family is what one login gave out; its id stands in the access tokens too, so that ending it ends those.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.values import Account

_t = tables.refresh_tokens.c
_ALIVE = sa.select(_t.owner_id).where(_t.family == sa.bindparam("family")).limit(1)


async def end_logins(connection: AsyncConnection, company_id: str, account_id: str) -> None:
    """Every login of the API ends: part of each transaction that raises an account's epoch."""
    await connection.execute(
        sa.delete(tables.refresh_tokens).where(_t.company_id == company_id, _t.owner_id == account_id)
    )


@dataclass(frozen=True, slots=True)
class Issued:
    """A new refresh token. The text is shown once and kept nowhere."""

    text: str = field(repr=False)
    family: str
    account_id: str


class RefreshTokens:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._alive = database.prepare(_ALIVE)

    async def begin(self, account: Account, lifetime_s: int) -> Issued:
        """The first token of a new family: somebody has just proved who they are."""
        async with self._database.write() as connection:
            family = secrets.token_hex(16)
            return await self._issue(connection, account.company.id, account.id, family, lifetime_s)

    async def rotate(self, text: str, lifetime_s: int) -> Issued | None:
        """The next token for this one; None for one that is unknown, over, or used before: then its family ends."""
        now = int(self._now())
        async with self._database.write() as connection:
            statement = (
                sa.update(tables.refresh_tokens)
                .where(_t.hash == _hash(text), _t.used_at.is_(None), _t.expires_at > now)
                .values(used_at=now)
                .returning(_t.company_id, _t.owner_id, _t.family)
            )
            row = (await connection.execute(statement)).one_or_none()
            if row is None:
                family = sa.select(_t.family).where(_t.hash == _hash(text), _t.used_at.is_not(None))
                await connection.execute(
                    sa.delete(tables.refresh_tokens).where(_t.family.in_(family.scalar_subquery()))
                )
                return None
            return await self._issue(connection, row[0], row[1], row[2], lifetime_s)

    async def is_alive(self, family: str) -> bool:
        """The family was not ended."""
        return bool(await self._database.fetch(self._alive, {"family": family}))

    async def families(self, company_id: str, account_id: str) -> list[tuple[str, int]]:
        """The logins of an account, and when each began (Unix time in seconds)."""
        statement = (
            sa.select(_t.family, sa.func.min(_t.created_at))
            .where(_t.company_id == company_id, _t.owner_id == account_id)
            .group_by(_t.family)
            .order_by(sa.func.min(_t.created_at))
        )
        async with self._database.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(statement)]

    async def end_family(self, family: str) -> None:
        """Log out: no token of this login is good any more."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.refresh_tokens).where(_t.family == family))

    async def forget_expired(self) -> int:
        """Drop what is over; returns how many."""
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.delete(tables.refresh_tokens).where(_t.expires_at <= int(self._now()))
            )
            return done.rowcount

    async def _issue(
        self, connection: AsyncConnection, company_id: str, account_id: str, family: str, lifetime_s: int
    ) -> Issued:
        text = secrets.token_urlsafe(32)
        row = await owned_by(connection, company_id, account_id, self._now())
        row |= {"hash": _hash(text), "family": family, "expires_at": int(self._now()) + lifetime_s}
        await connection.execute(sa.insert(tables.refresh_tokens), row)
        return Issued(text, family, account_id)


def _hash(text: str) -> str:
    """What is kept: 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()
