"""Tokens as rows: for each client of an account, the one that it uses and the one that it has not used yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugin import Account, RememberedClient
from rainbow_xmpp.plugins.fast.hashed_token import MECHANISMS
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.carried import Carried, Keys, Row, Unreadable
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import people_table, users
from rainbow_xmpp.store.upsert import upsert
from rainbow_xmpp.stream import UserAgent

USED_AGAIN_S = 3600
"""When a client came last is known so exactly, and not to the second: a login need not write."""

BOX = "fast"
"""What the box is called that tokens are sealed in."""


def place(account_id: str, agent: str, mechanism: str) -> str:
    """What a token is sealed to: moved to another row it does not open, and for another mechanism neither (§3.4)."""
    return f"{account_id} {agent} {mechanism}"


def _to_cross(row: Row, keys: Keys) -> Row:
    """The mechanism stands in no column: the token opens for one of them."""
    box = keys.box_for(BOX)
    for mechanism in MECHANISMS:
        token = box.open(row["sealed"], place(row["owner_id"], row["agent"], mechanism))
        if token is not None:
            return {**row, "sealed": mechanism.encode() + b"\n" + token}
    raise Unreadable("a token is sealed under a key that is not here")


def _to_stay(row: Row, keys: Keys) -> Row:
    mechanism, _, token = row["sealed"].partition(b"\n")
    belongs_to = place(row["owner_id"], row["agent"], mechanism.decode())
    return {**row, "sealed": keys.box_for(BOX).seal(token, belongs_to)}


tokens = people_table(
    "fast_tokens",
    sa.Column("agent", sa.String(36), nullable=False),
    sa.Column("slot", sa.String(8), nullable=False, info={"like": "new"}),
    sa.Column(
        "sealed", sa.LargeBinary(), nullable=False, info={"like": f"{MECHANISMS[0]}\n{{}}"}
    ),  # the token; it opens for this client and mechanism
    sa.Column("epoch", sa.Integer(), nullable=False),  # of the account, when the token was given
    sa.Column("expires_at", sa.BigInteger(), nullable=False, index=True),
    sa.Column("proven_at", sa.BigInteger(), nullable=False),  # when its owner last logged in in full
    sa.Column("used_at", sa.BigInteger(), nullable=False),
    sa.Column("count", sa.BigInteger(), nullable=False),
    sa.Column("software", sa.String(128), nullable=False),
    sa.Column("device", sa.String(128), nullable=False),
    key=("agent", "slot"),
    carried=Carried(_to_cross, _to_stay),
)

_t = tokens.c
_OWNED = sa.and_(_t.company_id == sa.bindparam("company"), _t.owner_id == sa.bindparam("owner"))
_OF_AGENT = sa.select(
    _t.slot, _t.sealed, _t.epoch, _t.created_at, _t.expires_at, _t.proven_at, _t.used_at, _t.count
).where(_OWNED, _t.agent == sa.bindparam("agent"))
_FRESH = sa.select(
    _t.agent,
    sa.func.max(_t.software),
    sa.func.max(_t.device),
    sa.func.max(_t.used_at),
    sa.func.max(_t.created_at),
).group_by(_t.agent)


class Slot(StrEnum):
    """XEP-0484 §5.1."""

    CURRENT = "current"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Token:
    """One as it is kept. Times are Unix time in seconds."""

    agent: str
    slot: Slot
    sealed: bytes = field(repr=False)
    epoch: int
    issued_at: int
    expires_at: int
    proven_at: int
    """When its owner last logged in in full, with a password and whatever else had to be done."""
    used_at: int
    """0 = never."""
    count: int
    """The greatest that was used with it (§3.4)."""


class FastTokens:
    """Every statement is of one account's rows, but for the job that drops what is over."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of_agent = store.prepare(_OF_AGENT)

    async def of_agent(self, company_id: str, owner_id: str, agent: str) -> Mapping[Slot, Token]:
        """A client's tokens; none for what does not exist, at the same cost."""
        parameters = {"company": company_id, "owner": owner_id, "agent": agent}
        found = await self._store.fetch(self._of_agent, parameters)
        return {Slot(row[0]): Token(agent, Slot(row[0]), bytes(row[1]), *map(int, row[2:])) for row in found}

    async def use(
        self, account: Account, token: Token, count: int | None, now: int, *, is_last: bool
    ) -> bool:
        """Let a token count that was proven: the older one of its client is over from now on (§3.5).

        With `is_last` this one is, too (§3.6). False: it is gone meanwhile, or somebody was there with this count, or
        a greater one, before (§3.4); of those who come at once with the same one, one is let in.
        """
        if (
            token.slot is Slot.CURRENT
            and count is None
            and not is_last
            and now - token.used_at < USED_AGAIN_S
        ):
            return True
        owned = _of_client(account, token.agent)
        using = sa.update(tokens).where(owned, _t.sealed == token.sealed)
        if count is not None:
            using = using.where(_t.count < count).values(count=count)
        async with self._store.write() as connection:
            slot = (
                await connection.execute(using.values(used_at=now).returning(_t.slot))
            ).scalar_one_or_none()
            if slot is None:
                return False
            if is_last:
                await connection.execute(sa.delete(tokens).where(owned))
            elif slot == Slot.NEW:
                await connection.execute(sa.delete(tokens).where(owned, _t.slot == Slot.CURRENT))
                await connection.execute(
                    sa.update(tokens).where(owned, _t.slot == Slot.NEW).values(slot=Slot.CURRENT)
                )
        return True

    async def put(
        self, account: Account, agent: UserAgent, sealed: bytes, *, expires_at: int, proven_at: int, most: int
    ) -> None:
        """Keep a new token in the place of one that was not used (§3.5). Of more than `most` clients, those that have
        not come for longest are forgotten. Raises NotFound when the account is gone."""
        now = self._store.now()
        async with self._store.write() as connection:
            row = await owned_by(connection, account.company.id, account.id, now)
            row |= {
                "agent": agent.id,
                "slot": Slot.NEW,
                "sealed": sealed,
                "epoch": account.epoch,
                "expires_at": expires_at,
                "proven_at": proven_at,
                "used_at": 0,
                "count": 0,
                "software": agent.software,
                "device": agent.device,
            }
            key = [column.name for column in tokens.primary_key.columns]
            changed = [name for name in row if name not in key]
            await connection.execute(upsert(self._store.dialect, tokens, changed), row)
            await self._forget_others(connection, account, agent.id, most - 1)

    async def _forget_others(
        self, connection: AsyncConnection, account: Account, agent: str, most: int
    ) -> None:
        owned = sa.and_(
            _of_account(account), _t.agent != agent
        )  # that one is here now, whatever the clocks say
        latest = sa.func.max(sa.case((_t.used_at > _t.created_at, _t.used_at), else_=_t.created_at))
        by_age = sa.select(_t.agent).where(owned).group_by(_t.agent).order_by(latest.desc(), _t.agent)
        beyond = (await connection.execute(by_age.offset(most))).scalars().all()
        if beyond:
            await connection.execute(sa.delete(tokens).where(owned, _t.agent.in_(beyond)))

    async def clients(self, account: Account, now: int) -> list[RememberedClient]:
        """The clients that may come back."""
        statement = _FRESH.where(_of_account(account), _t.epoch == account.epoch, _t.expires_at > now)
        async with self._store.read() as connection:
            found: Any = await connection.execute(statement.order_by(_t.agent))
            return [RememberedClient(*row) for row in found]

    async def forget(self, account: Account, agent: str) -> bool:
        """A client may not come back by itself; False when it could not anyway."""
        async with self._store.write() as connection:
            deleting = sa.delete(tokens).where(_of_client(account, agent))
            return (await connection.execute(deleting)).rowcount > 0

    async def forget_dead(self, now: int) -> int:
        """Drop what is over: by time, or because the account was changed since; how many."""
        epoch = sa.select(users.c.epoch).where(users.c.id == _t.owner_id).scalar_subquery()
        async with self._store.write() as connection:
            deleting = sa.delete(tokens).where(sa.or_(_t.expires_at <= now, _t.epoch != epoch))
            return (await connection.execute(deleting)).rowcount


def _of_account(account: Account) -> sa.ColumnElement[bool]:
    return sa.and_(_t.company_id == account.company.id, _t.owner_id == account.id)


def _of_client(account: Account, agent: str) -> sa.ColumnElement[bool]:
    return sa.and_(_of_account(account), _t.agent == agent)
