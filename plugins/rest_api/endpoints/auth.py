"""Logging in by password, renewing, logging out."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.auth.token_logins import MoreWanted, Pair, TokenLogins
from rainbow_xmpp.auth.tokens import TokenType
from rainbow_xmpp.plugin import Access, Call, Problem, Reply, Services, endpoint, too_many
from rainbow_xmpp.plugin.api_tokens import TokenPair
from rainbow_xmpp.sasl import FailureCondition

MAX_CREDENTIALS = 4096
_TRIES = {401: "Wrong name or password, or a token that is worth nothing any more."}


class MoreIsWanted(Struct, frozen=True):
    """The password was right, and does not suffice. `token` is good for what is wanted, and for nothing else."""

    wanted: Annotated[
        Literal["second_factor", "enrolment"],
        Meta(
            description="second_factor: POST a code to /auth/second-factor. enrolment: the company wants a second "
            "factor, which is made first: POST to /auth/second-factor/enrolment."
        ),
    ]
    token: str
    expires_in: Annotated[int, Meta(description="Seconds.")]

    @classmethod
    def of(cls, more: MoreWanted) -> MoreIsWanted:
        wanted: Literal["second_factor", "enrolment"] = (
            "second_factor" if more.kind is TokenType.MFA_PENDING else "enrolment"
        )
        return cls(wanted, more.token, more.expires_in_s)


class RefreshBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token that was given last."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=200)]


class AuthEndpoints:
    """What somebody without a token may call."""

    def __init__(self, services: Services, logins: TokenLogins) -> None:
        self._services = services
        self._logins = logins

    @endpoint(
        "POST",
        "/auth/login",
        access=Access.ANYBODY,
        summary="Log in by e-mail address or JID and password (Basic).",
        answer=TokenPair,
        others={202: MoreIsWanted},
        problems=_TRIES,
    )
    async def log_in(self, call: Call) -> TokenPair | Reply:
        name, password = _basic(call.headers.get("Authorization", ""))
        found = await self._logins.log_in(name, password, call.source)
        if isinstance(found, Pair):
            return TokenPair.of(found)
        if isinstance(found, MoreWanted):
            return Reply(MoreIsWanted.of(found), status=202, headers={"Cache-Control": "no-store"})
        raise _refusal(found)

    @endpoint(
        "POST",
        "/auth/refresh",
        access=Access.ANYBODY,
        summary="Get the next pair of tokens. Using a refresh token twice ends the login, and its XMPP sessions.",
        body=RefreshBody,
        answer=TokenPair,
        problems=_TRIES,
    )
    async def refresh(self, call: Call) -> TokenPair:
        pair = await self._logins.renew(call.body.refresh_token)
        if pair is None:
            raise Problem(401, "invalid-token")
        return TokenPair.of(pair)

    @endpoint(
        "POST",
        "/auth/logout",
        access=Access.PERSON,
        summary="Log out: end this login, and the XMPP sessions that its tokens opened.",
        status=204,
    )
    async def log_out(self, call: Call) -> Reply:
        await self._logins.log_out(call.family)
        await self._services.apply_changes()
        return Reply()


def _basic(authorization: str) -> tuple[str, str]:
    """Name and password (RFC 7617, UTF-8). Raises Problem (401)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        if scheme.lower() != "basic" or len(encoded) > MAX_CREDENTIALS:
            raise ValueError
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        raise _wrong() from None
    if not (colon and name and password) or "\0" in name + password:
        raise _wrong()
    return name, password


def _refusal(refused: Refused) -> Problem:
    if refused.condition is FailureCondition.NOT_AUTHORIZED:
        return _wrong()
    return too_many(30)


def _wrong() -> Problem:
    challenge = 'Basic realm="api", charset="UTF-8"'
    return Problem(401, "wrong-credentials", headers={"WWW-Authenticate": challenge})
