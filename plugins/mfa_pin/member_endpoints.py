"""What a company's administrators may do: invite by e-mail, and let somebody set a new password. They see no secret."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.languages import Language
from rainbow_xmpp.plugin import (
    Access,
    Call,
    Problem,
    Reason,
    ReasonQuery,
    Reply,
    Role,
    Services,
    Time,
    absent,
    endpoint,
    time_of,
)
from rainbow_xmpp.plugins.mfa_pin.desk import Desk
from rainbow_xmpp.plugins.mfa_pin.endpoints import told

INVITATIONS = "/companies/{company_id}/member-invitations"


class InviteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is invited, and in which language."""

    address: Annotated[str, Meta(min_length=3, max_length=254, description="An e-mail address.")]
    language: Language = "en"
    reason: Reason = ""


class OpenInvitation(Struct, frozen=True):
    """An invitation that nobody has accepted yet."""

    id: str
    address: str
    created_at: Time
    expires_at: Time


class OpenInvitations(Struct, frozen=True):
    """All of a company's."""

    items: list[OpenInvitation]


class InvitationId(Struct, frozen=True):
    """What names a new invitation. The same whether or not somebody has the address."""

    id: str


class StartResetBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason = ""


class MemberEndpoints:
    def __init__(self, services: Services, desk: Desk) -> None:
        self._services = services
        self._desk = desk

    @endpoint(
        "GET",
        INVITATIONS,
        access=Access.COMPANY_ADMIN,
        summary="Invitations into the company that are open.",
        answer=OpenInvitations,
    )
    async def list(self, call: Call) -> OpenInvitations:
        found = await self._desk.invitations.of(call.company)
        return OpenInvitations(
            [
                OpenInvitation(each.id, address, time_of(each.created_at), time_of(each.expires_at))
                for each, address in found
            ]
        )

    @endpoint(
        "POST",
        INVITATIONS,
        access=Access.COMPANY_ADMIN,
        summary="Invite somebody into the company by e-mail.",
        body=InviteBody,
        answer=InvitationId,
        status=201,
        problems={422: "This is no e-mail address."},
    )
    async def invite(self, call: Call) -> InvitationId:
        body: InviteBody = call.body
        with told():
            invitation_id = await self._desk.invitations.invite(
                call.company, body.address, actor=call.actor, language=body.language, reason=call.reason
            )
        return InvitationId(invitation_id)

    @endpoint(
        "DELETE",
        INVITATIONS + "/{invitation_id}",
        access=Access.COMPANY_ADMIN,
        summary="Take an invitation back.",
        query=ReasonQuery,
        status=204,
        problems={404: "There is no such invitation (any more)."},
    )
    async def take_back(self, call: Call) -> Reply:
        invitation_id = call.path["invitation_id"]
        if not await self._desk.invitations.take_back(
            call.company, invitation_id, actor=call.actor, reason=call.reason
        ):
            raise absent()
        return Reply()

    @endpoint(
        "POST",
        "/companies/{company_id}/users/{user_id}/password-reset",
        access=Access.COMPANY_ADMIN,
        summary="Let somebody set a new password: a PIN goes to their e-mail address, and nowhere else.",
        body=StartResetBody,
        status=202,
        problems={422: "Nobody can be written to: without an address, or shut out."},
    )
    async def start_reset(self, call: Call) -> Reply:
        if call.user.role is Role.OPERATOR and not call.is_operator:
            raise Problem(403, "forbidden")
        try:
            with told():
                await self._desk.start_reset(call.user, actor=call.actor, reason=call.reason)
        except NotAllowed:
            raise Problem(422, "no-address") from None
        return Reply(status=202)
