"""The files in conf/ agree with the schema: every key explained, every shown default the real one."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.config import Config, load
from rainbow_xmpp.config.convert import field_types, is_section
from rainbow_xmpp.config.environment import known_variables
from rainbow_xmpp.config.example import BENCH, BENCH_INTRO, INTRO, SHIPPED, Settings, example

CONF = Path(__file__).parents[2] / "conf"
KEY = {"RAINBOW_AUTH__SEALING_KEY": "for this test only"}
FILES = [
    pytest.param("rainbow.toml", SHIPPED, INTRO, id="rainbow"),
    pytest.param("examples/bench.toml", BENCH, BENCH_INTRO, id="bench"),
]


@pytest.mark.parametrize(("name", "settings", "intro"), FILES)
def test_the_shipped_file_is_what_the_schema_writes(name: str, settings: Settings, intro: str) -> None:
    assert (CONF / name).read_text() == example(settings, intro), (
        "conf/ and the schema differ; `make conf` writes the files anew"
    )


@pytest.mark.parametrize(("name", "settings", "intro"), FILES)
def test_the_shipped_file_loads(name: str, settings: Settings, intro: str) -> None:
    config = load(CONF / name, KEY)
    assert (config.domain, config.listen.port, config.listen.redirect_port) == ("localhost", 8443, 8080)
    assert config.storage.url == "sqlite+aiosqlite:///data/rainbow.db"


def test_defaults_shown_in_comments_load_and_are_the_defaults(tmp_path: Path) -> None:
    shown = re.sub(r"^#(\w+ = )", r"\1", (CONF / "rainbow.toml").read_text(), flags=re.MULTILINE)
    assert set(known_variables()) == set(_variables(tomllib.loads(shown)))
    (tmp_path / "all.toml").write_text(shown)
    assert load(tmp_path / "all.toml", KEY) == load(CONF / "rainbow.toml", KEY)


def test_the_bench_file_lifts_limits_and_nothing_else() -> None:
    bench, usual = load(CONF / "examples" / "bench.toml", KEY), load(CONF / "rainbow.toml", KEY)
    assert bench.limits.connections_per_address == bench.limits.stanzas_per_second == 0
    assert dataclasses.replace(bench, limits=usual.limits) == usual


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
        if isinstance(value, dict) and key != "sealing_key":
            names += _variables(value, f"{prefix}{key.upper()}__")
        else:
            names.append(prefix + key.upper())
    return names
