"""Addresses of people who may have no account: readable only with a key that is not in the database."""

from __future__ import annotations

from rainbow_xmpp.auth.box import Box
from rainbow_xmpp.plugin import WrongOrExpired

_KEY = "mfa_pin"


class Addresses:
    """What was sealed under an earlier key is over: PINs live minutes, and people are invited again."""

    def __init__(self, key: bytes) -> None:
        self._box = Box({_KEY: key}, _KEY)

    def seal(self, address: str, belongs_to: str) -> bytes:
        """It opens for this request or invitation only."""
        return self._box.seal(address.encode(), belongs_to)

    def open(self, sealed: bytes, belongs_to: str) -> str:
        """Raises WrongOrExpired."""
        plain = self._box.open(sealed, belongs_to)
        if plain is None:
            raise WrongOrExpired("sealed under another key")
        return plain.decode()
