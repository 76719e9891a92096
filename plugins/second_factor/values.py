"""What the API's endpoints of second factors take and give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.plugin import (
    Enrolment,
    FactorStatus,
    IsRequired,
    NotBegun,
    NotOffered,
    NotOn,
    Problem,
    Time,
    TooMany,
    WrongCode,
    time_of,
    too_many,
)
from rainbow_xmpp.plugin.api_tokens import TokenPair

NO_STORE = {"Cache-Control": "no-store"}
Code = Annotated[
    str, Meta(min_length=1, max_length=64, description="Of the authenticator app, or a recovery code.")
]
OwnPassword = Annotated[
    str, Meta(min_length=1, max_length=1024, description="Shows that it is not somebody who found a token.")
]
AppName = Annotated[str, Meta(min_length=1, max_length=60, description="What its owner calls the client.")]


class CodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A code."""

    code: Code


class BeginFactorBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`code`: of the factor that there is already, which another one is to replace."""

    password: OwnPassword
    code: Annotated[str, Meta(max_length=64)] = ""


class EndFactorBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Both, so that neither somebody with the password nor somebody with the telephone can do it."""

    password: OwnPassword
    code: Code


class NewAppPasswordBody(Struct, frozen=True, forbid_unknown_fields=True):
    """For which client."""

    name: AppName
    password: OwnPassword


class EnrolmentValue(Struct, frozen=True):
    """A secret for the authenticator app, which counts for nothing until a code of it is confirmed."""

    uri: Annotated[str, Meta(description="otpauth://totp/…, for a QR code.")]
    secret: Annotated[str, Meta(description="The same for typing.")]
    expires_at: Time

    @classmethod
    def of(cls, begun: Enrolment) -> EnrolmentValue:
        return cls(begun.uri, begun.secret, time_of(begun.expires_at))


class RecoveryCodes(Struct, frozen=True):
    """Shown once; each is good once."""

    recovery_codes: list[str]


class FactorMade(Struct, frozen=True):
    """The factor is on, and every login ended; this one goes on with these tokens."""

    recovery_codes: Annotated[list[str], Meta(description="Shown once; each is good once.")]
    tokens: TokenPair


class AppPasswordValue(Struct, frozen=True):
    """An app password, without the password."""

    id: str
    name: str
    created_at: Time
    used_at: Time | None


class FactorValue(Struct, frozen=True):
    """The second factor of an account."""

    is_on: bool
    is_offered: Annotated[bool, Meta(description="The company lets its people turn it on.")]
    is_required: bool
    recovery_codes_left: int
    on_since: Time | None
    app_passwords: list[AppPasswordValue]

    @classmethod
    def of(cls, status: FactorStatus) -> FactorValue:
        apps = [
            AppPasswordValue(app.id, app.name, time_of(app.created_at), _time(app.used_at))
            for app in status.app_passwords
        ]
        return cls(
            status.is_on,
            status.is_offered,
            status.is_required,
            status.recovery_codes_left,
            _time(status.on_since),
            apps,
        )


class NewAppPassword(Struct, frozen=True):
    """Shown once."""

    id: str
    name: str
    password: str


REFUSALS = {
    403: "The password is wrong, or the company does not want that.",
    409: "Nothing was begun that could be confirmed, or there is no second factor.",
    422: "The code is wrong, was used before, or is of another time (all told alike).",
}
"""For `endpoint(problems=…)`; what `told` raises."""


@contextmanager
def told() -> Iterator[None]:
    """What the desk refuses, as the API tells it."""
    try:
        yield
    except TooMany as refusal:
        raise too_many(refusal.retry_after_s) from None
    except WrongCode:
        raise Problem(422, "wrong-code") from None
    except NotBegun:
        raise Problem(409, "not-begun") from None
    except NotOn:
        raise Problem(409, "not-on") from None
    except NotOffered:
        raise Problem(403, "not-offered") from None
    except IsRequired:
        raise Problem(403, "required") from None
    except NotAllowed as refusal:
        raise Problem(422, "not-allowed", str(refusal)) from None


def _time(at: int | None) -> str | None:
    return None if at is None else time_of(at)
