"""PINs: made from the system's randomness, kept only as bcrypt over a keyed hash."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import secrets

import bcrypt

ROUNDS = 10
"""bcrypt's cost. What protects a stolen database is the key, which is not in it; there are but a million PINs."""
_NO_HASH = "." * 31
"""In the place of the 184 bits that bcrypt would put there: compared like any other, and right for nothing."""


class Pins:
    """`key` is kept outside the database. A hash is worth something for one request, purpose and address only."""

    def __init__(self, key: bytes, digits: int, *, rounds: int | None = None) -> None:
        self._key = key
        self.digits = digits
        self._rounds = ROUNDS if rounds is None else rounds
        self.nobodys = bcrypt.gensalt(self._rounds).decode() + _NO_HASH
        """For requests that do not exist, so that looking at them costs the same."""

    def new(self) -> str:
        """A PIN; every one is as likely as every other."""
        return f"{secrets.randbelow(10**self.digits):0{self.digits}d}"

    def hashed(self, pin: str, request_id: str, purpose: str, subject: str) -> str:
        """What is stored. Slow on purpose."""
        mixed = self._mixed(pin, request_id, purpose, subject)
        return bcrypt.hashpw(mixed, bcrypt.gensalt(self._rounds)).decode()

    def is_right(self, pin: str, request_id: str, purpose: str, subject: str, stored: str) -> bool:
        """Whether this PIN was stored for just this. As slow."""
        return bcrypt.checkpw(self._mixed(pin, request_id, purpose, subject), stored.encode())

    def _mixed(self, *parts: str) -> bytes:
        """64 characters, so that bcrypt's end at 72 bytes cuts nothing off."""
        text = "\0".join(parts).encode()
        return base64.b64encode(hmac.digest(self._key, text, "sha384"))

    def subject(self, address: str) -> str:
        """What stands for an address in the database and in the audit log."""
        return hmac.digest(self._key, b"address\0" + address.encode(), "sha256").hex()[:40]

    def source(self, source: str, ipv4_bits: int, ipv6_bits: int) -> str:
        """The same for the network that somebody comes from."""
        try:
            address = ipaddress.ip_address(source.partition("%")[0])
        except ValueError:
            prefix = source
        else:
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
                address = address.ipv4_mapped
            bits = ipv4_bits if address.version == 4 else ipv6_bits
            prefix = str(ipaddress.ip_network((address, bits), strict=False))
        return hmac.digest(self._key, b"source\0" + prefix.encode(), "sha256").hex()[:40]
