"""Codes of authenticator apps (RFC 6238) and recovery codes: making and comparing them. No clock, no database.

The parameters are those that every app takes (XEP-0400 §3.2): SHA-1, 30 seconds, six digits.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

import pyotp

from rainbow_xmpp.auth.readable import as_typed, is_readable_secret, new_readable_secret

PERIOD_S = 30
DIGITS = 6
WINDOW = 1
"""So many steps the clocks of telephone and server may be apart (RFC 6238 §5.2)."""
RECOVERY_CODES = 10
MOST_CHARS = 100


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody typed: the code of an app, a recovery code, or neither."""

    totp: str = field(default="", repr=False)
    recovery: str = field(default="", repr=False)

    @classmethod
    def read(cls, text: str) -> Typed:
        """Spaces, dashes and capitals do not matter."""
        typed = as_typed(text[:MOST_CHARS])
        if len(typed) == DIGITS and typed.isascii() and typed.isdigit():
            return cls(totp=typed)
        return cls(recovery=typed) if is_readable_secret(typed) else cls()


def new_secret() -> str:
    """160 random bits in base32, as RFC 4226 §4 recommends."""
    return pyotp.random_base32(32)


def uri(secret: str, jid: str, issuer: str) -> str:
    """What the QR code says (XEP-0400 §4)."""
    return pyotp.TOTP(secret).provisioning_uri(name=jid, issuer_name=issuer)


def for_typing(secret: str) -> str:
    """The secret in groups of four."""
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))


def code_of(secret: str, step: int) -> str:
    """The code of a time step: RFC 6238 §4.2."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=PERIOD_S).generate_otp(step)


def step_at(now: float) -> int:
    """The time step of a Unix time."""
    return int(now) // PERIOD_S


def step_of(secret: str, code: str, now: float) -> int | None:
    """The time step that a code is of, about now; None for a wrong one. Takes the same time for each."""
    found = None
    for step in range(max(0, step_at(now) - WINDOW), step_at(now) + WINDOW + 1):
        if hmac.compare_digest(code_of(secret, step), code):
            found = step
    return found


def new_recovery_codes() -> tuple[str, ...]:
    """Each is good once."""
    return tuple(new_readable_secret() for _ in range(RECOVERY_CODES))


def hash_of(secret: str, recovery_code: str) -> str:
    """What is kept of a recovery code: worth nothing without the app's secret, which lies sealed."""
    key = hmac.digest(secret.encode(), b"recovery codes", "sha256")
    return hmac.digest(key, as_typed(recovery_code).encode(), "sha256").hex()
