"""Overrides from the environment: `RAINBOW_LISTEN__PORT=9443` stands for `port` in `[listen]`."""

import tomllib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from rainbow_xmpp.config.convert import field_types, is_section
from rainbow_xmpp.config.problem import Origin, Problem, did_you_mean
from rainbow_xmpp.config.reference import is_reference, is_text
from rainbow_xmpp.config.schema import Config

PREFIX = "RAINBOW_"
NOT_CONFIGURATION = frozenset({"RAINBOW_CONFIG", "RAINBOW_DEMO", "RAINBOW_SCANNER"})
"""Variables that mean something else: the command line's file, `make run`'s demo, the XML scanner."""

_SWITCH = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def apply_environment(
    values: dict[str, object], origins: dict[str, Origin], environ: Mapping[str, str]
) -> Iterator[Problem]:
    """Put the variables' values in their places; yield a problem for each that names no key."""
    known = known_variables()
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in NOT_CONFIGURATION:
            continue
        origin = Origin(f"environment variable {variable}")
        path = variable.removeprefix(PREFIX).lower().split("__")
        if not is_text(text):
            yield Problem(origin, "", "is not UTF-8 text")
            continue
        if variable in known:
            value = _typed(known[variable], text)
        elif path[0] == "plugins" and len(path) > 2 and all(path):
            value = _guessed(text)
        else:
            yield Problem(
                origin, "", f"stands for no key of the configuration{did_you_mean(variable, known)}"
            )
            continue
        _put(values, path, value)
        origins[".".join(path)] = origin


def known_variables() -> dict[str, Any]:
    """Every variable that overrides a key of the schema, with the key's type."""
    return {PREFIX + "__".join(path).upper(): kind for path, kind in _leaves(Config, ())}


def _leaves(cls: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, kind in field_types(cls).items():
        if is_section(kind):
            yield from _leaves(kind, (*above, name))
        elif (*above, name) != ("plugins",):
            yield (*above, name), kind


def _typed(kind: Any, text: str) -> object:
    """The value a variable gives to a key; what does not fit stays text, and the type check complains."""
    if typing.get_origin(kind) is tuple:
        listed = _toml(text) if text.lstrip().startswith("[") else None
        return (
            listed if isinstance(listed, list) else [part.strip() for part in text.split(",") if part.strip()]
        )
    if kind is bool:
        return _SWITCH.get(text.strip().lower(), text)
    if kind is int or kind is float:
        try:
            return kind(text)
        except ValueError:
            return text
    if text.lstrip().startswith("{") and is_reference(reference := _toml(text)):
        return reference
    return text


def _guessed(text: str) -> object:
    """For plugins' keys, whose types are not known here: TOML when it is TOML, else the text itself."""
    value = _toml(text)
    return text if value is None else value


def _toml(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else None
    except (ValueError, RecursionError):  # beyond TOML's own error: a number of thousands of digits
        return None


def _put(values: dict[str, object], path: list[str], value: object) -> None:
    for part in path[:-1]:
        inner = values.get(part)
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    values[path[-1]] = value
