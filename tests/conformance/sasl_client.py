"""The client's side of SASL PLAIN and SCRAM, as small as a test can have it (RFC 4616, 5802, 7677)."""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

from cryptography import x509


class ServerNotProven(AssertionError):
    """The server's final SCRAM message does not show that it knows the password's keys."""


def plain(username: str, password: str, authzid: str = "") -> bytes:
    """The one message of SASL PLAIN."""
    return f"{authzid}\0{username}\0{password}".encode()


def server_end_point(certificate_der: bytes) -> bytes:
    """The channel binding data `tls-server-end-point` of a certificate (RFC 5929 §4.1)."""
    used = x509.load_der_x509_certificate(certificate_der).signature_hash_algorithm
    name = used.name if used and used.name not in ("md5", "sha1") else "sha256"
    return hashlib.new(name, certificate_der).digest()


class Scram:
    """One SCRAM exchange: `first()`, then `final(challenge)`, then `verify(success)`.

    `binding` is the `tls-server-end-point` data for a -PLUS mechanism. For tests that cheat, `gs2` replaces
    the GS2 header and `nonce` the client's nonce.
    """

    def __init__(
        self,
        mechanism: str,
        username: str,
        password: str,
        *,
        binding: bytes = b"",
        gs2: str | None = None,
        nonce: str | None = None,
    ) -> None:
        self.hash_name = "sha256" if "SHA-256" in mechanism else "sha1"
        self.password = password
        self.binding = binding if mechanism.endswith("-PLUS") else b""
        self.gs2 = gs2 if gs2 is not None else ("p=tls-server-end-point,," if self.binding else "n,,")
        name = username.replace("=", "=3D").replace(",", "=2C")
        self.client_first_bare = f"n={name},r={nonce or secrets.token_urlsafe(18)}"
        self.server_signature = b""

    def first(self) -> bytes:
        """The client-first-message."""
        return (self.gs2 + self.client_first_bare).encode()

    def final(self, challenge: bytes) -> bytes:
        """The client-final-message that answers the server-first-message."""
        parts = dict(part.split("=", 1) for part in challenge.decode().split(","))
        salted = hashlib.pbkdf2_hmac(
            self.hash_name, self.password.encode(), b64decode(parts["s"]), int(parts["i"])
        )
        client_key = self._hmac(salted, b"Client Key")
        stored_key = hashlib.new(self.hash_name, client_key).digest()
        bound = b64encode(self.gs2.encode() + self.binding).decode()
        without_proof = f"c={bound},r={parts['r']}"
        signed = f"{self.client_first_bare},{challenge.decode()},{without_proof}".encode()
        signature = self._hmac(stored_key, signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self.server_signature = self._hmac(self._hmac(salted, b"Server Key"), signed)
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def verify(self, success: bytes) -> None:
        """Raises `ServerNotProven` unless the server-final-message carries the right signature."""
        if success != b"v=" + b64encode(self.server_signature):
            raise ServerNotProven(success)

    def _hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, self.hash_name).digest()
