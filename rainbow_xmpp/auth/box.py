"""Sealing of anything: what lies in the database opens only with a key that is kept outside it (AES-256-GCM)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_ID_BYTES = 8


class Lock:
    """One key. What is sealed says nothing of it."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, belongs_to: str) -> bytes:
        """What opens for the same `belongs_to` only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, belongs_to.encode())

    def open(self, sealed: bytes, belongs_to: str) -> bytes | None:
        """None: it was sealed under another key, or belongs elsewhere, or was altered."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], belongs_to.encode())
        except (InvalidTag, ValueError):
            return None


class Box:
    """The keys of one purpose (`Sealer.secrets_for`), by key id: what an earlier one sealed opens too."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._locks = {key_id: Lock(key) for key_id, key in keys.items()}
        self._current = current

    def seal(self, plain: bytes, belongs_to: str) -> bytes:
        """What opens for the same `belongs_to` only. It begins with the key's id."""
        sealed = self._locks[self._current].seal(plain, belongs_to)
        return self._current.encode().ljust(_ID_BYTES) + sealed

    def is_current(self, sealed: bytes) -> bool:
        """It was sealed under the key that is used now."""
        return sealed[:_ID_BYTES] == self._current.encode().ljust(_ID_BYTES)

    def open(self, sealed: bytes, belongs_to: str) -> bytes | None:
        """None as for `Lock.open`, or the key is not here."""
        lock = self._locks.get(sealed[:_ID_BYTES].decode("ascii", "replace").strip())
        return None if lock is None else lock.open(sealed[_ID_BYTES:], belongs_to)
