"""Invitations between people of different companies, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.company.agreements import MAX_NOTE
from rainbow_xmpp.plugin import (
    Access,
    Account,
    Action,
    Call,
    Page,
    Problem,
    Reply,
    Services,
    StanzaError,
    absent,
    endpoint,
)
from rainbow_xmpp.plugins.rest_api.endpoints.values import Id, ReasonQuery, Time, time_of
from rainbow_xmpp.store.values import Authorisation, AuthorisationState


class InvitationValue(Struct, frozen=True):
    """An invitation or an authorisation, as one of the two sees it."""

    id: Id
    state: AuthorisationState
    address: Annotated[str, Meta(description="The other one's JID.")]
    note: str
    created_at: Time
    expires_at: Time | None

    @classmethod
    def of(cls, half: Authorisation) -> InvitationValue:
        expires = None if half.expires_at is None else time_of(half.expires_at)
        return cls(half.id, half.state, half.contact_jid, half.note, time_of(half.created_at), expires)


class Invitations(Struct, frozen=True):
    """All of them."""

    items: list[InvitationValue]


class NewInvitation(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is invited: an e-mail address or a JID."""

    to: Annotated[str, Meta(min_length=1, max_length=3071)]
    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""
    expires_at: Time | None = None


class MemberInvitation(InvitationValue, frozen=True):
    """The same of a company's member, for its administrators; what was written stays between the two."""

    user_id: Id


class InvitationEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint(
        "GET",
        "/invitations",
        access=Access.PERSON,
        summary="Whom I invited, who invited me.",
        answer=Invitations,
    )
    async def list(self, call: Call) -> Invitations:
        me = call.caller
        halves = await self._services.store.authorisations.of(me.company.id, me.id)
        return Invitations([InvitationValue.of(half) for half in await self._told(halves, me)])

    async def _told(self, halves: Sequence[Authorisation], owner: Account) -> Sequence[Authorisation]:
        """Until somebody accepts, whoever invited them must not learn that they are there.

        One question finds all who were invited; it is asked if there is nobody, too, since it takes time.
        """
        open_ones = [half for half in halves if half.state is AuthorisationState.INVITED]
        localparts = [half.contact_jid.partition("@")[0] for half in open_ones]
        find = self._services.store.accounts.by_localpart
        _, *found = await asyncio.gather(*(find(each) for each in (owner.localpart, *localparts)))
        hidden = {
            half.id
            for half, invitee in zip(open_ones, found, strict=True)
            if invitee is None or not await self._services.may(Action.PROFILE, owner, invitee)
        }
        return [half for half in halves if half.id not in hidden]

    @endpoint(
        "POST",
        "/invitations",
        access=Access.PERSON,
        summary="Invite somebody of another company.",
        body=NewInvitation,
        status=202,
    )
    async def invite(self, call: Call) -> Reply:
        """The same answer, as quickly, whether there is such a person or not."""
        body = call.body
        expires_at = _unix(body.expires_at, call.now)
        await self._services.invite(call.caller, body.to, note=body.note, expires_at=expires_at)
        return Reply(status=202)

    @endpoint(
        "POST",
        "/invitations/{invitation_id}/accept",
        access=Access.PERSON,
        summary="Accept an invitation.",
        answer=InvitationValue,
    )
    async def accept(self, call: Call) -> InvitationValue:
        half, other = await self._mine(call)
        if half.state is AuthorisationState.INVITED:
            raise absent()
        accepted = await self._services.agreements.accept(call.caller, other, actor=call.actor)
        await self._services.apply_changes()
        return InvitationValue.of(accepted)

    @endpoint(
        "DELETE",
        "/invitations/{invitation_id}",
        access=Access.PERSON,
        summary="End an authorisation, decline or take back an invitation.",
        status=204,
    )
    async def end(self, call: Call) -> Reply:
        _, other = await self._mine(call)
        await self._services.agreements.end(call.caller, other, actor=call.actor)
        await self._services.apply_changes()
        return Reply()

    @endpoint(
        "GET",
        "/companies/{company_id}/authorisations",
        access=Access.COMPANY_ADMIN,
        summary="With whom outside a company's people agreed.",
        answer=Page[MemberInvitation],
    )
    async def of_company(self, call: Call) -> Page[MemberInvitation]:
        halves = await self._services.store.authorisations.of_company(call.company.id)
        by_owner: dict[str, list[Authorisation]] = {}
        for half in halves:
            by_owner.setdefault(half.owner_id, []).append(half)
        told: set[tuple[str, str]] = set()
        for owner_id, theirs in by_owner.items():
            owner = await self._services.store.accounts.by_id(owner_id)
            if owner is not None:
                told.update((owner_id, half.id) for half in await self._told(theirs, owner))
        items = []
        for half in halves:
            if (half.owner_id, half.id) not in told:
                continue
            value = InvitationValue.of(half)
            items.append(
                MemberInvitation(
                    value.id,
                    value.state,
                    value.address,
                    "",
                    value.created_at,
                    value.expires_at,
                    half.owner_id,
                )
            )
        return Page(items)

    @endpoint(
        "DELETE",
        "/companies/{company_id}/authorisations/{invitation_id}",
        access=Access.COMPANY_ADMIN,
        summary="End an authorisation of one of the company's people.",
        query=ReasonQuery,
        status=204,
    )
    async def revoke(self, call: Call) -> Reply:
        store = self._services.store
        for half in await store.authorisations.of_company(call.company.id):
            if half.id == call.path["invitation_id"]:
                one = await store.accounts.by_id(half.owner_id)
                other = await self._contact(half)
                if one is None or other is None:
                    break
                await self._services.agreements.end(one, other, actor=call.actor, reason=call.reason)
                await self._services.apply_changes()
                return Reply()
        raise absent()

    async def _mine(self, call: Call) -> tuple[Authorisation, Account]:
        me, store = call.caller, self._services.store
        for half in await store.authorisations.of(me.company.id, me.id):
            if half.id == call.path["invitation_id"]:
                other = await self._contact(half)
                if other is not None:
                    return half, other
        raise absent()

    async def _contact(self, half: Authorisation) -> Account | None:
        """The other one, in whichever region."""
        here = await self._services.store.accounts.by_id(half.contact_id)
        if here is not None:
            return here
        try:
            found = await self._services.find_account(half.contact_jid)
        except StanzaError:
            raise Problem(
                503, "region-away", "The other one's region does not answer; try again later."
            ) from None
        return found if found is not None and found.id == half.contact_id else None


def _unix(text: str | None, now: float) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(422, "invalid", errors={"expires_at": "a time such as 2026-12-31T12:00:00Z"}) from None
    if moment.tzinfo is None or moment.timestamp() <= now:
        raise Problem(422, "invalid", errors={"expires_at": "a time to come, with its zone"})
    return int(moment.timestamp())
