"""The files in conf/ agree with the schema: every key explained, every shown default the real one."""

import dataclasses
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.config import Config, load
from rainbow_xmpp.config.convert import field_types, is_section
from rainbow_xmpp.config.describe import own_keys_of
from rainbow_xmpp.config.environment import known_variables
from rainbow_xmpp.config.example import BENCH, BENCH_INTRO, INTRO, SHIPPED, Settings, example, regions_example
from rainbow_xmpp.config.haproxy import EXAMPLE as PASSES_TLS
from rainbow_xmpp.config.haproxy import EXAMPLE_WITH_TLS as ENDS_TLS
from rainbow_xmpp.config.haproxy import Front, haproxy
from rainbow_xmpp.config.page import reference
from rainbow_xmpp.config.regions import EXAMPLE, EXAMPLE_DEFAULT
from rainbow_xmpp.plugin.select import configured_plugins, describe_plugins

CONF = Path(__file__).parents[2] / "conf"
KEY = {
    "RAINBOW_AUTH__SEALING_KEY": "for this test only",
    "RAINBOW_AUTH__TOKEN_KEY": "this too",
    "RAINBOW_PLUGINS__WEBRTC_RELAY__SECRET": "this as well, long enough",
}
FILES = [
    pytest.param("rainbow.toml", SHIPPED, INTRO, id="rainbow"),
    pytest.param("examples/bench.toml", BENCH, BENCH_INTRO, id="bench"),
]


@pytest.mark.parametrize(("name", "settings", "intro"), FILES)
def test_the_shipped_file_is_what_the_schema_writes(name: str, settings: Settings, intro: str) -> None:
    assert (CONF / name).read_text() == example(settings, intro, describe_plugins()), (
        "conf/ and the schema differ; `make conf` writes the files anew"
    )


@pytest.mark.parametrize(("name", "settings", "intro"), FILES)
def test_the_shipped_file_loads(name: str, settings: Settings, intro: str) -> None:
    config = load(CONF / name, KEY)
    assert (config.domain, config.listen.port, config.listen.redirect_port) == ("localhost", 8443, 8080)
    assert config.storage.url == "sqlite+aiosqlite:///data/rainbow.db"


def test_the_shipped_regions_are_what_the_schema_writes() -> None:
    assert (CONF / "regions.toml").read_text() == regions_example(EXAMPLE_DEFAULT, EXAMPLE)
    config = load(CONF / "rainbow.toml", KEY)
    assert (dict(config.regions), config.home_region) == (dict(EXAMPLE), "emea")


@pytest.mark.parametrize(("name", "front"), [("haproxy", PASSES_TLS), ("haproxy-tls", ENDS_TLS)])
def test_the_shipped_load_balancer_is_what_is_written_for_a_region(name: str, front: Front) -> None:
    assert (CONF / "haproxy" / f"{name}.cfg").read_text() == haproxy(front)


def test_the_reference_page_is_what_the_schema_and_the_plugins_say() -> None:
    page = (CONF.parent / "docs" / "admin" / "configuration-reference.md").read_text()
    assert page == reference(describe_plugins()), "the page is old; `make conf` writes it anew"


def test_defaults_shown_in_comments_load_and_are_the_defaults(tmp_path: Path) -> None:
    shown = re.sub(r"^#(\w+ = |\[plugins\.)", r"\1", (CONF / "rainbow.toml").read_text(), flags=re.MULTILINE)
    tables = tomllib.loads(shown)
    plugins = tables.pop("plugins")
    assert set(known_variables()) == set(_variables(tables))
    assert set(plugins) == {name for name, told in describe_plugins().items() if own_keys_of(told.options)}
    (tmp_path / "all.toml").write_text(shown)
    shutil.copy(CONF / "regions.toml", tmp_path)
    everything, shipped = load(tmp_path / "all.toml", KEY), load(CONF / "rainbow.toml", KEY)
    assert dataclasses.replace(everything, plugins={}) == dataclasses.replace(shipped, plugins={})
    assert configured_plugins(everything) == configured_plugins(shipped)


def test_the_example_of_a_drop_in_file_wins_over_the_shipped_file(tmp_path: Path) -> None:
    (tmp_path / "rainbow.toml").write_text((CONF / "rainbow.toml").read_text())
    (tmp_path / "conf.d").mkdir()
    shutil.copy(CONF / "examples" / "production.toml", tmp_path / "conf.d" / "50-production.toml")
    for name, text in {
        "sealing-key": "k",
        "token-key": "t",
        "relay-secret": "sixteen-bytes-or-more",
        "storage-url": "postgresql+asyncpg://u:p@h/d",
    }.items():
        (tmp_path / name).write_text(text)
    config = load(tmp_path / "rainbow.toml", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (config.domain, config.listen.port, config.storage.sqlite_path) == ("example.com", 443, None)
    assert {cls.name: options for cls, options in configured_plugins(config).items()}[
        "offline"
    ].keep_days == 30


def test_the_bench_file_lifts_limits_and_nothing_else() -> None:
    without = {name: value for name, value in KEY.items() if "RELAY" not in name}
    bench, usual = load(CONF / "examples" / "bench.toml", without), load(CONF / "rainbow.toml", KEY)
    assert bench.limits.connections_per_address == bench.limits.stanzas_per_second == 0
    alike = {"limits": usual.limits, "regions": usual.regions, "default_region": usual.default_region}
    assert dataclasses.replace(bench, **alike, plugins=usual.plugins) == usual
    assert not bench.plugins


def test_every_key_is_explained() -> None:
    assert list(_unexplained(Config, "")) == []


def _unexplained(cls: Any, prefix: str) -> list[str]:
    missing = [] if cls.__doc__ else [prefix or "Config"]
    for field in dataclasses.fields(cls):
        kind = field_types(cls)[field.name]
        if is_section(kind):
            missing += _unexplained(kind, f"{prefix}{field.name}.")
        elif not field.metadata.get("doc") and field.name != "plugins":
            missing.append(prefix + field.name)
    return missing


def _variables(table: dict[str, Any], prefix: str = "RAINBOW_") -> list[str]:
    names: list[str] = []
    for key, value in table.items():
        if isinstance(value, dict) and key not in ("sealing_key", "token_key", "secret"):
            names += _variables(value, f"{prefix}{key.upper()}__")
        else:
            names.append(prefix + key.upper())
    return names


def test_the_example_of_an_edge_is_whole(tmp_path: Path) -> None:
    shutil.copy(CONF / "examples" / "edge.toml", tmp_path / "rainbow.toml")
    for name in ("region-key", "names-key", "nats-password"):
        (tmp_path / name).write_text("k" * 32)
    regions = tomllib.loads((CONF / "regions.toml").read_text())["regions"]
    keys = "".join(f'[regions.{name}]\nkey = "{"A" * 42}{number}="\n' for number, name in enumerate(regions))
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "keys.toml").write_text(keys)
    shutil.copy(CONF / "regions.toml", tmp_path)
    config = load(tmp_path / "rainbow.toml", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.is_edge and config.border.is_on
