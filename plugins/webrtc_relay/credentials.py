"""Time-limited credentials of the relay ("A REST API For Access To TURN Services", draft-uberti-behave-turn-rest-00).

The user name is `<Unix time of its end>:<userid>`, the password base64(HMAC-SHA1(secret, user name)): what coturn
calls `use-auth-secret`. Whoever has the secret can check them and needs no list of people.

The userid crosses networks in clear. It is `<company>-<account>`, each a keyed hash: the same for all devices of a
person, so that quotas hold, and no name, address or id of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from dataclasses import dataclass, field

MOST_USERNAME_BYTES = 128
"""Ours have 60; whatever is longer was not issued here."""
COMPANY_DIGITS = 16
ACCOUNT_DIGITS = 32
"""Hex digits of a userid's two halves: 64 bits tell companies apart, 128 people."""
_USERNAME = re.compile(r"([0-9]{1,12}):([A-Za-z0-9_-]{1,100})")


@dataclass(frozen=True, slots=True)
class Credential:
    """What one client shows to the relay, until it is over."""

    username: str
    password: str = field(repr=False)


def issue(secret: bytes, userid: str, expires: int) -> Credential:
    """A credential that ends at this Unix time (seconds)."""
    username = f"{expires}:{userid}"
    return Credential(username, password_of(secret, username))


def password_of(secret: bytes, username: str) -> str:
    """The password that belongs to this user name; of any user name, so that its cost tells nothing."""
    digest = hmac.digest(secret, username.encode("utf-8", "surrogateescape"), "sha1")
    return b64encode(digest).decode("ascii")


def parse_username(username: str) -> tuple[int, str] | None:
    """When it ends (Unix seconds) and whose it is; None for what was never issued."""
    if len(username) > MOST_USERNAME_BYTES:
        return None
    found = _USERNAME.fullmatch(username)
    return (int(found[1]), found[2]) if found else None


def company_part(userid: str) -> str:
    """What a userid has in common with those of the same company."""
    return userid.partition("-")[0]


def userid_of(key: bytes, company_id: str, account_id: str) -> str:
    """The account's userid: stable under one key, and nothing to guess it or its owner from."""
    company = _hashed(key, b"company", company_id)[:COMPANY_DIGITS]
    account = _hashed(key, b"account", account_id)[:ACCOUNT_DIGITS]
    return f"{company}-{account}"


def _hashed(key: bytes, label: bytes, value: str) -> str:
    return hmac.new(key, label + b"\0" + value.encode(), hashlib.sha256).hexdigest()
