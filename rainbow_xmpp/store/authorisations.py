"""Authorisations between people of different companies: an invitation, its acceptance, its end.

Each of the two has a row of their own, in their own company and region; both carry the invitation's id.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.store import changes, tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.effort import Part, spend, taken_back
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.joined import join
from rainbow_xmpp.store.keys import owner_list, owners
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.upsert import upsert
from rainbow_xmpp.store.values import Account, Authorisation, AuthorisationState, ChangeKind

_a = tables.authorisations.c
_COLUMNS = (
    _a.id,
    _a.company_id,
    _a.owner_id,
    _a.contact_id,
    _a.contact_company_id,
    _a.contact_jid,
    _a.state,
    _a.note,
    _a.expires_at,
    _a.created_at,
)
_OF = (
    sa.select(*_COLUMNS)
    .where(_a.company_id == sa.bindparam("company"), _a.owner_id == sa.bindparam("owner"))
    .order_by(_a.created_at, _a.id)
)
NOBODY = "0" * 24
"""The id of no account."""
_SET = ("contact_company_id", "contact_jid", "id", "state", "note", "expires_at")


class Authorisations:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._of = database.prepare(_OF)
        asked = owners(database.dialect)
        theirs = sa.and_(_a.company_id == asked.c.company_id, _a.owner_id == asked.c.owner_id)
        self._of_many = database.prepare(
            sa.select(*_COLUMNS).select_from(asked.join(tables.authorisations, theirs))
        )

    async def of(self, company_id: str, owner_id: str) -> list[Authorisation]:
        """One person's authorisations and invitations, expired ones too, oldest first."""
        rows = await self._database.fetch(self._of, {"company": company_id, "owner": owner_id})
        return [_from(row) for row in rows]

    async def of_many(self, people: Sequence[Account]) -> dict[str, list[Authorisation]]:
        """The same of several people with one question, by their ids; who has none is left out."""
        pairs = [(account.company.id, account.id) for account in people]
        found: dict[str, list[Authorisation]] = {}
        for row in await self._database.fetch(self._of_many, owner_list(self._database.dialect, pairs)):
            found.setdefault(row[2], []).append(_from(row))
        return found

    async def of_company(self, company_id: str) -> list[Authorisation]:
        """Everything of a company's people, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(*_COLUMNS).where(_a.company_id == company_id).order_by(_a.created_at, _a.id)
            )
            return [_from(row) for row in rows]

    async def invite(
        self,
        inviter: Account,
        invitee: Account,
        jids: tuple[str, str],
        *,
        note: str = "",
        expires_at: int | None = None,
    ) -> Authorisation:
        """Invite somebody; when they had invited the inviter, that accepts it. `jids` are both bare JIDs.

        Inviting again changes note and expiry, and nothing that was accepted.
        """
        async with self._database.write() as connection:
            made = await self._invite(connection, inviter, invitee, jids, note, expires_at)
            await self._tell(connection, inviter, invitee)
        return made

    async def _invite(
        self,
        connection: AsyncConnection,
        inviter: Account,
        invitee: Account,
        jids: tuple[str, str],
        note: str,
        expires_at: int | None,
    ) -> Authorisation:
        known = await _half(connection, inviter, invitee)
        if known is not None and known.holds_at(self._now()):
            return known
        if known is not None and known.is_over_at(self._now()):
            known = None
        answers = known is not None and known.state is AuthorisationState.ASKED
        states = (
            (AuthorisationState.ACCEPTED, AuthorisationState.ACCEPTED)
            if answers
            else (AuthorisationState.INVITED, AuthorisationState.ASKED)
        )
        shared: dict[str, object] = {
            "id": known.id if known is not None else new_id(),
            "note": known.note if answers and known is not None else note,
            "expires_at": known.expires_at if answers and known is not None else expires_at,
        }
        await self._write(connection, inviter, invitee, jids[1], states[0], shared)
        await self._write(connection, invitee, inviter, jids[0], states[1], shared)
        made = await _half(connection, inviter, invitee)
        assert made is not None, "it was just written"
        return made

    async def rehearse(self, owner: Account, jid: str, *, note: str = "", is_end: bool = False) -> None:
        """The work of `invite` or `end` about somebody who is not there: nothing stays of it but what it costs.

        A change is told of the owner and of nobody, as it is of both with somebody who is there.
        """
        async with self._database.write() as connection:
            async with taken_back(connection):
                if is_end:
                    await _pair(connection, owner, owner)
                    await connection.execute(_delete(owner.id, owner.id))
                else:
                    await self._invite(connection, owner, owner, (jid, jid), note, None)
                await join(connection)
            for account_id in (owner.id, NOBODY):
                await self._tell_of(connection, owner.company.id, account_id)

    async def accept(self, invitee: Account, inviter: Account) -> Authorisation:
        """Accept an invitation. Raises NotFound when there is none, or none any more."""
        async with self._database.write() as connection:
            known = await _half(connection, invitee, inviter)
            is_over = known is not None and known.is_over_at(self._now())
            if known is None or known.state is AuthorisationState.INVITED or is_over:
                raise NotFound("invitation", inviter.id)
            if known.state is AuthorisationState.ASKED:
                await connection.execute(
                    sa.update(tables.authorisations)
                    .where(_either(invitee.id, inviter.id))
                    .values(state=AuthorisationState.ACCEPTED)
                )
                await self._tell(connection, invitee, inviter)
            accepted = await _half(connection, invitee, inviter)
        assert accepted is not None, "it was there"
        return accepted

    async def end(self, one: Account, other: Account) -> Authorisation:
        """End an authorisation or an invitation, for both. Raises NotFound."""
        async with self._database.write() as connection:
            known = await _half(connection, one, other)
            if known is None:
                raise NotFound("authorisation", other.id)
            await connection.execute(_delete(one.id, other.id))
            await self._tell(connection, one, other)
        return known

    async def end_half(self, half: Authorisation) -> None:
        """End what one side has of it, where the other one is at home in another region, or gone."""
        async with self._database.write() as connection:
            await connection.execute(_delete(half.owner_id, half.contact_id))
            spend(Part.AGREEMENT)
            await self._tell_of(connection, half.company_id, half.owner_id)

    async def expired(self, *, most: int = 500) -> list[Authorisation]:
        """Halves of authorisations whose time is over, to be ended."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(*_COLUMNS).where(_a.expires_at <= int(self._now())).limit(most)
            )
            return [_from(row) for row in rows]

    async def _write(
        self,
        connection: AsyncConnection,
        owner: Account,
        contact: Account,
        contact_jid: str,
        state: AuthorisationState,
        shared: dict[str, object],
    ) -> None:
        if owner.abroad:
            return  # that half is written in the owner's region
        row = await owned_by(connection, owner.company.id, owner.id, self._now())
        row |= shared
        row |= {
            "contact_id": contact.id,
            "contact_company_id": contact.company.id,
            "contact_jid": contact_jid,
            "state": state,
        }
        statement = upsert(self._database.dialect, tables.authorisations, _SET)
        await connection.execute(statement, row)

    async def _tell(self, connection: AsyncConnection, *accounts: Account) -> None:
        spend(Part.AGREEMENT)
        for account in (each for each in accounts if not each.abroad):
            await self._tell_of(connection, account.company.id, account.id)

    async def _tell_of(self, connection: AsyncConnection, company_id: str, account_id: str) -> None:
        at, kind = int(self._now()), ChangeKind.AUTHORISATIONS_CHANGED
        await changes.record(connection, at, kind, company_id, [account_id])


def _delete(one: str, other: str) -> sa.Delete:
    return sa.delete(tables.authorisations).where(_either(one, other))


def _either(one: str, other: str) -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.and_(_a.owner_id == one, _a.contact_id == other),
        sa.and_(_a.owner_id == other, _a.contact_id == one),
    )


async def _pair(connection: AsyncConnection, owner: Account, contact: Account) -> Authorisation | None:
    rows = await connection.execute(
        sa.select(*_COLUMNS).where(
            _a.company_id == owner.company.id, _a.owner_id == owner.id, _a.contact_id == contact.id
        )
    )
    row = rows.one_or_none()
    return None if row is None else _from(row)


async def _half(connection: AsyncConnection, owner: Account, contact: Account) -> Authorisation | None:
    """What the owner has of it; where that lies in another region, what the contact's half tells of it."""
    if not owner.abroad:
        return await _pair(connection, owner, contact)
    theirs = await _pair(connection, contact, owner)
    return None if theirs is None else theirs.as_seen_by(owner)


def _from(row: Sequence[Any]) -> Authorisation:
    id, company_id, owner_id, contact_id, contact_company_id, jid, state, note, expires_at, created_at = row
    return Authorisation(
        id,
        company_id,
        owner_id,
        contact_id,
        contact_company_id,
        jid,
        AuthorisationState(state),
        note,
        expires_at,
        created_at,
    )
