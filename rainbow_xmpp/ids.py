"""Opaque identifiers, all from the operating system's CSPRNG."""

import re
import secrets

_ID = re.compile(r"[0-9a-f]{24}").fullmatch


def new_id() -> str:
    """The id of a company or a user: 24 lower-case hex digits (96 bits)."""
    return secrets.token_hex(12)


def is_id(text: str) -> bool:
    """It could be the id of a company or a user."""
    return _ID(text) is not None


def new_localpart() -> str:
    """An opaque localpart, given to users who did not choose one: 32 hex digits (128 bits)."""
    return secrets.token_hex(16)


def new_resource_suffix() -> str:
    """What the server adds to every resource, so that nobody can guess a full JID (RFC 6120 §7.7.2.1)."""
    return secrets.token_urlsafe(9)


def new_stream_id() -> str:
    """The `id` of a stream: unpredictable (RFC 6120 §4.7.3)."""
    return secrets.token_urlsafe(12)


def new_resume_id() -> str:
    """What a session is resumed by (XEP-0198 §5): 192 bits that nobody can guess."""
    return secrets.token_urlsafe(24)


def new_nonce() -> str:
    """The server's part of a SCRAM nonce: 144 bits, printable, without a comma (RFC 5802 §5.1)."""
    return secrets.token_urlsafe(18)
