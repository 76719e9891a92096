"""Sealing of anything: what lies in the database opens only with a key that is kept outside it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Box:
    """AES-256-GCM under the keys of one purpose (`Sealer.secrets_for`), by key id."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = current

    def seal(self, plain: bytes, belongs_to: str) -> bytes:
        """What opens for the same `belongs_to` only. It begins with the key's id."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain, belongs_to.encode())
        return self._current.encode().ljust(8) + nonce + sealed

    def open(self, sealed: bytes, belongs_to: str) -> bytes | None:
        """None: it was sealed under a key that is not here, or belongs elsewhere, or was altered."""
        cipher = self._ciphers.get(sealed[:8].decode("ascii", "replace").strip())
        if cipher is None:
            return None
        try:
            return cipher.decrypt(
                sealed[8 : 8 + _NONCE_BYTES], sealed[8 + _NONCE_BYTES :], belongs_to.encode()
            )
        except (InvalidTag, ValueError):
            return None
