"""What was on offer, hashed into SCRAM, so that nobody between can have shortened the list (XEP-0474)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

_BETWEEN = b"\x1e"
_BEFORE_BINDINGS = b"\x1f"


def offer_hash(mechanisms: Iterable[str], bindings: Iterable[str], hash_name: str) -> str:
    """The attribute `h` of the server-first-message (§5.1), base64, by the hash function of the mechanism in use.

    `mechanisms` are those of the profile that the client logs in by, as announced on this connection; `bindings`
    the channel-binding types announced by XEP-0440, if any were.
    """
    offered = _sorted(mechanisms)
    types = _sorted(bindings)
    if types:
        offered += _BEFORE_BINDINGS + types
    return base64.b64encode(hashlib.new(hash_name, offered).digest()).decode()


def _sorted(items: Iterable[str]) -> bytes:
    """In the order of their octets (RFC 4790 §9.3)."""
    return _BETWEEN.join(sorted(item.encode() for item in items))
