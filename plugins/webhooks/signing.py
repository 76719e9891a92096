"""Secrets, and the signatures made with them ("Standard Webhooks", symmetric)."""

from __future__ import annotations

import base64
import hmac
import secrets

from rainbow_xmpp.auth.box import Lock

SECRET_BYTES = 32
PREFIX = "whsec_"


class Secrets(Lock):
    """Makes secrets, and seals them for the database, each for its hook: a copy of it alone signs nothing."""

    def new(self) -> bytes:
        return secrets.token_bytes(SECRET_BYTES)


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
