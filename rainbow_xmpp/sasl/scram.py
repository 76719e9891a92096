"""SCRAM, the server's side (RFC 5802, RFC 7677), without storage: keys are handed in, nothing is looked up."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MAX_MESSAGE_BYTES = 2048


class ScramError(Exception):
    """The client's message is malformed, or its proof is wrong."""

    def __init__(self, reason: str, *, malformed: bool = False) -> None:
        super().__init__(reason)
        self.malformed = malformed


class Keys(Protocol):
    """What is stored of a password for one hash function."""

    @property
    def salt(self) -> bytes: ...
    @property
    def iterations(self) -> int: ...
    @property
    def stored_key(self) -> bytes: ...
    @property
    def server_key(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class OtherKeys:
    """Keys of another password under the same salt and iterations: one that the server made for one client."""

    name: str
    """Says which one it is, and is not ""."""
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """`client-first-message`, taken apart (RFC 5802 §7)."""

    gs2_header: bytes
    binding: str
    """What stands for channel binding: "n" (cannot), "y" (thinks we cannot), or the type's name."""
    authzid: str
    username: str
    nonce: str
    bare: bytes

    @classmethod
    def parse(cls, message: bytes) -> ClientFirst:
        """Raise ScramError when it is not a client-first-message."""
        text = _text(message)
        try:
            flag, authz, rest = text.split(",", 2)
            name, nonce = rest.split(",")[:2]
        except ValueError:
            raise ScramError("client-first-message has too few parts", malformed=True) from None
        binding = flag[2:] if flag.startswith("p=") else flag
        if (flag not in ("n", "y") and not flag.startswith("p=")) or not binding:
            raise ScramError("unknown channel-binding flag", malformed=True)
        if authz and not authz.startswith("a="):
            raise ScramError("authzid expected", malformed=True)
        if not name.startswith("n=") or not nonce.startswith("r=") or not nonce[2:].isprintable():
            raise ScramError("username and nonce expected", malformed=True)
        if len(nonce) < 10:
            raise ScramError("nonce is too short", malformed=True)
        header = f"{flag},{authz},"
        return cls(
            gs2_header=header.encode(),
            binding=binding,
            authzid=_saslname(authz[2:]),
            username=_saslname(name[2:]),
            nonce=nonce[2:],
            bare=rest.encode(),
        )


class ScramServer:
    """One exchange: `first`, then `challenge` with the keys found, then `final`."""

    def __init__(
        self,
        hash_name: str,
        nonce: str,
        *,
        offered: str,
        plus: bool,
        plus_was_offered: bool,
        bindings: Mapping[str, bytes],
    ) -> None:
        """`offered` is the hash of what was announced (XEP-0474)."""
        self._hash = hash_name
        self._offered = offered
        self._server_nonce = nonce
        self._plus = plus
        self._plus_was_offered = plus_was_offered
        self._bindings = bindings
        self._client: ClientFirst | None = None
        self._keys: Keys | None = None
        self._others: Sequence[OtherKeys] = ()
        self._refusal = ""
        self.proven = ""
        """Which of the other keys the proof was made with; "" while there is none, and for the account's own."""
        self._server_first = b""

    def first(self, message: bytes) -> ClientFirst:
        """Read the client's first message and judge its channel-binding flag (RFC 5802 §6)."""
        client = ClientFirst.parse(message)
        if self._plus:
            if client.binding not in self._bindings:
                raise ScramError(f"channel binding {client.binding!r} is not offered", malformed=True)
        elif client.binding == "y" and self._plus_was_offered:
            raise ScramError("client believes that channel binding was not offered: downgraded")
        elif client.binding not in ("n", "y"):
            raise ScramError("channel binding used with a mechanism that has none", malformed=True)
        self._client = client
        return client

    def challenge(self, keys: Keys, others: Sequence[OtherKeys] = (), *, refusal: str = "") -> bytes:
        """The `server-first-message` for these keys; a proof made with the `others` counts as well.

        `refusal` says why the keys themselves do not suffice: who proves them hears what a wrong proof hears.
        """
        assert self._client is not None, "first() comes before challenge()"
        self._keys, self._others, self._refusal = keys, others, refusal
        salt = base64.b64encode(keys.salt).decode()
        nonce = self._client.nonce + self._server_nonce
        self._server_first = f"r={nonce},s={salt},i={keys.iterations},h={self._offered}".encode()
        return self._server_first

    def final(self, message: bytes) -> bytes:
        """Check the client's proof and return the `server-final-message`; raise ScramError when it is wrong."""
        client, keys = self._client, self._keys
        assert client is not None and keys is not None, "challenge() comes before final()"
        text = _text(message)
        without_proof, found, proof_text = text.rpartition(",p=")
        parts = without_proof.split(",")
        if not found or len(parts) < 2 or not parts[0].startswith("c=") or not parts[1].startswith("r="):
            raise ScramError("client-final-message expected", malformed=True)
        expected_binding = client.gs2_header
        if self._plus:
            expected_binding += self._bindings[client.binding]
        if not hmac.compare_digest(_unbase64(parts[0][2:]), expected_binding):
            raise ScramError("channel binding data do not match")
        if not hmac.compare_digest(parts[1][2:].encode(), (client.nonce + self._server_nonce).encode()):
            raise ScramError("nonce does not match")
        auth_message = b",".join((client.bare, self._server_first, without_proof.encode()))
        proof = _unbase64(proof_text)
        if len(proof) != hashlib.new(self._hash).digest_size:
            raise ScramError("proof has the wrong length")
        server_key = self._server_key(keys, proof, auth_message)
        return b"v=" + base64.b64encode(hmac.digest(server_key, auth_message, self._hash))

    def _server_key(self, keys: Keys, proof: bytes, auth_message: bytes) -> bytes:
        """Of whichever keys the proof was made with. All are looked at, whichever it is."""
        own = keys.server_key if self._fits(keys.stored_key, proof, auth_message) else None
        fitting = [other for other in self._others if self._fits(other.stored_key, proof, auth_message)]
        if own is not None and not self._refusal:
            return own
        if not fitting:
            raise ScramError(self._refusal if own is not None else "wrong password")
        self.proven = fitting[0].name
        return fitting[0].server_key

    def _fits(self, stored_key: bytes, proof: bytes, auth_message: bytes) -> bool:
        """RFC 5802 §3: H(ClientProof XOR ClientSignature) is the stored key."""
        signature = hmac.digest(stored_key, auth_message, self._hash)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        return hmac.compare_digest(hashlib.new(self._hash, client_key).digest(), stored_key)


def _text(message: bytes) -> str:
    if len(message) > MAX_MESSAGE_BYTES:
        raise ScramError("message is too long", malformed=True)
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise ScramError("message is not UTF-8", malformed=True) from None


def _saslname(text: str) -> str:
    """Undo the escaping of `,` and `=` (RFC 5802 §5.1); any other `=` is an error."""
    if "=" not in text:
        return text
    parts = text.replace("=2C", "\x00C").replace("=3D", "\x00D")
    if "=" in parts:
        raise ScramError("username is wrongly escaped", malformed=True)
    return parts.replace("\x00C", ",").replace("\x00D", "=")


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScramError("base64 expected", malformed=True) from None
