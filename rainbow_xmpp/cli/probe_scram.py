"""SCRAM, the client's side (RFC 5802, RFC 7677), without channel binding."""

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}


class ScramRefused(Exception):
    """The server's side of the exchange is wrong; it may not know the password at all."""


class ScramClient:
    """One login: `first`, then `final` with the server's challenge, then `check` with its last word."""

    def __init__(self, mechanism: str, user: str, password: str, nonce: str | None = None) -> None:
        self._hash = HASHES[mechanism]
        self._password = unicodedata.normalize("NFKC", password).encode()
        self._nonce = nonce or secrets.token_urlsafe(18)
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        """The client-first-message."""
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """The client-final-message for this server-first-message. Raises ScramRefused."""
        fields = _fields(challenge)
        try:
            nonce, salt, rounds = fields["r"], base64.b64decode(fields["s"], validate=True), int(fields["i"])
        except (KeyError, ValueError, binascii.Error):
            raise ScramRefused("the server's challenge is malformed") from None
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ScramRefused("the server's nonce does not continue ours")
        if not 4096 <= rounds <= 10_000_000:
            raise ScramRefused(f"the server asks for {rounds} rounds")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, rounds)
        without_proof = f"c=biws,r={nonce}"
        signed = ",".join((self._bare, challenge.decode(), without_proof)).encode()
        client_key = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._hash, client_key).digest(), signed)
        self._server_signature = self._mac(self._mac(salted, b"Server Key"), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, last: bytes) -> None:
        """Does the server know the password too? Raises ScramRefused when its signature is wrong."""
        try:
            signature = base64.b64decode(_fields(last)["v"], validate=True)
        except (KeyError, ValueError, binascii.Error):
            raise ScramRefused("the server did not prove that it knows the password") from None
        if not hmac.compare_digest(signature, self._server_signature):
            raise ScramRefused("the server does not know the password: it is not the one it claims to be")

    def _mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self._hash)


def _fields(message: bytes) -> dict[str, str]:
    pairs = (part.partition("=") for part in message.decode(errors="replace").split(","))
    return {name: value for name, _, value in pairs}
