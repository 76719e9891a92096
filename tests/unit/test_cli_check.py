"""`check`: what is good, what is wrong, and nothing changed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rainbow_xmpp.cli.devcert import CERTIFICATE_LIFETIME, DevelopmentFiles, ensure_certificate
from tests.cli import CommandLine, empty_installation, line
from tests.unit.test_cli_people import add

__all__ = ["empty_installation", "line"]

FILES = DevelopmentFiles.beside(Path("dev/cert.pem"), Path("dev/key.pem"))


@pytest.fixture
def good(line: CommandLine) -> CommandLine:
    """An installation with nothing wrong in it."""
    ensure_certificate(FILES, ["chat.example"], datetime.now(UTC))
    add(line, "alice@acme.example")
    return line


def wrong(line: CommandLine, *parts: str) -> list[str]:
    """The texts of what check has something against."""
    result = line.run("check", "--json", *parts)
    assert result.exit_code == 1, result.output
    return [each["text"] for each in json.loads(result.stdout) if each["result"] == "bad"]


def test_a_good_installation_passes(good: CommandLine) -> None:
    lines = good.ok("check").splitlines()
    assert {each[0] for each in lines} == {"✓"}
    assert {each.split()[1] for each in lines} == {"config", "certs", "db"}


def test_only_the_named_parts_are_checked(good: CommandLine) -> None:
    found = json.loads(good.ok("check", "--json", "db", "certs"))
    assert {each["part"] for each in found} == {"db", "certs"}
    assert "'bas'" in good.refused("check", "bas", exit_code=2)
    assert "this server is alone" in good.ok("check", "bus")


def test_problems_of_the_configuration_are_findings(line: CommandLine) -> None:
    line.config.write_text('domain = "a"\n[listen]\nprot = 1\n[auth]\nsealing_key = "k"\n')
    assert wrong(line) == ['rainbow.toml:3: listen.prot is not a known key; did you mean "port"?']


def test_what_plugins_have_against_their_tables_is_told_with_the_rest(line: CommandLine) -> None:
    line.config.write_text(
        'domain = "a"\n[listen]\nprot = 1\n[auth]\nsealing_key = "k"\n[plugins.offline]\nkeep_days = 0\n[plugins.pin]\n'
    )
    assert wrong(line) == [
        'rainbow.toml:3: listen.prot is not a known key; did you mean "port"?',
        "rainbow.toml:7: plugins.offline.keep_days is 0; 1 to 3650 are allowed",
        'rainbow.toml:8: plugins.pin there is no plugin called "pin"; did you mean "ping"?',
    ]


def test_a_key_that_two_drop_ins_set_is_a_warning(good: CommandLine) -> None:
    Path("conf.d").mkdir()
    for name in ("10", "20"):
        Path(f"conf.d/{name}.toml").write_text(f"[limits]\nidle_ping_s = {name}\n")
    told = good.ok("check", "config")
    assert (
        "! config  conf.d/20.toml:2: limits.idle_ping_s is also set at conf.d/10.toml:2; this one counts"
        in told
    )


def test_a_key_that_is_none_is_found(good: CommandLine) -> None:
    Path("dev/sealing.key").write_text("short")
    assert wrong(good, "config") == [
        "auth.sealing_key: a sealing key is 32 random bytes as base64 or hex digits"
    ]


def test_an_unknown_plugin_is_found(good: CommandLine) -> None:
    good.config.write_text(good.config.read_text() + "[plugins.no_such_thing]\n")
    (problem,) = wrong(good, "config")
    assert problem.startswith(
        'rainbow.toml:7: plugins.no_such_thing there is no plugin called "no_such_thing"'
    )


def test_missing_certificates_are_found(line: CommandLine) -> None:
    (problem,) = wrong(line, "certs")
    assert problem.startswith("dev/cert.pem: there is no such file")


def test_an_expired_certificate_is_found_and_one_that_ends_soon_is_a_warning(good: CommandLine) -> None:
    FILES.certificate.unlink()
    ensure_certificate(FILES, ["chat.example"], datetime.now(UTC) - CERTIFICATE_LIFETIME - timedelta(days=1))
    (problem,) = wrong(good, "certs")
    assert "dev/cert.pem expired on " in problem
    FILES.certificate.unlink()
    ensure_certificate(FILES, ["chat.example"], datetime.now(UTC) - CERTIFICATE_LIFETIME + timedelta(days=5))
    assert "! certs   dev/cert.pem is valid until " in good.ok("check", "certs")


def test_a_certificate_for_other_names_is_found(good: CommandLine) -> None:
    result = good.run("check", "certs", env={"RAINBOW_LISTEN__PUBLIC_URL": "https://front.example"})
    assert result.exit_code == 1
    assert "✓ certs   dev/cert.pem names chat.example" in result.stdout
    assert "✗ certs   dev/cert.pem does not name front.example, only localhost, chat.example" in result.stdout


def test_another_certificates_key_is_found(good: CommandLine) -> None:
    other = DevelopmentFiles.beside(Path("other/cert.pem"), Path("other/key.pem"))
    ensure_certificate(other, [], datetime.now(UTC))
    other.key.replace(FILES.key)
    assert wrong(good, "certs") == ["dev/key.pem: does not belong to the certificate in dev/cert.pem"]


@pytest.mark.parametrize("key", ["dev/key.pem", "dev/sealing.key"])
def test_keys_that_others_can_read_are_found(good: CommandLine, key: str) -> None:
    Path(key).chmod(0o644)
    assert wrong(good, "certs") == [f"{key} is open to others (mode 644): chmod 600 {key}"]
    Path(key).chmod(0o640)
    assert "✗" not in good.ok("check", "certs")


def test_a_database_that_is_not_there_is_found_and_not_made(good: CommandLine) -> None:
    Path("data/rainbow.db").unlink()
    assert wrong(good, "db") == ["data/rainbow.db does not exist yet: db upgrade makes it"]
    assert not Path("data/rainbow.db").exists()


def test_a_plugin_for_a_company_that_is_not_there_is_a_warning(good: CommandLine) -> None:
    text = good.config.read_text()
    good.config.write_text(f'{text}\n[plugins.usage]\ncompanies = ["Acme", "Globx"]\n')
    line = len(text.splitlines()) + 3
    found = json.loads(good.ok("check", "--json", "db"))
    assert [each["text"] for each in found if each["result"] == "warning"] == [
        f'rainbow.toml:{line}: plugins.usage.companies has "Globx", which is no company; did you mean "Globex"?'
    ]


def test_an_empty_database_is_found(good: CommandLine) -> None:
    Path("data/rainbow.db").write_bytes(b"")
    (problem,) = wrong(good, "db")
    assert "db upgrade" in problem


def test_a_file_that_is_no_database_is_found(good: CommandLine) -> None:
    Path("data/rainbow.db").write_bytes(b"x" * 5000)
    (problem,) = wrong(good, "db")
    assert "not a database" in problem


def test_credentials_sealed_under_a_lost_key_are_found(good: CommandLine) -> None:
    Path("dev/sealing.key").write_text("11" * 32)
    (problem,) = wrong(good, "db")
    assert "which is neither auth.sealing_key nor among auth.old_sealing_keys" in problem


def test_an_edge_needs_no_database_and_no_sealing_key(line: CommandLine) -> None:
    ensure_certificate(FILES, ["chat.example"], datetime.now(UTC))
    line.config.write_text(
        'domain = "chat.example"\nregion = "uk"\n[listen]\npublic_url = "https://chat.example"\n'
    )
    (line.config.parent / "regions.toml").write_text(
        'default_region = "emea"\n[regions.emea]\ncountry = "FR"\nhosts = ["emea.example"]\n'
        '[regions.uk]\ncountry = "GB"\nkind = "edge"\nhosts = ["chat.example"]\n'
    )
    found = line.ok("check")
    assert "an edge: it keeps nothing" in found and "none: an edge keeps no data" in found
    assert "uk is an edge, which keeps no data" in line.refused("company", "list")
