"""Secrets, and the signatures made with them ("Standard Webhooks", symmetric)."""

from __future__ import annotations

import base64
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_BYTES = 32
PREFIX = "whsec_"
_NONCE_BYTES = 12


class Secrets:
    """Makes secrets, and seals them for the database: a copy of it alone signs nothing."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def new(self) -> bytes:
        return secrets.token_bytes(SECRET_BYTES)

    def seal(self, secret: bytes, hook_id: str) -> bytes:
        """It opens for this hook only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, hook_id.encode())

    def open(self, sealed: bytes, hook_id: str) -> bytes | None:
        """None: it was sealed under another key, or for another hook, or was altered."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], hook_id.encode())
        except (InvalidTag, ValueError):
            return None


def secret_text(secret: bytes) -> str:
    """As it is given to whoever checks signatures."""
    return PREFIX + base64.b64encode(secret).decode()


def signed_headers(secret: bytes, message_id: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers; what is signed is `id.timestamp.body`. `at` is Unix time in seconds."""
    digest = hmac.digest(secret, f"{message_id}.{at}.".encode() + body, "sha256")
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }
