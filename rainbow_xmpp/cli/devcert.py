"""A certificate authority and a certificate for development, so that a first run has TLS like any other.

The authority is kept: what was told to trust it goes on trusting when the certificate is renewed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=397)  # browsers refuse longer ones
RENEWED_BEFORE_END = timedelta(days=14)

ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class DevelopmentFiles:
    """Where the authority's and the server's files are. All keys are readable by their owner only."""

    authority: Path
    authority_key: Path
    certificate: Path
    key: Path

    @classmethod
    def beside(cls, certificate: Path, key: Path) -> "DevelopmentFiles":
        """The authority stands beside the certificate, as `ca.pem` and `ca-key.pem`."""
        return cls(certificate.parent / "ca.pem", certificate.parent / "ca-key.pem", certificate, key)


def ensure_certificate(
    files: DevelopmentFiles, names: Sequence[str], now: datetime, *, as_client: bool = False
) -> list[str]:
    """Make what is missing or ends soon, for these names besides the local ones; says what was made.

    `as_client`: for a server that proves itself by it to other servers, too.
    """
    wanted = list(dict.fromkeys((*ALWAYS_NAMED, *names)))
    done: list[str] = []
    authority = _load(files.authority, files.authority_key)
    if authority is None or not _lasts(authority[0], now):
        authority = _new_authority(now)
        _write(files.authority, files.authority_key, authority)
        done.append(f"{files.authority}: a new certificate authority, for development only")
    current = _load(files.certificate, files.key)
    if current is None or not _fits(current[0], authority[0], wanted, now):
        _write(files.certificate, files.key, _new_certificate(authority, wanted, now, as_client=as_client))
        done.append(f"{files.certificate}: a new certificate for {', '.join(wanted)}")
    return done


_Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _load(certificate: Path, key: Path) -> _Pair | None:
    """Both files, when they are there and belong together."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or loaded.public_key() != private.public_key():
        return None
    return loaded, private


def _lasts(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWED_BEFORE_END


def _fits(
    certificate: x509.Certificate, authority: x509.Certificate, wanted: Sequence[str], now: datetime
) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    present = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    return _lasts(certificate, now) and present.issuperset(map(_ascii, wanted))


def _new_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Rainbow XMPP development CA")
    builder = (
        _builder(name, name, key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _new_certificate(authority: _Pair, names: Sequence[str], now: datetime, *, as_client: bool) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, issuer_key = authority
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if as_client else [])]
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        _builder(_name(names[0]), issuer.subject, key, now, CERTIFICATE_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(identifier, critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    begin = now.astimezone(UTC).replace(microsecond=0) - timedelta(hours=1)  # clocks differ
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(_ascii(name))


def _ascii(name: str) -> str:
    return name.encode("idna").decode()


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(certificate: Path, key: Path, pair: _Pair) -> None:
    """The key first: a certificate without its key would look whole."""
    private = pair[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key, private)
    certificate.parent.mkdir(parents=True, exist_ok=True)
    certificate.write_bytes(pair[0].public_bytes(serialization.Encoding.PEM))


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, from its first moment on, replacing an older one at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
