"""The Hashed Token SASL mechanisms (draft-schmaus-kitten-sasl-ht-09): one message proves that one has a token.

The client sends `authcid NUL HMAC(token, "Initiator" + channel)`, the server answers with
`HMAC(token, "Responder" + channel)`; the token itself is never sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

_HASH = "sha256"
_DIGEST_BYTES = 32
_PREFIX = "HT-SHA-256-"

CHANNELS: Mapping[str, str] = {
    f"{_PREFIX}EXPR": "tls-exporter",
    f"{_PREFIX}UNIQ": "tls-unique",
    f"{_PREFIX}ENDP": "tls-server-end-point",
    f"{_PREFIX}NONE": "",
}
"""The mechanisms, best first, and what channel binding each takes (§2.1); "" = none."""
MECHANISMS = tuple(CHANNELS)


@dataclass(frozen=True, slots=True)
class Proof:
    """The client's message."""

    name: str
    digest: bytes = field(repr=False)

    @classmethod
    def read(cls, message: bytes) -> Proof:
        """Raises ValueError for what is no such message."""
        name, nul, digest = message.partition(b"\0")
        if not (name and nul) or len(digest) != _DIGEST_BYTES:
            raise ValueError("no initiator message of a hashed token")
        return cls(name.decode(), digest)

    def is_of(self, token: bytes, channel: bytes) -> bool:
        """It was made with this token, on this channel; compared in constant time."""
        return hmac.compare_digest(self.digest, initiator(token, channel))


def name_in(message: bytes) -> str:
    """Whom the message is of; "" when it is none."""
    try:
        return Proof.read(message).name
    except ValueError:
        return ""


def initiator(token: bytes, channel: bytes) -> bytes:
    """What proves to the server that the client has the token (§3.1)."""
    return hmac.digest(token, b"Initiator" + channel, _HASH)


def responder(token: bytes, channel: bytes) -> bytes:
    """What proves to the client that the server has it (§3.3)."""
    return hmac.digest(token, b"Responder" + channel, _HASH)


def possible_with(bindings: Collection[str]) -> tuple[str, ...]:
    """The mechanisms of a connection with these types of channel binding, best first."""
    return tuple(mechanism for mechanism, kind in CHANNELS.items() if not kind or kind in bindings)
