"""A short, seeded piece of the fuzzing in `fuzz_config`, and the round trip of what the example file can say."""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainbow_xmpp.config import Config, ConfigProblems, load
from rainbow_xmpp.config.declare import bounds_text
from rainbow_xmpp.config.describe import Key, keys_of, sections_of
from rainbow_xmpp.config.example import SHIPPED, example
from rainbow_xmpp.plugin.select import describe_plugins
from tests.security import fuzz_config

PLUGINS = describe_plugins()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_written_becomes_a_configuration_or_problems(seed: int) -> None:
    progress = fuzz_config.run(seed, 250)
    assert progress.tried == 250
    assert progress.accepted >= 1


def _keys(cls: type[Any], prefix: str = "") -> dict[str, Key]:
    found = {f"{prefix}{key.field.name}": key for key in keys_of(cls)}
    for name, kind in sections_of(cls).items():
        found |= _keys(kind, f"{prefix}{name}.")
    return found


def _values(key: Key) -> st.SearchStrategy[object]:
    """What may be written for a key, as far as its declaration says; else any text."""
    bounds = key.field.metadata
    if key.kind is bool:
        return st.booleans()
    if key.kind is int:
        return st.integers(min_value=bounds["ge"], max_value=bounds["le"])
    if isinstance(key.kind, type) and issubclass(key.kind, StrEnum):
        return st.sampled_from(list(key.kind))
    if choices := bounds.get("choices"):
        return st.lists(st.sampled_from(choices), unique=True)
    text = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
    return st.lists(text, max_size=3) if str(key.kind).startswith("tuple") else text


KEYS = _keys(Config)
SETTINGS = st.fixed_dictionaries({}, optional={name: _values(key) for name, key in KEYS.items()})


@settings(deadline=None, max_examples=100)
@given(chosen=SETTINGS)
def test_what_the_example_file_sets_is_what_toml_reads(chosen: Mapping[str, object]) -> None:
    written = tomllib.loads(example({**SHIPPED, **chosen}, "An example.", PLUGINS))
    for dotted, value in chosen.items():
        found: Any = written
        for part in dotted.split("."):
            found = found[part]
        assert found == value


@settings(deadline=None, max_examples=100)
@given(chosen=SETTINGS)
def test_what_is_within_the_declared_bounds_is_never_refused_for_its_bounds(
    tmp_path_factory: pytest.TempPathFactory, chosen: Mapping[str, object]
) -> None:
    file = tmp_path_factory.getbasetemp() / "bounds.toml"
    file.write_text(example({**SHIPPED, **chosen}, "An example.", PLUGINS), newline="")
    try:
        config: object = load(
            Path(file),
            {"RAINBOW_AUTH__SEALING_KEY": "for this test only", "RAINBOW_AUTH__TOKEN_KEY": "this too"},
        )
    except ConfigProblems as wrong:
        for problem in wrong.problems:
            key = KEYS.get(problem.key)
            bounds = bounds_text(key.field) if key is not None else ""
            assert not bounds or f"; {bounds} are allowed" not in problem.text
            assert "is not known" not in problem.text
        return
    for dotted, value in chosen.items():
        if dotted.endswith(("_key", "_keys")):
            continue
        found: Any = config
        for part in dotted.split("."):
            found = getattr(found, part)
        assert found == (tuple(value) if isinstance(value, list) else value)
