"""Requests between regions, sealed for the region that may read them, with proof of the one that sent them.

As DHKEM does it in its authenticated mode (RFC 9180 §4.1, AuthEncap): X25519 of a key made for this request, and of the
sender's own, both with the receiver's, through HKDF-SHA-256 to AES-256-GCM. From where, to where, for which service and
when stands in what is authenticated, so a request opens nowhere else, for nothing else, and not later. The answer is
sealed under a key that only this request leads to. Who carries it sees its size and its time; key ids in front tell
which regions, as the subject does.

Within `FRESH_S` a request that was recorded can be sent again, and is served again: requests say so little that this
changes nothing (`rainbow_xmpp.border`). Who steals a region's private key reads what was recorded for it: keys are
replaced now and then (`old_key`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rainbow_xmpp.errors import RainbowError

FRESH_S = 60.0
"""So far a request's time may be from the receiver's: clocks differ, and requests wait."""
OVERHEAD_BYTES = 128
"""More than this a seal does not add, neither to a request nor to an answer."""

_VERSION = 1
_LABEL = b"rainbow-xmpp border 1"
_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEAD = struct.Struct(f">B{_ID_BYTES}s{_ID_BYTES}sQ{_KEY_BYTES}s")
"""Version, the receiver's and the sender's key by their ids, Unix time in milliseconds, the request's own key."""
_ANSWER = struct.Struct(">BQ")
"""Outcome, Unix time in milliseconds."""


class InvalidRegionKey(RainbowError, ValueError):
    """A configured text is no key of a region, or does not fit the others; says which, for administrators."""


class NotForUs(RainbowError):
    """What came is no request that a known region sealed for this one; the text is for the log."""


class Outcome(IntEnum):
    """How a request ended."""

    ANSWERED = 0
    REFUSED = 1
    STALE = 2
    """It was made too long ago, or in the future: one of the two clocks is wrong. Nothing was done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was opened. `at` is the answering region's Unix time in seconds."""

    outcome: Outcome
    at: float
    body: bytes


class AnswerSeal:
    """Both ends of one request have it, and nobody else."""

    __slots__ = ("_bound", "_cipher")

    def __init__(self, key: bytes, bound: bytes) -> None:
        self._cipher = AESGCM(key)
        self._bound = bound

    def seal(self, outcome: Outcome, body: bytes, now: float) -> bytes:
        """The nonce is drawn: a request that comes twice may be answered in two ways."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = _ANSWER.pack(outcome, round(now * 1000)) + body
        return nonce + self._cipher.encrypt(nonce, plain, self._bound)

    def open(self, sealed: bytes) -> Answer:
        """Raises NotForUs: this is not what the region answered to this request."""
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound)
            outcome, at_ms = _ANSWER.unpack_from(plain)
            return Answer(Outcome(outcome), at_ms / 1000, plain[_ANSWER.size :])
        except (InvalidTag, ValueError, struct.error):
            raise NotForUs("an answer does not open") from None


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was opened: which region sent it, which is proven, and what it says."""

    origin: str
    body: bytes
    is_fresh: bool
    answer: AnswerSeal


class _Pair:
    """One of this region's keys and one of another's."""

    __slots__ = ("_own", "_theirs", "bound", "fixed", "head", "region")

    def __init__(self, region: str, own: X25519PrivateKey, theirs: bytes) -> None:
        self.region = region
        self._own = own
        self._theirs = X25519PublicKey.from_public_bytes(theirs)
        self.fixed = own.exchange(self._theirs)
        self.head = key_id(theirs), key_id(_public(own))
        self.bound = theirs, _public(own)

    def with_theirs(self, own_once: X25519PrivateKey) -> bytes:
        return own_once.exchange(self._theirs)

    def with_own(self, their_once: bytes) -> bytes:
        return self._own.exchange(X25519PublicKey.from_public_bytes(their_once))


class Seals:
    """A region's keys and those of the others.

    A region may have two while one replaces the other. What comes opens with either of its private keys, whichever of
    the sender's public keys proves it; what leaves is sealed under the keys that `keys` names first, its own too.
    """

    def __init__(self, here: str, own: Iterable[str], keys: Mapping[str, Iterable[str]]) -> None:
        """`keys` are the public keys of all regions, `here` among them. Raises InvalidRegionKey."""
        self.here = here
        public = {
            name: [_read(text, f"regions.{name}.key") for text in texts] for name, texts in keys.items()
        }
        private = {_public(key): key for key in (_private(text) for text in own)}
        _require_own(here, public, private)
        self._leaving: dict[str, _Pair] = {}
        self._coming: dict[tuple[bytes, bytes], _Pair] = {}
        for name, theirs in public.items():
            if name == here:
                continue
            for key in theirs:
                for mine, secret in private.items():
                    pair = _pair(name, secret, key)
                    self._coming[key_id(mine), key_id(key)] = pair
                    if key == theirs[0] and mine == public[here][0]:
                        self._leaving[name] = pair

    @property
    def regions(self) -> list[str]:
        """Those that something can be sealed for."""
        return list(self._leaving)

    def seal(self, region: str, service: str, body: bytes, now: float) -> tuple[bytes, AnswerSeal]:
        """A request for a service of a region, which must be one of `regions`, and what opens its answer."""
        pair = self._leaving[region]
        once = X25519PrivateKey.generate()
        head = _HEAD.pack(_VERSION, *pair.head, round(now * 1000), _public(once))
        key, nonce, answer_key = _keys(pair.with_theirs(once), pair.fixed, head, *pair.bound)
        bound = _bound(self.here, region, service, head)
        sealed = AESGCM(key).encrypt(nonce, body, bound)
        return head + sealed, AnswerSeal(answer_key, bound)

    def open(self, service: str, sealed: bytes, now: float) -> Request:
        """A request for a service of this region. Raises NotForUs."""
        if len(sealed) < _HEAD.size or sealed[0] != _VERSION:
            raise NotForUs("not a sealed request of this version")
        head = sealed[: _HEAD.size]
        _, to_key, from_key, at_ms, once = _HEAD.unpack(head)
        pair = self._coming.get((to_key, from_key))
        if pair is None:
            raise NotForUs(
                f"a request is sealed for the key {to_key.hex()} by {from_key.hex()}: not keys in regions.toml here"
            )
        theirs, own = pair.bound
        try:
            key, nonce, answer_key = _keys(pair.with_own(once), pair.fixed, head, own, theirs)
            bound = _bound(pair.region, self.here, service, head)
            body = AESGCM(key).decrypt(nonce, sealed[_HEAD.size :], bound)
        except (InvalidTag, ValueError):
            raise NotForUs(f"a request with the key of {pair.region} does not open") from None
        is_fresh = abs(now - at_ms / 1000) <= FRESH_S
        return Request(pair.region, body, is_fresh, AnswerSeal(answer_key, bound))


def new_key() -> str:
    """A new private key, as it is written into its file."""
    return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()


def public_key(private: str) -> str:
    """The public key of a private one, as `regions.toml` has it. Raises InvalidRegionKey."""
    return base64.b64encode(_public(_private(private))).decode()


def key_id(public: bytes) -> bytes:
    """What names a public key in front of what is sealed for it."""
    return hashlib.sha256(public).digest()[:_ID_BYTES]


def _keys(
    once: bytes, fixed: bytes, head: bytes, receiver: bytes, sender: bytes
) -> tuple[bytes, bytes, bytes]:
    """The request's key and nonce, used once since they come from a key used once, and the answer's key."""
    context = _LABEL + head + receiver + sender
    made = HKDF(SHA256(), 2 * _KEY_BYTES + _NONCE_BYTES, salt=None, info=context).derive(once + fixed)
    return made[:_KEY_BYTES], made[_KEY_BYTES:-_KEY_BYTES], made[-_KEY_BYTES:]


def _bound(origin: str, destination: str, service: str, head: bytes) -> bytes:
    """No name has a NUL in it."""
    return b"\0".join((_LABEL, origin.encode(), destination.encode(), service.encode(), head))


def _public(private: X25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def _private(text: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(_read(text, "border.key"))


def _read(text: str, option: str) -> bytes:
    """Does not repeat the text, which may be a secret."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidRegionKey(f"{option} is no key of a region; rainbow-xmpp region key makes one")
    return key


def _pair(region: str, own: X25519PrivateKey, theirs: bytes) -> _Pair:
    try:
        return _Pair(region, own, theirs)
    except ValueError:  # all shared secrets with it would be the same
        raise InvalidRegionKey(f"regions.{region}.key is no key that anything can be sealed for") from None


def _require_own(
    here: str, public: Mapping[str, list[bytes]], private: Mapping[bytes, X25519PrivateKey]
) -> None:
    own = public.get(here, [])
    if not own or own[0] not in private:
        raise InvalidRegionKey(
            f"neither border.key nor border.old_key is the private key of regions.{here}.key: "
            "the other regions would not believe this server"
        )
