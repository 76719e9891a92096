"""Requests and invitations as rows. What decides about a guess is one statement, so that guesses made at once count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugins.mfa_pin.states import (
    MOST_BACKWARDS_S,
    MOST_LIFETIME_S,
    Request,
    Rules,
    State,
)
from rainbow_xmpp.plugins.mfa_pin.tables import invitations, requests
from rainbow_xmpp.store import Store

_r, _i = requests.c, invitations.c
DAY_S = 86_400
HOUR_S = 3600
_OPEN = (State.REQUESTED, State.SENT)
_ASKING = 0x52614E42
"""PostgreSQL's advisory lock of those who ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A request as it is kept. `address` is sealed."""

    id: str
    purpose: str
    subject: str
    source: str
    company_id: str
    account_id: str
    region: str
    template: str
    language: str
    address: bytes = field(repr=False)
    hash: str = field(repr=False)
    life: Request


@dataclass(frozen=True, slots=True)
class Load:
    """How many PINs were sent: for one address in a day, from one network, for one company and in all in an hour."""

    subject: int
    source: int
    company: int
    overall: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation of an address into a company. `address` is sealed."""

    id: str
    company_id: str
    region: str
    address: bytes = field(repr=False)
    created_at: int
    expires_at: int
    account_id: str = ""
    """The account that was made for them and waits for a password; "" when there is none yet."""


class Requests:
    """`now` is Unix time in whole seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self, subject: str, source: str, company_id: str, now: int) -> Load:
        """What limits ask for, in one statement that costs the same for everybody."""
        async with self._store.read() as connection:
            return await self._load(connection, subject, source, company_id, now)

    async def settled_load(
        self, connection: AsyncConnection, subject: str, source: str, company_id: str, now: int
    ) -> Load:
        """The same in a transaction that sends: whoever sends at the same time waits until it is counted."""
        if self._store.dialect == "postgresql":  # SQLite has one writer anyway
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ASKING)))
        return await self._load(connection, subject, source, company_id, now)

    async def _load(
        self, connection: AsyncConnection, subject: str, source: str, company_id: str, now: int
    ) -> Load:
        recent = now - HOUR_S

        def sent(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
            return sa.func.coalesce(sa.func.sum(sa.case((sa.and_(*conditions), _r.sends), else_=0)), 0)

        in_a_day = sa.select(
            sent(_r.subject == subject),
            sent(_r.source == source, _r.created_at > recent),
            sent(_r.company_id == company_id, _r.created_at > recent),
            sent(_r.created_at > recent),
        ).where(_r.created_at > now - DAY_S)
        return Load(*map(int, (await connection.execute(in_a_day)).one()))

    async def add(self, connection: AsyncConnection, row: Row) -> None:
        """Keep a new request."""
        await connection.execute(sa.insert(requests), _values(row))

    async def void_others(self, connection: AsyncConnection, row: Row, *, is_quiet: bool) -> None:
        """Earlier PINs for the same address and purpose are worth nothing once another is sent.

        With `is_quiet` none is sent, and the same statement finds nothing.
        """
        voiding = (
            sa.update(requests)
            .where(
                _r.subject == ("" if is_quiet else row.subject),
                _r.purpose == row.purpose,
                _r.id != row.id,
                _r.state.in_(_OPEN),
            )
            .values(state=State.VOID, hash="")
        )
        await connection.execute(voiding)

    async def get(self, request_id: str) -> Row | None:
        """A request, whatever became of it."""
        async with self._store.read() as connection:
            found = await connection.execute(sa.select(requests).where(_r.id == request_id))
            row = found.mappings().one_or_none()
        return None if row is None else _row(row)

    async def latest(self, purpose: str, subject: str, source: str) -> str:
        """The id of the newest request for an address from a network, whatever became of it; "" for none.

        Those whose PIN was never sent come last: the one before them is still good.
        """
        newest = (
            sa.select(_r.id)
            .where(_r.subject == subject, _r.source == source, _r.purpose == purpose)
            .order_by(_r.is_real.desc(), _r.created_at.desc(), _r.id)
            .limit(1)
        )
        async with self._store.read() as connection:
            return (await connection.execute(newest)).scalar_one_or_none() or ""

    async def spend(self, request_id: str, purpose: str, now: int) -> Row | None:
        """Take one try of a request that is open, before the PIN is looked at; the request with what is left.

        None: it is not open. However many do it at once, there are no more tries than there are.
        """
        taking = (
            sa.update(requests)
            .where(
                _r.id == request_id,
                _r.purpose == purpose,
                _r.state.in_(_OPEN),
                _r.tries_left > 0,
                _r.expires_at > now,
                _r.expires_at <= now + MOST_LIFETIME_S + MOST_BACKWARDS_S,
                _r.created_at <= now + MOST_BACKWARDS_S,
            )
            .values(tries_left=_r.tries_left - 1)
            .returning(requests)
        )
        async with self._store.write() as connection:
            row = (await connection.execute(taking)).mappings().one_or_none()
        return None if row is None else _row(row)

    async def use(self, connection: AsyncConnection, row: Row) -> bool:
        """Let a PIN that was right count, once: False when somebody else was first, or it was replaced."""
        using = (
            sa.update(requests)
            .where(_r.id == row.id, _r.state == State.SENT, _r.hash == row.hash)
            .values(state=State.USED, hash="", tries_left=0)
        )
        return (await connection.execute(using)).rowcount == 1

    async def give_back(self, row: Row) -> None:
        """The PIN was right and something else was not, which is no guess: the try was not one."""
        giving = (
            sa.update(requests)
            .where(_r.id == row.id, _r.state == State.SENT, _r.hash == row.hash)
            .values(tries_left=_r.tries_left + 1)
        )
        async with self._store.write() as connection:
            await connection.execute(giving)

    async def void(self, request_id: str) -> None:
        """Its last try was wrong."""
        voiding = (
            sa.update(requests)
            .where(_r.id == request_id, _r.state.in_(_OPEN), _r.tries_left == 0)
            .values(state=State.VOID, hash="")
        )
        async with self._store.write() as connection:
            await connection.execute(voiding)

    async def send_again(
        self,
        connection: AsyncConnection,
        row: Row,
        stored: str,
        rules: Rules,
        now: int,
        *,
        is_quiet: bool = False,
    ) -> bool:
        """Another PIN in the place of the one before. False: something else happened at the same time.

        With `is_quiet` none is sent: what was sent before stays as it is, with the tries that it has left.
        """
        life = row.life.held_back(now, rules) if is_quiet else row.life.sent_again(now, rules)
        sending = (
            sa.update(requests)
            .where(
                _r.id == row.id, _r.sends == row.life.sends, _r.next_send_at <= now, _r.state != State.USED
            )
            .values(
                hash=_r.hash if is_quiet else stored,
                state=_r.state if is_quiet else life.state,
                tries_left=_r.tries_left if is_quiet else life.tries_left,
                sends=life.sends,
                expires_at=life.expires_at,
                next_send_at=life.next_send_at,
            )
        )
        return (await connection.execute(sending)).rowcount == 1

    async def forget_before(self, at: int) -> int:
        """Drop requests that began before; how many."""
        async with self._store.write() as connection:
            return (await connection.execute(sa.delete(requests).where(_r.created_at < at))).rowcount

    # -- invitations -----------------------------------------------------------------------------------

    async def invite(self, connection: AsyncConnection, invitation: Invitation, token: str) -> None:
        """Keep an invitation. `token` is the hash of the token."""
        row = {
            "id": invitation.id,
            "company_id": invitation.company_id,
            "region": invitation.region,
            "token": token,
            "address": invitation.address,
            "created_at": invitation.created_at,
            "expires_at": invitation.expires_at,
            "account_id": invitation.account_id,
        }
        await connection.execute(sa.insert(invitations), row)

    async def invited_since(self, connection: AsyncConnection, company_id: str, at: int) -> int:
        """How many invitations of a company, of those that are there, were sent after this time."""
        counting = (
            sa.select(sa.func.count())
            .select_from(invitations)
            .where(_i.company_id == company_id, _i.created_at > at)
        )
        return int((await connection.execute(counting)).scalar_one())

    async def invited(self, token: str, now: int) -> Invitation | None:
        """The invitation with this hash of its token, while it is good."""
        statement = sa.select(invitations).where(_i.token == token, _i.expires_at > now)
        async with self._store.read() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else _invitation(row)

    async def invitations_of(self, company_id: str, now: int) -> Sequence[Invitation]:
        """Those of a company that are good, oldest first."""
        statement = (
            sa.select(invitations)
            .where(_i.company_id == company_id, _i.expires_at > now)
            .order_by(_i.created_at, _i.id)
        )
        async with self._store.read() as connection:
            return [_invitation(row) for row in (await connection.execute(statement)).mappings()]

    async def drop_invitation(self, connection: AsyncConnection, company_id: str, invitation_id: str) -> bool:
        """It was used, or taken back; False when there is none (any more)."""
        dropping = sa.delete(invitations).where(_i.company_id == company_id, _i.id == invitation_id)
        return (await connection.execute(dropping)).rowcount == 1

    async def forget_first_passwords(self, account_id: str) -> None:
        """The account has a password: nobody needs to choose its first one any more."""
        async with self._store.write() as connection:
            await connection.execute(
                sa.delete(invitations).where(_i.account_id == account_id, _i.account_id != "")
            )

    async def forget_invitations(self, now: int) -> None:
        """Drop those that are over; not at once, for somebody may just be accepting one (XEP-0445 §4)."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(invitations).where(_i.expires_at <= now - HOUR_S))


def _values(row: Row) -> dict[str, object]:
    life = row.life
    return {
        "id": row.id,
        "purpose": row.purpose,
        "subject": row.subject,
        "source": row.source,
        "company_id": row.company_id,
        "account_id": row.account_id,
        "region": row.region,
        "template": row.template,
        "language": row.language,
        "address": row.address,
        "hash": row.hash,
        "state": life.state,
        "is_real": life.is_real,
        "tries_left": life.tries_left,
        "sends": life.sends,
        "created_at": life.created_at,
        "expires_at": life.expires_at,
        "next_send_at": life.next_send_at,
    }


def _row(found: sa.RowMapping) -> Row:
    names = ("state", "is_real", "created_at", "expires_at", "tries_left", "sends", "next_send_at")
    life: dict[str, Any] = {name: found[name] for name in names}
    life["state"] = State(life["state"])
    life["is_real"] = bool(life["is_real"])
    own = {name: value for name, value in found.items() if name not in names}
    own["address"] = bytes(own["address"])
    return Row(**own, life=Request(**life))


def _invitation(found: sa.RowMapping) -> Invitation:
    return Invitation(
        id=found["id"],
        company_id=found["company_id"],
        region=found["region"],
        address=bytes(found["address"]),
        created_at=int(found["created_at"]),
        expires_at=int(found["expires_at"]),
        account_id=found["account_id"],
    )
