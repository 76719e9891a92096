"""The server's TLS: which certificate, which versions, which suites, and the binding to a channel."""

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.transport.quick_tls import MEMORY_BIO_BYTES, harden, make_quick, quick_tls_available

__all__ = [
    "MEMORY_BIO_BYTES",
    "Certificate",
    "TlsFileError",
    "endpoint_hash",
    "load_or_explain",
    "make_quick",
    "quick_tls_available",
    "replace_certificate",
    "server_context",
]

ALPN_HTTP = "http/1.1"
ALPN_XMPP = "xmpp-client"  # XEP-0368
ALPN_TURN = "stun.turn"  # RFC 7443
ALPN_RELAYED = "rainbow-relayed"
"""Spoken between regions only: people who come home through another one (`coming_home`)."""
ALPN_PROTOCOLS = (ALPN_HTTP, ALPN_XMPP, ALPN_TURN)

# TLS 1.2: forward secrecy by ECDHE and authenticated encryption, nothing else. The suites of TLS 1.3 are
# all of that kind and stay as OpenSSL has them.
TLS12_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"

_CURVES = (ec.SECP256R1, ec.SECP384R1)
_MIN_RSA_BITS = 2048
# RFC 5929 §4.1: a certificate signed with one of these is hashed with SHA-256 all the same.
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)


class TlsFileError(RainbowError):
    """The certificate or its key cannot be used; `path` is the file, `problem` says why in plain words."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an administrator wants to know of the server's certificate."""

    names: tuple[str, ...]  # DNS names it is valid for (RFC 6125: the subject's common name does not count)
    not_before: datetime
    not_after: datetime
    key: str  # such as "EC secp256r1"
    endpoint_hash: bytes | None  # see `endpoint_hash`

    def covers(self, name: str) -> bool:
        """Whether a client that looks for `name` accepts this certificate (RFC 6125 §6.4)."""
        name = name.lower().rstrip(".")
        parent = name.partition(".")[2]
        return name in self.names or (bool(parent) and f"*.{parent}" in self.names)

    def days_left(self, now: datetime) -> int:
        """Whole days until it expires, negative afterwards."""
        return (self.not_after - now).days

    def concerns(self, names: Iterable[str], now: datetime) -> Iterator[str]:
        """Why clients that look for these names refuse it, in an administrator's words."""
        if now < self.not_before:
            yield f"is valid only from {self.not_before:%Y-%m-%d} on"
        if now >= self.not_after:
            yield f"expired on {self.not_after:%Y-%m-%d}; replace it"
        for name in names:
            if not self.covers(name):
                yield f"does not name {name}, only {', '.join(self.names) or 'nothing'}"


def server_context(certificate: Path | str, key: Path | str, *protocols: str) -> ssl.SSLContext:
    """The context of every TLS listener; raises `TlsFileError` when the files cannot be used.

    `protocols` are spoken besides those that every server speaks (ALPN).

    It is prepared for the quick engine where that works; whether it does, `quick_tls_available` says.
    """
    load_or_explain(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS12_SUITES)
    context.set_alpn_protocols([*ALPN_PROTOCOLS, *protocols])
    context.options |= (
        ssl.OP_CIPHER_SERVER_PREFERENCE
        | ssl.OP_NO_COMPRESSION  # CRIME
        | ssl.OP_NO_RENEGOTIATION  # a client could make the server repeat the costly part without end
        | ssl.OP_SINGLE_ECDH_USE
        | ssl.OP_NO_TICKET
    )
    # No resumption. The key that seals tickets would open every recorded session that began with one,
    # so it would have to be changed often and shared between workers; and with a P-256 key a resumed
    # handshake saves a tenth of the server's CPU (330 instead of 373 µs measured), which is not worth it.
    context.num_tickets = 0
    harden(context)
    make_quick(context)
    _load_chain(context, Path(certificate), Path(key))
    return context


def replace_certificate(context: ssl.SSLContext, certificate: Path | str, key: Path | str) -> Certificate:
    """Use another certificate for connections that come from now on; on `TlsFileError` nothing changed."""
    facts = load_or_explain(certificate, key)
    _load_chain(context, Path(certificate), Path(key))
    return facts


def load_or_explain(certificate: Path | str, key: Path | str) -> Certificate:
    """Read both files and say what is wrong with them, if anything, as a `TlsFileError`.

    An expired certificate is no error here: a server that does not start helps nobody. Ask `days_left`.
    """
    certificate, key = Path(certificate), Path(key)
    chain = _read(certificate, "tls.certificate")
    leaf = _leaf(certificate, chain)
    private = _private_key(key)
    kind = _key_kind(certificate, leaf.public_key())
    if _public_bytes(leaf.public_key()) != _public_bytes(private.public_key()):
        raise TlsFileError(key, f"does not belong to the certificate in {certificate}")
    return Certificate(
        names=_dns_names(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        key=kind,
        endpoint_hash=_endpoint_hash_of(leaf),
    )


def region_context(ca: str) -> ssl.SSLContext:
    """The context of connections to servers of other regions; `ca` signed their certificates, "" = whom we trust.

    Raises `TlsFileError`.
    """
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError):
        raise TlsFileError(Path(ca), "holds no certificates in PEM form, or cannot be read") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN_RELAYED])
    make_quick(context)
    return context


def endpoint_hash(certificate_pem: bytes) -> bytes | None:
    """The channel binding `tls-server-end-point` (RFC 5929 §4.1) of the first certificate in this PEM.

    The certificate's DER hashed with the hash of its signature, SHA-256 in place of MD5 and SHA-1. None
    where the RFC leaves it undefined: a signature that has no such hash, as Ed25519. Raises ValueError
    when there is no certificate.
    """
    return _endpoint_hash_of(x509.load_pem_x509_certificate(certificate_pem))


def _endpoint_hash_of(certificate: x509.Certificate) -> bytes | None:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    return certificate.fingerprint(hashes.SHA256() if isinstance(algorithm, _WEAK_HASHES) else algorithm)


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # The password callback would ask on the terminal; `_private_key` has refused encrypted keys before.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as refusal:
        reason = getattr(refusal, "reason", None) or str(refusal)
        raise TlsFileError(certificate, f"is refused by OpenSSL: {reason}") from refusal


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise TlsFileError(path, f"there is no such file ({key})") from None
    except PermissionError:
        raise TlsFileError(path, f"this user may not read it ({key})") from None
    except OSError as failure:
        raise TlsFileError(path, f"cannot be read ({key}): {failure.strerror}") from failure


def _leaf(path: Path, pem: bytes) -> x509.Certificate:
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TlsFileError(path, "holds no certificate in PEM form, or a broken one") from None
    return certificates[0]


def _private_key(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_read(path, "tls.key"), password=None)
    except TypeError:
        raise TlsFileError(
            path, "is locked with a passphrase; store it without one, readable by this user only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsFileError(path, "holds no private key in PEM form, or a broken one") from None


def _key_kind(path: Path, key: PublicKeyTypes | object) -> str:
    """The key in words, or a refusal of kinds that common clients cannot use or that are too weak."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return f"EC {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size >= _MIN_RSA_BITS:
            return f"RSA {key.key_size}"
        raise TlsFileError(path, f"its RSA key has {key.key_size} bits; at least {_MIN_RSA_BITS} are needed")
    raise TlsFileError(path, "its key is neither EC on P-256 or P-384 nor RSA; use EC on P-256")


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in found.value.get_values_for_type(x509.DNSName))


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
