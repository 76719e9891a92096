"""Overrides from the environment: `RAINBOW_LISTEN__PORT=9443` stands for `port` in `[listen]`."""

import tomllib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from rainbow_xmpp.config.convert import declared_fields, field_types, is_section
from rainbow_xmpp.config.problem import Origin, Problem, did_you_mean
from rainbow_xmpp.config.reference import is_reference, is_text
from rainbow_xmpp.config.schema import Config
from rainbow_xmpp.config.sections import is_sections, section_kind, shipped_in

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
        kind = known.get(variable) or _in_another_section(path)
        if kind is not None:
            value = _typed(kind, text)
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
        elif is_sections(kind):
            for each in _shipped(cls, name):
                yield from _leaves(section_kind(kind), (*above, name, each))
        elif (*above, name) != ("plugins",):
            yield (*above, name), kind


def _shipped(cls: Any, name: str) -> Iterator[str]:
    return (each for field in declared_fields(cls) if field.name == name for each in shipped_in(field))


def _in_another_section(path: list[str]) -> Any:
    """The type of a key in a section that an administrator named; None when there is no such key."""
    kind = field_types(Config).get(path[0])
    if not is_sections(kind) or len(path) != 3 or not path[1]:
        return None
    return field_types(section_kind(kind)).get(path[2])


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
