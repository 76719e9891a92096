"""PINs, accounts and new passwords over HTTPS, for whoever has no token yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.languages import choose_language
from rainbow_xmpp.plugin import (
    Access,
    Asked,
    Asker,
    Call,
    FactorCodeWanted,
    Problem,
    Purpose,
    RegistrationClosed,
    RegistrationMode,
    Reply,
    Time,
    TooMany,
    WrongCode,
    WrongOrExpired,
    absent,
    endpoint,
    time_of,
    too_many,
)
from rainbow_xmpp.plugins.mfa_pin.desk import Desk
from rainbow_xmpp.store.errors import StoreError

RequestId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="32 hex digits")]
Pin = Annotated[str, Meta(pattern="^[0-9]{6,12}$", description="The digits of the letter.")]
NewPassword = Annotated[str, Meta(min_length=1, max_length=1024)]
Name = Annotated[str, Meta(max_length=200)]
_REQUEST_ID = re.compile("[0-9a-f]{32}")
_NO_STORE = {"Cache-Control": "no-store"}
_CLOSED = {403: "Nobody makes an account this way here: the same for every address."}
_UNIFORM = {
    422: "The PIN, request or token is wrong or over (all told alike); or the new password is too weak."
}


class PinRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants a PIN, and what for."""

    purpose: Purpose
    address: Annotated[str, Meta(min_length=3, max_length=254, description="An e-mail address.")]


class PinAsked(Struct, frozen=True):
    """The same for every address."""

    request_id: RequestId
    resend_after_s: Annotated[int, Meta(description="Seconds until another PIN may be asked for.")]

    @classmethod
    def of(cls, asked: Asked) -> PinAsked:
        return cls(asked.request_id, asked.resend_after_s)


class NewAccountBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who makes an account."""

    request_id: RequestId
    pin: Pin
    new_password: NewPassword
    name: Name = ""


class ResetBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new password for a forgotten one."""

    request_id: RequestId
    pin: Pin
    new_password: NewPassword
    factor_code: Annotated[
        str,
        Meta(
            max_length=64,
            description="Where the account has a second factor: a code of its app, or a recovery code.",
        ),
    ] = ""


class JoinBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who accepts an invitation into a company."""

    new_password: NewPassword
    name: Name = ""


class NewMember(Struct, frozen=True):
    """The new account. Nobody is logged in."""

    user_id: str
    localpart: Annotated[str, Meta(description="What stands before the @ of the JID.")]


class MemberInvitationFacts(Struct, frozen=True):
    """What an invitation is to."""

    company: str
    address: str
    expires_at: Time


class PinEndpoints:
    """Nobody here has a token, and nobody gets one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @endpoint(
        "POST",
        "/pin-requests",
        access=Access.ANYBODY,
        summary="Have a PIN sent to an e-mail address. The answer does not tell whether somebody has it.",
        body=PinRequest,
        answer=PinAsked,
        status=202,
        problems={422: "This is no e-mail address.", **_CLOSED},
    )
    async def ask(self, call: Call) -> Reply:
        body: PinRequest = call.body
        with told():
            asked = await self._desk.ask(body.purpose, body.address, asker_of(call))
        return Reply(PinAsked.of(asked), headers=_NO_STORE)

    @endpoint(
        "POST",
        "/pin-requests/{request_id}/resend",
        access=Access.ANYBODY,
        summary="Have another PIN sent in the place of the one before.",
        answer=PinAsked,
        status=202,
    )
    async def resend(self, call: Call) -> Reply:
        request_id = call.path["request_id"]
        if not _REQUEST_ID.fullmatch(request_id):
            raise absent()
        with told():
            asked = await self._desk.resend(request_id, asker_of(call))
        return Reply(PinAsked.of(asked), headers=_NO_STORE)

    @endpoint(
        "POST",
        "/accounts",
        access=Access.ANYBODY,
        summary="Make an account with the PIN of a request to register.",
        body=NewAccountBody,
        answer=NewMember,
        status=201,
        problems={**_UNIFORM, **_CLOSED},
    )
    async def register(self, call: Call) -> Reply:
        body: NewAccountBody = call.body
        with told():
            account = await self._desk.register(
                body.request_id, body.pin, body.new_password, name=body.name, asker=asker_of(call)
            )
        return Reply(NewMember(account.id, account.localpart), headers=_NO_STORE)

    @endpoint(
        "POST",
        "/password-resets",
        access=Access.ANYBODY,
        summary="Set a new password with the PIN of a request to reset it. Every login of the account ends.",
        body=ResetBody,
        status=204,
        problems={
            422: _UNIFORM[422] + " Once the PIN is right: a code of the second factor is wanted, or wrong."
        },
    )
    async def reset(self, call: Call) -> Reply:
        body: ResetBody = call.body
        with told():
            await self._desk.reset(
                body.request_id,
                body.pin,
                body.new_password,
                factor_code=body.factor_code,
                asker=asker_of(call),
            )
        return Reply(headers=_NO_STORE)

    @endpoint(
        "GET",
        "/member-invitations/{token}",
        access=Access.ANYBODY,
        summary="What an invitation into a company says.",
        answer=MemberInvitationFacts,
        problems={404: "There is no such invitation (any more)."},
    )
    async def invited(self, call: Call) -> Reply:
        found = await self._desk.invitations.invited(call.path["token"])
        if found is None or self._desk.registration is RegistrationMode.CLOSED:
            raise absent()
        facts = MemberInvitationFacts(found.company, found.address, time_of(found.expires_at))
        return Reply(facts, headers=_NO_STORE)

    @endpoint(
        "POST",
        "/member-invitations/{token}",
        access=Access.ANYBODY,
        summary="Accept an invitation into a company: make the account.",
        body=JoinBody,
        answer=NewMember,
        status=201,
        problems={**_UNIFORM, **_CLOSED},
    )
    async def join(self, call: Call) -> Reply:
        body: JoinBody = call.body
        with told():
            account = await self._desk.invitations.join(
                call.path["token"], body.new_password, name=body.name, asker=asker_of(call)
            )
        return Reply(NewMember(account.id, account.localpart), headers=_NO_STORE)


def asker_of(call: Call) -> Asker:
    """Where a request comes from, and the language of its letters."""
    return Asker(call.source, choose_language(call.headers.get("Accept-Language", "")))


@contextmanager
def told() -> Iterator[None]:
    """What the desk refuses, as the API tells it."""
    try:
        yield
    except TooMany as refusal:
        raise too_many(refusal.retry_after_s) from None
    except WrongOrExpired:
        raise Problem(422, "wrong-or-expired") from None
    except FactorCodeWanted:
        raise Problem(422, "factor-code-wanted") from None
    except WrongCode:
        raise Problem(422, "wrong-factor-code") from None
    except WeakPassword as weak:
        raise Problem(422, "weak-password", str(weak)) from None
    except RegistrationClosed:
        raise Problem(403, "registration-closed") from None
    except NotAllowed:
        raise Problem(422, "no-room", "The company has no room for more people.") from None
    except StoreError:
        raise Problem(422, "unfit-name") from None
    except ValueError:
        raise Problem(422, "no-address") from None
