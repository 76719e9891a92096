"""What the configuration of a border must have, and the command that makes a region's keys."""

import json
from pathlib import Path

import pytest

from rainbow_xmpp.border.seal import new_key, public_key
from rainbow_xmpp.config import Config, ConfigProblems, load
from tests.cli import CommandLine, empty_installation, line

__all__ = ["empty_installation", "line"]

KEYS = {name: new_key() for name in ("emea", "na", "uk")}
SQLITE = """\
domain = "chat.example"
auth.sealing_key = "for this test only"
"""


def regions(**other: str) -> str:
    """regions.toml with these public keys in the place of the right ones."""
    text = 'default_region = "emea"\n'
    for name, private in KEYS.items():
        key = other.get(name, public_key(private))
        kind = "edge" if name == "uk" else "data"
        text += (
            f'[regions.{name}]\ncountry = "FR"\nhosts = ["{name}.example"]\nkind = "{kind}"\nkey = "{key}"\n'
        )
    return text


def loaded(folder: Path, main: str, regions: str) -> Config:
    (folder / "rainbow.toml").write_text(SQLITE + main)
    (folder / "regions.toml").write_text(regions)
    return load(folder / "rainbow.toml", {})


def border(key: str = KEYS["emea"], servers: str = '["nats://x:4222"]') -> str:
    return f'[cluster]\nservers = {servers}\n[border]\nkey = "{key}"\nnames_key = "{"n" * 32}"\n'


def test_one_node_with_a_border_may_have_sqlite(tmp_path: Path) -> None:
    config = loaded(tmp_path, border(), regions())
    assert config.border.is_on and config.storage.sqlite_path is not None
    with pytest.raises(ConfigProblems, match="need one PostgreSQL database"):
        loaded(tmp_path, '[cluster]\nservers = ["nats://x:4222"]\n', regions())


@pytest.mark.parametrize(
    ("main", "others", "said"),
    [
        (border(servers="[]"), regions(), r"cluster\.servers is missing, and border\.key is set"),
        (border(), regions(na=""), r"regions\.na\.key is missing"),
        (border(), "", r"no regions are configured"),
        ("", regions(na="c2hvcnQ="), r"regions\.na\.key is no public key"),
        ("", regions(na=public_key(KEYS["uk"])), r"is the key of na too"),
    ],
    ids=["no servers", "a region without a key", "no regions", "a short key", "one key of two"],
)
def test_what_is_missing_is_told(tmp_path: Path, main: str, others: str, said: str) -> None:
    with pytest.raises(ConfigProblems, match=said):
        loaded(tmp_path, main, others)


def test_keys_are_made_and_kept(line: CommandLine) -> None:
    made = json.loads(line.ok("region", "key", "region.key", "--json"))
    private = line.folder / "region.key"
    assert made["key"] == public_key(private.read_text())
    assert private.stat().st_mode & 0o777 == 0o600
    again = line.run("region", "key", "region.key")
    assert again.exit_code == 1 and "must not be lost" in again.stderr
    assert made["key"] == public_key(private.read_text())


def test_check_says_whether_the_keys_fit(line: CommandLine) -> None:
    (line.folder / "regions.toml").write_text(regions())
    main = line.config.read_text()
    for key, said in (
        (KEYS["emea"], "the keys of the border fit"),
        (KEYS["na"], "would not believe this server"),
    ):
        line.config.write_text(main + border(key))
        assert said in line.run("check", "config").stdout
