"""Access tokens: signed JSON Web Tokens that say who somebody is for a quarter of an hour (RFC 7519, 9068, 8725).

ES256 and nothing else, with keys of our own; what a token's header says about keys is a name among those, or the
token is worth nothing. A token names opaque ids only, since tokens end up in logs.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.store.values import Account

ALGORITHM = "ES256"
MAX_CHARS = 4096
"""A longer text is refused unread."""
LEEWAY_S = 10
_HEADER = frozenset(("alg", "kid", "typ"))
_NEEDED = ("iss", "aud", "sub", "exp", "iat", "jti", "cid", "epoch", "sid")


class TokenType(StrEnum):
    """What a token is for; one kind never stands in for another."""

    ACCESS = "at+jwt"
    MFA_PENDING = "mfa+jwt"
    """The password was right, and a code is to come: good for that, and for nothing else."""
    ENROL = "enrol+jwt"
    """The password was right, and a second factor must be made first: good for that, and for nothing else."""


_LIFETIMES_S = {TokenType.MFA_PENDING: 300, TokenType.ENROL: 900}
"""Of tokens that are no access tokens."""


class InvalidToken(RainbowError):
    """The token is worth nothing; the text is for the log."""


class InvalidSigningKey(RainbowError):
    """A key of the configuration cannot be used; the text is for the administrator."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. `family` is the login it came from, `expires_at` Unix time in seconds."""

    account_id: str
    company_id: str
    epoch: int
    family: str
    id: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A P-256 key and its name, which follows from the key itself."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)
    id: str

    @classmethod
    def from_pem(cls, text: str) -> SigningKey:
        """Raises InvalidSigningKey."""
        try:
            key = serialization.load_pem_private_key(text.encode(), None)
        except (ValueError, TypeError):
            raise InvalidSigningKey("the token key is no private key in PEM, or has a passphrase") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise InvalidSigningKey("the token key must be of the curve P-256: rainbow-xmpp setup makes one")
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(key, hashlib.sha256(public).hexdigest()[:16])


def new_signing_key() -> str:
    """A fresh key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


class Tokens:
    """Signs with the first key; the others are still believed, until what they signed is over."""

    def __init__(self, key: SigningKey, older: Iterable[SigningKey], *, issuer: str, lifetime_s: int) -> None:
        self._key = key
        self._public: Mapping[str, ec.EllipticCurvePublicKey] = {
            each.id: each.private.public_key() for each in (key, *older)
        }
        self._issuer = issuer
        self._audience = f"{issuer}/api"
        self.lifetime_s = lifetime_s

    def lifetime_of(self, kind: TokenType) -> int:
        """Seconds for which a token of this kind is good."""
        return _LIFETIMES_S.get(kind, self.lifetime_s)

    def issue(self, account: Account, family: str, now: float, kind: TokenType = TokenType.ACCESS) -> str:
        """A token for this account and login; `now` is Unix time in seconds."""
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": account.id,
            "cid": account.company.id,
            "hr": account.region,
            "epoch": account.epoch,
            "sid": family,
            "iat": int(now),
            "exp": int(now) + self.lifetime_of(kind),
            "jti": secrets.token_hex(16),
        }
        headers = {"kid": self._key.id, "typ": kind}
        return jwt.encode(claims, self._key.private, algorithm=ALGORITHM, headers=headers)

    def verify(self, text: str, now: float, kind: TokenType = TokenType.ACCESS) -> Claims:
        """What a token of this kind says. Raises InvalidToken; the account may have changed since."""
        key = self._key_of(text, kind)
        try:
            claims = jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": list(_NEEDED), "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise InvalidToken(f"{type(error).__name__}") from None
        return _claims(claims, now, self.lifetime_of(kind))

    def _key_of(self, text: str, kind: TokenType) -> ec.EllipticCurvePublicKey:
        """By the header, which is looked at before anything else, and may say nothing but this."""
        if len(text) > MAX_CHARS:
            raise InvalidToken("too long")
        try:
            header = jwt.get_unverified_header(text)
        except jwt.PyJWTError:
            raise InvalidToken("not a token") from None
        if set(header) != _HEADER or header["alg"] != ALGORITHM or header["typ"] != kind:
            raise InvalidToken("a header of another kind")
        key = self._public.get(header["kid"]) if isinstance(header["kid"], str) else None
        if key is None:
            raise InvalidToken("an unknown key")
        return key


def _claims(claims: Mapping[str, Any], now: float, lifetime_s: int) -> Claims:
    issued, expires, epoch = claims["iat"], claims["exp"], claims["epoch"]
    if not all(type(number) is int for number in (issued, expires, epoch)):
        raise InvalidToken("times and epoch are whole numbers")
    if not all(isinstance(claims[name], str) for name in ("sub", "cid", "sid", "jti")):
        raise InvalidToken("ids are texts")
    if now >= expires + LEEWAY_S or issued > now + LEEWAY_S or expires - issued > lifetime_s:
        raise InvalidToken("expired, or not valid yet, or for longer than tokens are")
    return Claims(claims["sub"], claims["cid"], epoch, claims["sid"], claims["jti"], expires)
