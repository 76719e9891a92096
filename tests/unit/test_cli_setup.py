"""`setup`: what a first run needs is made once, and nothing an administrator chose is touched."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from rainbow_xmpp.cli.devcert import DevelopmentFiles, ensure_certificate
from tests.cli import CommandLine, bare
from tests.unit.test_cli_people import GOOD, password_fits

__all__ = ["bare"]

NOW = datetime.now(UTC)


def table_of(text: str) -> list[list[str]]:
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.split()[:1] == ["E-MAIL"])
    return [line.split() for line in lines[begin + 1 : begin + 4]]


def test_a_first_run_makes_everything_and_shows_passwords_that_fit(bare: CommandLine) -> None:
    text = bare.ok("setup")
    people = table_of(text)
    assert [row[:3] for row in people] == [
        ["alice@acme.example", "alice@chat.example", "Acme"],
        ["bob@acme.example", "bob@chat.example", "Acme"],
        ["carol@globex.example", "carol@chat.example", "Globex"],
    ]
    assert all(password_fits(bare, row[1].partition("@")[0], row[3]) for row in people)
    assert len({row[3] for row in people}) == 3
    for part in (
        "https://chat.example:8443",
        "wss://chat.example:8443/xmpp-websocket",
        "probe wss://",
        "dev/ca.pem",
    ):
        assert part in text
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("dev").iterdir()}
    assert {name for name, mode in modes.items() if mode == 0o600} == {"ca-key.pem", "key.pem", "sealing.key"}


def test_a_second_run_changes_nothing_and_shows_no_password(bare: CommandLine) -> None:
    bare.ok("setup")
    before = {path: path.read_bytes() for path in Path("dev").iterdir()}
    text = bare.ok("setup")
    assert "PASSWORD" not in text
    assert {path: path.read_bytes() for path in Path("dev").iterdir()} == before
    assert len(bare.ok("user", "list").splitlines()) == 4


def test_on_a_terminal_the_first_person_is_asked_for(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rainbow_xmpp.cli.setup.can_ask", lambda: True)
    typed = ["y", "Initech", "no address", "peter@initech.example", "short", GOOD, "other", GOOD, GOOD]
    text = bare.ok("setup", stdin="\n".join(typed) + "\n")
    assert "'no address' is not an e-mail address" in text
    assert GOOD not in text
    row = next(line.split() for line in text.splitlines() if line.startswith("  peter@initech.example"))
    assert row[2:] == ["Initech", "as", "typed"]
    assert password_fits(bare, row[1].partition("@")[0], GOOD)


def test_on_a_terminal_nobody_needs_to_be_added(bare: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rainbow_xmpp.cli.setup.can_ask", lambda: True)
    bare.ok("setup", stdin="n\n")
    assert len(bare.ok("user", "list").splitlines()) == 1


def test_people_are_not_added_beside_others(bare: CommandLine) -> None:
    (bare.folder / "dev").mkdir()
    (bare.folder / "dev" / "sealing.key").write_text("00" * 32)
    bare.ok("db", "upgrade")
    bare.ok("company", "add", "Mine")
    bare.ok("user", "add", "me@mine.example", "--company", "Mine", "--generate")
    assert "alice" not in bare.ok("setup")


def test_the_server_checks_its_setup_as_good(bare: CommandLine) -> None:
    bare.ok("setup")
    assert "✗" not in bare.ok("check", "certs", "db")


@pytest.mark.parametrize("folder", ["/etc/rainbow", "secrets", "dev/../secrets"])
def test_files_elsewhere_are_an_administrators_to_make(bare: CommandLine, folder: str) -> None:
    text = bare.config.read_text().replace("dev/sealing.key", f"{folder}/sealing.key")
    bare.config.write_text(f'{text}[tls]\ncertificate = "{folder}/cert.pem"\nkey = "{folder}/key.pem"\n')
    said = bare.refused("setup")
    assert f"names the file {folder}/sealing.key, which cannot be read" in said
    assert not Path("dev").exists()
    assert not Path("secrets").exists()


@pytest.fixture
def files(tmp_path: Path) -> DevelopmentFiles:
    return DevelopmentFiles.beside(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_the_certificate_is_one_that_strict_clients_accept(files: DevelopmentFiles) -> None:
    ensure_certificate(files, ["chat.example", "bücher.example"], NOW)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=files.authority)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1", "::1", "chat.example", "xn--bcher-kva.example"):
        assert handshake(server, client, name)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """A TLS handshake in memory; the protocol's version."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return here.version()


def test_a_certificate_that_ends_soon_is_renewed_under_the_same_authority(files: DevelopmentFiles) -> None:
    ensure_certificate(files, [], NOW)
    authority, certificate = files.authority.read_bytes(), files.certificate.read_bytes()
    assert ensure_certificate(files, [], NOW + timedelta(days=300)) == []
    (made,) = ensure_certificate(files, [], NOW + timedelta(days=390))
    assert made.startswith(f"{files.certificate}: a new certificate for localhost")
    assert files.authority.read_bytes() == authority
    assert files.certificate.read_bytes() != certificate
    end = x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc
    assert end > NOW + timedelta(days=700)


def test_another_domain_needs_another_certificate(files: DevelopmentFiles) -> None:
    ensure_certificate(files, ["a.example"], NOW)
    assert ensure_certificate(files, ["a.example"], NOW) == []
    assert len(ensure_certificate(files, ["b.example"], NOW)) == 1


@pytest.mark.parametrize("broken", ["authority", "authority_key", "certificate", "key"])
def test_what_is_missing_or_broken_is_made_anew(files: DevelopmentFiles, broken: str) -> None:
    ensure_certificate(files, [], NOW)
    getattr(files, broken).write_text("-----BEGIN NOTHING-----")
    assert ensure_certificate(files, [], NOW) != []
    assert ensure_certificate(files, [], NOW) == []
