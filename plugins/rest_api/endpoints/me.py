"""What somebody may see and change of themselves."""

from __future__ import annotations

from msgspec import Struct

from rainbow_xmpp.auth.people import AccountChange
from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.languages import choose_language
from rainbow_xmpp.plugin import (
    Access,
    Account,
    Asker,
    Call,
    Problem,
    Reply,
    Services,
    TooMany,
    Visibility,
    WrongPassword,
    change_own_password,
    endpoint,
    too_many,
)
from rainbow_xmpp.plugins.rest_api.dispatch import check_tag, tag_of
from rainbow_xmpp.plugins.rest_api.endpoints.values import UNSET, Me, Name, Password, UnsetType, User, given
from rainbow_xmpp.store.values import Member


class MeChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed; the rest stays."""

    name: Name | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET


class PasswordChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The old one proves that it is not somebody who found an open browser."""

    old_password: Password
    new_password: Password


class MeEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint("GET", "/users/me", access=Access.PERSON, summary="Who I am.", answer=Me)
    async def me(self, call: Call) -> Reply:
        value = await _my_value(self._services, call.caller)
        return Reply(value, etag=tag_of(value))

    @endpoint(
        "PATCH",
        "/users/me",
        access=Access.PERSON,
        summary="Change my name, or who may find me.",
        body=MeChange,
        answer=Me,
        problems={412: "Changed meanwhile."},
    )
    async def change_me(self, call: Call) -> Reply:
        check_tag(call, await _my_value(self._services, call.caller))
        account = await self._services.people.change(
            call.caller,
            AccountChange(name=given(call.body.name), visibility=given(call.body.visibility)),
            actor=call.actor,
        )
        value = await _my_value(self._services, account)
        return Reply(value, etag=tag_of(value))

    @endpoint(
        "POST",
        "/users/me/password",
        access=Access.PERSON,
        summary="Change my password. Every login ends, this one too.",
        body=PasswordChange,
        status=204,
        problems={403: "The old password is wrong."},
    )
    async def change_password(self, call: Call) -> Reply:
        asker = Asker(call.source, choose_language(call.headers.get("Accept-Language", "")))
        old, new = call.body.old_password, call.body.new_password
        try:
            await change_own_password(self._services, call.caller, old, new, asker=asker)
        except WrongPassword:
            raise Problem(403, "wrong-password") from None
        except TooMany as refusal:
            raise too_many(refusal.retry_after_s) from None
        except WeakPassword as weak:
            raise Problem(422, "weak-password", str(weak)) from None
        return Reply()


async def user_value(services: Services, account: Account) -> User:
    """Somebody with everything that is theirs. Raises Problem (404) when they were removed meanwhile."""
    return User.of_member(await _member(services, account), services)


async def _my_value(services: Services, account: Account) -> Me:
    return Me.of_myself(await _member(services, account), services)


async def _member(services: Services, account: Account) -> Member:
    member = await services.store.accounts.member(account.company.id, account.id)
    if member is None:
        raise Problem(404, "not-found")
    return member
