"""What the API gives to whoever has logged in: for the endpoints of more than one plugin."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rainbow_xmpp.auth.token_logins import Pair
from rainbow_xmpp.plugin.api import Call, Problem

_BEARER = re.compile(r"(?i:bearer) ([A-Za-z0-9._~+/=-]+)").fullmatch


class TokenPair(Struct, frozen=True):
    """A token for calls and one that is good for the next pair (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(description="Seconds.")]
    refresh_token: Annotated[str, Meta(description="Good for one use.")]
    user_id: str

    @classmethod
    def of(cls, pair: Pair) -> TokenPair:
        return cls(pair.access, "Bearer", pair.expires_in_s, pair.refresh, pair.account.id)


def bearer(authorization: str) -> str | None:
    """The token of an Authorization header (RFC 6750 §2.1); None when there is none."""
    found = _BEARER(authorization)
    return found.group(1) if found else None


def bearer_of(call: Call) -> str:
    """The token that came with a call which anybody may make. Raises Problem (401)."""
    token = bearer(call.headers.get("Authorization", ""))
    if token is None:
        raise unauthenticated()
    return token


def unauthenticated(error: str = "") -> Problem:
    """Who calls is not known (RFC 6750 §3): without a token, or with one that is worth nothing."""
    challenge = 'Bearer realm="api"' + (f', error="{error}"' if error else "")
    return Problem(401, "unauthenticated", headers={"WWW-Authenticate": challenge})
