"""OAUTHBEARER: a token in the place of a password (RFC 7628)."""

from __future__ import annotations

import re
from typing import NamedTuple

OAUTHBEARER = "OAUTHBEARER"

REFUSED = b'{"status":"invalid_token"}'
"""What the client is told before the attempt ends (§3.2.2); it answers with `ACKNOWLEDGED`."""
ACKNOWLEDGED = b"\x01"

_MESSAGE = re.compile(
    rb"n,(?:a=([^,\x00\x01]*))?,\x01(?:(?:host|port)=[^\x00\x01]*\x01)*"
    rb"auth=[Bb]earer ([A-Za-z0-9._~+/=-]+)\x01(?:(?:host|port)=[^\x00\x01]*\x01)*\x01"
).fullmatch


class BearerMessage(NamedTuple):
    """What the client sends."""

    authzid: str
    token: str


def read(data: bytes) -> BearerMessage:
    """The client's first message (§3.1); raises ValueError."""
    found = _MESSAGE(data)
    if found is None:
        raise ValueError("not an OAUTHBEARER message")
    authzid = (found[1] or b"").decode().replace("=2C", ",").replace("=3D", "=")
    return BearerMessage(authzid, found[2].decode())
