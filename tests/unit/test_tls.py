"""The server's TLS: what it agrees to, what it refuses, and how it explains unusable files."""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from rainbow_xmpp.transport.quick_tls import agree_keys_on
from rainbow_xmpp.transport.tls import (
    TlsFileError,
    endpoint_hash,
    load_or_explain,
    replace_certificate,
    server_context,
)
from tests.certificates import Certificates, make_certificates

# Signed with SHA-1, which cryptography no longer does: openssl req -x509 -sha1 …
SHA1_SIGNED = b"""-----BEGIN CERTIFICATE-----
MIIBbzCCARagAwIBAgIUDGMxOsPScihYhI27CY3qpqC98f4wCQYHKoZIzj0EATAO
MQwwCgYDVQQDDANvbGQwHhcNMjYxMTIzMTYzOTA4WhcNMjYxMTI0MTYzOTA4WjAO
MQwwCgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQcOR3VcVB1
jHPcl/ivGX2l4hqIAm4ga7lKORW3QzX8YzuiM69FZZbtoUIefIjfw0+li726VEhZ
iVxv+JYicCy/o1MwUTAdBgNVHQ4EFgQUemczEdyTj5AUVjjoW5cFz2TPHq0wHwYD
VR0jBBgwFoAUemczEdyTj5AUVjjoW5cFz2TPHq0wDwYDVR0TAQH/BAUwAwEB/zAJ
BgcqhkjOPQQBA0gAMEUCIQC1fG0nW/Yn62Yx4M28KEIvrt2HDG8Ey08OBYTvnceG
QwIgLwT5SI216/ZdesqjjNTnHkxP2W5NWXJ9Jvz1q2Paa3Q=
-----END CERTIFICATE-----
"""


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def client_context(files: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files.ca)


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory; returns both ends, raises what either end refuses."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = server.wrap_bio(to_server, to_client, server_side=True)
    far = client.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for end in (far, near):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
    assert done == {near, far}
    for end, byte in ((near, b"x"), (far, b"y")):  # tickets, if any, come with the first data
        end.write(byte)
    assert (far.read(1), near.read(1)) == (b"x", b"y")
    return near, far


def test_a_modern_client_gets_tls_1_3(files: Certificates) -> None:
    _, far = shake_hands(server_context(files.certificate, files.key), client_context(files))
    assert far.version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_nothing_below_tls_1_2_is_spoken(files: Certificates, version: ssl.TLSVersion) -> None:
    client = client_context(files)
    client.set_ciphers("DEFAULT@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(files.certificate, files.key), client)


def test_tls_1_2_offers_only_forward_secrecy_with_authenticated_encryption(files: Certificates) -> None:
    suites = [
        suite["name"]
        for suite in server_context(files.certificate, files.key).get_ciphers()
        if suite["protocol"] == "TLSv1.2"
    ]
    assert suites
    assert all(name.startswith("ECDHE-") for name in suites)
    assert all("GCM" in name or "CHACHA20" in name for name in suites)


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"])
def test_a_client_that_knows_only_cbc_suites_is_refused(files: Certificates, suite: str) -> None:
    client = client_context(files)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite)
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(files.certificate, files.key), client)


def test_the_servers_preference_of_suites_counts(files: Certificates) -> None:
    server = server_context(files.certificate, files.key)
    client = client_context(files)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384")
    _, far = shake_hands(server, client)
    assert far.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(files: Certificates, version: ssl.TLSVersion) -> None:
    server, client = server_context(files.certificate, files.key), client_context(files)
    client.minimum_version = client.maximum_version = version
    _, first = shake_hands(server, client)
    assert first.session is None or not first.session.has_ticket
    _, second = shake_hands(server, client, first.session)
    assert not second.session_reused
    assert server.session_stats()["number"] == 0


def test_costly_groups_for_key_exchange_are_refused(files: Certificates) -> None:
    client = client_context(files)
    assert agree_keys_on(client, b"P-521")
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(files.certificate, files.key), client)


@pytest.mark.parametrize("group", [b"P-256", b"P-384", b"X25519"])
def test_usual_groups_for_key_exchange_are_accepted(files: Certificates, group: bytes) -> None:
    client = client_context(files)
    # Not by Python's set_ecdh_curve: of these three, Debian 12's knows only the first two.
    assert agree_keys_on(client, group)
    near, _ = shake_hands(server_context(files.certificate, files.key), client)
    assert near.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["h2", "http/1.1"], "http/1.1"),
        (["xmpp-client"], "xmpp-client"),
        (["stun.turn"], "stun.turn"),
        (["h2"], None),
        ([], None),
    ],
)
def test_alpn_chooses_what_the_port_speaks(
    files: Certificates, offered: list[str], chosen: str | None
) -> None:
    client = client_context(files)
    if offered:
        client.set_alpn_protocols(offered)
    near, _ = shake_hands(server_context(files.certificate, files.key), client)
    assert near.selected_alpn_protocol() == chosen


def test_a_new_certificate_is_used_for_the_next_connection(files: Certificates, tmp_path: Path) -> None:
    server = server_context(files.certificate, files.key)
    (tmp_path / "new").mkdir()
    new = make_certificates(tmp_path / "new")
    replace_certificate(server, new.certificate, new.key)
    _, far = shake_hands(server, client_context(new))
    assert far.getpeercert(binary_form=True) == der_of(new.certificate)


def test_a_certificate_that_cannot_be_used_leaves_the_old_one_in_place(files: Certificates) -> None:
    server = server_context(files.certificate, files.key)
    with pytest.raises(TlsFileError):
        replace_certificate(server, files.certificate, files.ca)
    _, far = shake_hands(server, client_context(files))
    assert far.getpeercert(binary_form=True) == der_of(files.certificate)


def test_the_facts_of_a_certificate_are_told(files: Certificates) -> None:
    facts = load_or_explain(files.certificate, files.key)
    assert facts.names == ("localhost",)
    assert facts.key == "EC secp256r1"
    assert facts.endpoint_hash == endpoint_hash(files.certificate.read_bytes())
    assert facts.days_left(datetime.now(UTC)) in (1, 2)
    assert facts.days_left(datetime.now(UTC) + timedelta(days=9)) < 0


def test_what_clients_will_refuse_is_told(files: Certificates) -> None:
    facts = load_or_explain(files.certificate, files.key)
    now, day = datetime.now(UTC), timedelta(days=1)
    assert list(facts.concerns(["localhost"], now)) == []
    assert list(facts.concerns(["localhost", "a.example"], facts.not_before - day)) == [
        f"is valid only from {facts.not_before:%Y-%m-%d} on",
        "does not name a.example, only localhost",
    ]
    assert list(facts.concerns(["localhost"], facts.not_after)) == [
        f"expired on {facts.not_after:%Y-%m-%d}; replace it"
    ]


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("chat.example.com", True),
        ("CHAT.example.com.", True),
        ("a.wild.example", True),
        ("a.b.wild.example", False),
        ("wild.example", False),
        ("example.com", False),
        ("common-name.example", False),
        ("com", False),
    ],
)
def test_a_name_is_covered_by_subject_alternative_names_only(
    tmp_path: Path, name: str, covered: bool
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    paths = write(tmp_path, key, certify(key, names=["chat.example.com", "*.wild.example"]))
    assert load_or_explain(*paths).covers(name) is covered


def test_unusable_files_are_explained_with_their_path(files: Certificates, tmp_path: Path) -> None:
    absent, junk = tmp_path / "absent.pem", tmp_path / "junk.pem"
    junk.write_text("not a certificate")
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    other = make_certificates(_folder(tmp_path, "other")).key
    for certificate, key_file, blamed, words in (
        (absent, files.key, absent, "there is no such file"),
        (files.certificate, absent, absent, "there is no such file"),
        (tmp_path, files.key, tmp_path, "cannot be read"),
        (junk, files.key, junk, "holds no certificate"),
        (files.certificate, junk, junk, "holds no private key"),
        (files.certificate, locked, locked, "locked with a passphrase"),
        (files.certificate, other, other, "does not belong"),
    ):
        with pytest.raises(TlsFileError, match=words) as caught:
            server_context(certificate, key_file)
        assert caught.value.path == blamed
        assert str(caught.value).startswith(f"{blamed}: ")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (rsa.generate_private_key(65537, 1024), "1024 bits"),
        (ec.generate_private_key(ec.SECP521R1()), "P-256"),
        (ed25519.Ed25519PrivateKey.generate(), "P-256"),
    ],
    ids=["short RSA", "P-521", "Ed25519"],
)
def test_keys_that_are_weak_or_that_clients_do_not_know_are_refused(
    tmp_path: Path, key: CertificateIssuerPrivateKeyTypes, words: str
) -> None:
    with pytest.raises(TlsFileError, match=words):
        load_or_explain(*write(tmp_path, key, certify(key)))


def test_an_rsa_key_of_2048_bits_is_accepted(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    assert load_or_explain(*write(tmp_path, key, certify(key))).key == "RSA 2048"


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_the_channel_binding_uses_the_hash_of_the_signature(algorithm: hashes.HashAlgorithm) -> None:
    certificate = certify(ec.generate_private_key(ec.SECP256R1()), algorithm=algorithm)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    der = certificate.public_bytes(serialization.Encoding.DER)
    assert endpoint_hash(pem) == hashlib.new(algorithm.name, der).digest()


def test_the_channel_binding_replaces_sha_1_by_sha_256() -> None:
    der = ssl.PEM_cert_to_DER_cert(SHA1_SIGNED.decode())
    assert endpoint_hash(SHA1_SIGNED) == hashlib.sha256(der).digest()


def test_there_is_no_channel_binding_where_the_rfc_defines_none() -> None:
    pem = certify(ed25519.Ed25519PrivateKey.generate()).public_bytes(serialization.Encoding.PEM)
    assert endpoint_hash(pem) is None


def der_of(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)


def certify(
    key: CertificateIssuerPrivateKeyTypes,
    *,
    names: list[str] | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    """A certificate signed with its own key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "common-name.example")])
    now = datetime.now(UTC)
    draft = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        draft = draft.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return draft.sign(key, None)
    return draft.sign(key, algorithm or hashes.SHA256())  # type: ignore[arg-type]


def write(
    folder: Path, key: CertificateIssuerPrivateKeyTypes, certificate: x509.Certificate
) -> tuple[Path, Path]:
    paths = folder / "own-cert.pem", folder / "own-key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
