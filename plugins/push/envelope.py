"""A notification as a push service takes it: encrypted for one browser, signed by this server."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from rainbow_xmpp.plugins.push.values import LastMessage, Target, Urgency

POINT_BYTES = 65
AUTH_BYTES = 16
KEY_BYTES = 32
SIGNED_FOR_S = 12 * 3600
"""A push service takes no more than 24 hours (RFC 8292 §2)."""
MOST_BYTES = 3072
"""What is longer loses its body: 4096 are taken with what encryption adds (RFC 8030 §7.2)."""
BLOCK = 128
"""What is encrypted is as long as the next multiple of this, so that its length tells little."""
_URGENCIES = {Urgency.MESSAGE: "normal", Urgency.CALL: "high"}
"""RFC 8030 §5.3."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a device is told."""

    node: str
    urgency: Urgency
    unseen: int
    """Messages since it was there."""
    ttl_s: int
    """For how long it is worth telling."""
    last: LastMessage | None = None

    def to_json(self) -> bytes:
        """What the browser's service worker gets; the names are those of XEP-0357's form."""
        told: dict[str, object] = {"type": self.urgency, "node": self.node, "message-count": self.unseen}
        data = _json(told)
        last = self.last or LastMessage("")
        for name, text in (("last-message-sender", last.sender), ("last-message-body", last.body)):
            if text and len(_json(told | {name: text})) <= MOST_BYTES:
                told[name] = text
                data = _json(told)
        return data + b" " * (-len(data) % BLOCK)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to a push service by POST."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Signer:
    """By whom push services know this server (RFC 8292)."""

    def __init__(self, private_key: bytes, contact: str) -> None:
        """`private_key` is a number of 32 bytes, `contact` a `mailto:` or `https:` URI for push services' operators."""
        key = ec.derive_private_key(int.from_bytes(private_key), ec.SECP256R1())
        self._vapid = Vapid02(key, conf={"no-strict": True})  # its own rule for `sub` knows no ports
        self._contact = contact
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key = encode(point)
        """As browsers take it as `applicationServerKey`."""

    def headers(self, url: str, now: float) -> dict[str, str]:
        """`Authorization`, for this push service."""
        parts = urlsplit(url)
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int(now) + SIGNED_FOR_S,
            "sub": self._contact,
        }
        signed: dict[str, str] = self._vapid.sign(claims)
        return signed


def new_private_key() -> bytes:
    """For a `Signer`."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return number.to_bytes(KEY_BYTES)


def request_for(notification: Notification, target: Target, signer: Signer, now: float) -> Request:
    """RFC 8030 §5, RFC 8291. A later notification takes the place of one that could not be delivered yet (§5.4)."""
    body: bytes = http_ece.encrypt(
        notification.to_json(),
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=target.p256dh,
        auth_secret=target.auth,
        version="aes128gcm",
    )
    headers = {
        "TTL": str(notification.ttl_s),
        "Urgency": _URGENCIES[notification.urgency],
        "Topic": str(notification.urgency),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        **signer.headers(target.endpoint, now),
    }
    return Request(target.endpoint, headers, body)


def read_target(endpoint: str, p256dh: str, auth: str) -> Target:
    """Raises ValueError, in words that whoever subscribes may read."""
    try:
        point, secret = decode(p256dh), decode(auth)
    except ValueError:
        raise ValueError("keys are base64url") from None
    if len(secret) != AUTH_BYTES:
        raise ValueError(f"auth has {AUTH_BYTES} bytes")
    try:
        if len(point) != POINT_BYTES:
            raise ValueError
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise ValueError("p256dh is no point on P-256") from None
    return Target(endpoint, point, secret)


def _json(told: dict[str, object]) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode()


def encode(data: bytes) -> str:
    """base64url without padding, as browsers write it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Raises ValueError."""
    if not text.isascii():
        raise ValueError("not ASCII")
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
