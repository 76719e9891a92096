"""A company's people, as its administrators see and change them. Nobody sees or sets somebody else's password."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.auth.people import AccountChange
from rainbow_xmpp.ids import new_localpart
from rainbow_xmpp.mail.letter import is_mail_address
from rainbow_xmpp.plugin import (
    PREFIX,
    Access,
    Account,
    Action,
    Call,
    Page,
    PinDesk,
    Problem,
    Reply,
    Role,
    Services,
    TooMany,
    Visibility,
    endpoint,
    too_many,
)
from rainbow_xmpp.plugins.rest_api.dispatch import check_tag, tag_of
from rainbow_xmpp.plugins.rest_api.endpoints.me import user_value
from rainbow_xmpp.plugins.rest_api.endpoints.values import (
    UNSET,
    Known,
    Name,
    Paging,
    Reason,
    ReasonQuery,
    UnsetType,
    User,
    given,
)
from rainbow_xmpp.store.names import normalise_email
from rainbow_xmpp.store.values import NewAccount

USERS = "/companies/{company_id}/users"
USER = "/companies/{company_id}/users/{user_id}"


Level = Annotated[str, Meta(max_length=64, description="Empty: the company's.")]


class NewUser(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody new. A letter lets them choose their password; nobody else sees or sets it."""

    email: Annotated[str, Meta(min_length=3, max_length=254)]
    name: Name = ""
    localpart: Annotated[str, Meta(max_length=200, description="Before the @; random when empty.")] = ""
    role: Role = Role.USER
    service_level: Level = ""
    reason: Reason = ""


class UserChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed; the rest stays."""

    name: Name | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    service_level: Level | UnsetType = UNSET
    listed: bool | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    reason: Reason = ""


class Created(Struct, frozen=True):
    """A new account."""

    user: User


class UserEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint(
        "GET",
        USERS,
        access=Access.MEMBER,
        summary="Colleagues, by their ids.",
        query=Paging,
        answer=Page[Known],
    )
    async def list(self, call: Call) -> Page[Known]:
        paging: Paging = call.query
        found = await self._services.store.accounts.page(
            call.company.id, after=paging.after, most=paging.limit, disabled=False
        )
        shown = [account for account in found if await self._sees(call, account)]
        items = [Known.of(account, self._services) for account in shown]
        return Page(items, found[-1].id if len(found) == paging.limit else None)

    async def _sees(self, call: Call, account: Account) -> bool:
        """In the public company not everybody is everybody's colleague."""
        if call.caller.role is not Role.USER:
            return True
        return await self._services.may(Action.PROFILE, call.caller, account)

    @endpoint(
        "POST",
        USERS,
        access=Access.COMPANY_ADMIN,
        summary="Add somebody.",
        body=NewUser,
        answer=Created,
        status=201,
        problems={
            409: "The e-mail address or the localpart is taken.",
            422: "Nobody could be written to: this is no e-mail address, or no letters are sent here.",
            429: "The user was added, but no letter was sent: the company has sent too many lately.",
        },
    )
    async def add(self, call: Call) -> Reply:
        body: NewUser = call.body
        _may_give(call, body.role)
        desk = self._services.offered(PinDesk)
        if desk is None:
            raise Problem(422, "no-letters", "the plugin mfa_pin, which invites people, does not run")
        if not is_mail_address(normalise_email(body.email)):
            raise Problem(422, "invalid", errors={"email": "no letter could be sent there"})
        new = NewAccount(
            company=call.company.name,
            email=body.email,
            localpart=body.localpart or new_localpart(),
            role=body.role,
            service_level=body.service_level,
            name=body.name,
        )
        added = await self._services.people.add(new, actor=call.actor, reason=call.reason)
        try:
            await desk.welcome(added.account, actor=call.actor, reason=call.reason)
        except TooMany as refusal:
            raise too_many(
                refusal.retry_after_s,
                "The user was added, but the company has sent too many letters lately: start a reset for them later.",
            ) from None
        value = await user_value(self._services, added.account)
        path = f"{PREFIX}/companies/{call.company.id}/users/{value.id}"
        return Reply(Created(value), headers={"Location": path})

    @endpoint(
        "GET", USER, access=Access.COMPANY_ADMIN, summary="Somebody, with everything known.", answer=User
    )
    async def read(self, call: Call) -> Reply:
        value = await user_value(self._services, call.user)
        return Reply(value, etag=tag_of(value))

    @endpoint(
        "PATCH",
        USER,
        access=Access.COMPANY_ADMIN,
        summary="Change somebody's name, role, visibility, service level; shut them out or let them in.",
        body=UserChange,
        answer=User,
        problems={412: "Changed meanwhile."},
    )
    async def change(self, call: Call) -> Reply:
        people, body = self._services.people, call.body
        check_tag(call, await user_value(self._services, call.user))
        role = given(body.role)
        if role is not None:
            _may_give(call, role)
        _may_change(call)
        wanted = AccountChange(
            name=given(body.name),
            role=role,
            visibility=given(body.visibility),
            service_level=given(body.service_level),
            listed=given(body.listed),
        )
        account = await people.change(call.user, wanted, actor=call.actor, reason=call.reason)
        disabled = given(body.disabled)
        if disabled is not None and disabled is not account.disabled:
            _not_oneself(call)
            act = people.disable if disabled else people.enable
            await act(account, actor=call.actor, reason=call.reason)
        value = await user_value(self._services, account)
        return Reply(value, etag=tag_of(value))

    @endpoint(
        "DELETE",
        USER,
        access=Access.COMPANY_ADMIN,
        summary="Remove somebody with everything that is theirs.",
        query=ReasonQuery,
        status=204,
    )
    async def remove(self, call: Call) -> Reply:
        _may_change(call)
        _not_oneself(call)
        await self._services.people.remove(call.user, actor=call.actor, reason=call.reason)
        return Reply()


def _may_give(call: Call, role: Role) -> None:
    """Only operators make operators, and only of their own kind's making is the public company's administration."""
    if role is Role.OPERATOR and not call.is_operator:
        raise Problem(403, "forbidden")


def _may_change(call: Call) -> None:
    """A company's administrator has no power over an operator."""
    if call.user.role is Role.OPERATOR and not call.is_operator:
        raise Problem(403, "forbidden")


def _not_oneself(call: Call) -> None:
    if call.user.id == call.caller.id:
        raise Problem(422, "oneself", "somebody else must do that")
