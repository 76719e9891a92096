"""Refresh tokens: opaque, kept as hashes, each good for one use; a second use ends the whole family.

A family is what one login gave out; its id stands in the access tokens too, so that ending it ends those. The login of
a browser is a family too: of one token, which stays the same and is good for nothing else.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import changes, tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.values import Account, ChangeKind

_t = tables.refresh_tokens.c
BROWSERS = "page"
"""How the ids of browsers' families begin."""
LATER_S = 60
"""That a token was used is written when it makes so much of a difference."""
_ALIVE = sa.select(_t.owner_id).where(_t.family == sa.bindparam("family")).limit(1)

_BROWSER = sa.select(_t.owner_id, _t.family, _t.created_at, _t.expires_at).where(
    _t.hash == sa.bindparam("hash"),
    _t.expires_at > sa.bindparam("now"),
    _t.created_at > sa.bindparam("oldest"),
)


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


@dataclass(frozen=True, slots=True)
class BrowserLogin:
    """What a browser's token is good for; `began` is Unix time in seconds."""

    account_id: str
    family: str
    began: int


class RefreshTokens:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._alive = database.prepare(_ALIVE)
        self._browser = database.prepare(_BROWSER)

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
                await self._end(connection, _t.family.in_(family.scalar_subquery()))
                return None
            return await self._issue(connection, row[0], row[1], row[2], lifetime_s)

    async def begin_in_browser(self, account: Account, idle_s: int) -> Issued:
        """The token of a browser whose user has just proved who they are; good while `stay` is asked that often."""
        family = BROWSERS + secrets.token_hex(14)
        async with self._database.write() as connection:
            return await self._issue(
                connection, account.company.id, account.id, family, idle_s, hashed=_hash_of_browsers
            )

    async def stay(self, text: str, idle_s: int, longest_s: int) -> BrowserLogin | None:
        """Whose browser this is, which may be idle for so long from now on; None for a token that is worth nothing.

        No login lasts longer than `longest_s`.
        """
        now, hashed = int(self._now()), _hash_of_browsers(text)
        row = await self._database.fetch(
            self._browser, {"hash": hashed, "now": now, "oldest": now - longest_s}
        )
        if not row:
            return None
        account_id, family, began, expires_at = row[0]
        if expires_at < now + idle_s - LATER_S:
            async with self._database.write() as connection:
                await connection.execute(
                    sa.update(tables.refresh_tokens).where(_t.hash == hashed).values(expires_at=now + idle_s)
                )
        return BrowserLogin(account_id, family, began)

    async def is_alive(self, family: str) -> bool:
        """The family was not ended."""
        return bool(await self._database.fetch(self._alive, {"family": family}))

    async def families(self, company_id: str, account_id: str) -> list[tuple[str, int]]:
        """The logins of an account that go on, and when each began (Unix time in seconds)."""
        statement = (
            sa.select(_t.family, sa.func.min(_t.created_at))
            .where(_t.company_id == company_id, _t.owner_id == account_id)
            .group_by(_t.family)
            .having(sa.func.max(_t.expires_at) > int(self._now()))
            .order_by(sa.func.min(_t.created_at))
        )
        async with self._database.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(statement)]

    async def end_family(self, family: str) -> None:
        """Log out: no token of this login is good any more, and servers that hear of it end its sessions."""
        async with self._database.write() as connection:
            await self._end(connection, _t.family == family)

    async def _end(self, connection: AsyncConnection, which: sa.ColumnElement[bool]) -> None:
        ending = sa.delete(tables.refresh_tokens).where(which).returning(_t.company_id, _t.owner_id)
        for company_id, account_id in {tuple(row) for row in await connection.execute(ending)}:
            await changes.record(
                connection, int(self._now()), ChangeKind.LOGIN_ENDED, company_id, [account_id]
            )

    async def forget_expired(self) -> int:
        """Drop what is over; returns how many."""
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.delete(tables.refresh_tokens).where(_t.expires_at <= int(self._now()))
            )
            return done.rowcount

    async def _issue(
        self,
        connection: AsyncConnection,
        company_id: str,
        account_id: str,
        family: str,
        lifetime_s: int,
        *,
        hashed: Callable[[str], str] | None = None,
    ) -> Issued:
        text = secrets.token_urlsafe(32)
        row = await owned_by(connection, company_id, account_id, self._now())
        row |= {
            "hash": (hashed or _hash)(text),
            "family": family,
            "expires_at": int(self._now()) + lifetime_s,
        }
        await connection.execute(sa.insert(tables.refresh_tokens), row)
        return Issued(text, family, account_id)


def _hash(text: str) -> str:
    """What is kept: 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of_browsers(text: str) -> str:
    """Another function, so that no token of a browser is ever taken for one of the API, or the reverse."""
    return hashlib.sha3_256(text.encode()).hexdigest()
