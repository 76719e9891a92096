"""From a table as written to a frozen dataclass, collecting every problem on the way.

The plugin manager uses `section` for plugins' options too, so that their tables are judged in the same words.
"""

import dataclasses
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from rainbow_xmpp.config.declare import bounds_problems
from rainbow_xmpp.config.problem import Origin, Problem, did_you_mean
from rainbow_xmpp.config.secret import Secret
from rainbow_xmpp.config.sections import Sections, is_sections, section_kind, shipped_in

T = TypeVar("T")

_MOST_BITS = 63
"""Of whole numbers, as TOML has them."""
_MOST_SHOWN = 80
_LEAST_SECRET = 4
"""Shorter texts would be taken out of the middle of other words."""
_WRITTEN = {str: "text in quotes", int: "a whole number", bool: "true or false", float: "a number"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table as written: its dotted name (empty for the top), its values, and where each key came from."""

    name: str
    values: Mapping[str, object]
    origins: Mapping[str, Origin]
    whole: Origin

    def dotted(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name and key else self.name or key

    def origin(self, key: str) -> Origin:
        """Where a key of this table was written, or else the nearest table around it."""
        while key:
            found = self.origins.get(self.dotted(key))
            if found is not None:
                return found
            key = key.rpartition(".")[0]
        return self.origins.get(self.name, self.whole)

    def problem(self, key: str, text: str) -> Problem:
        """What is wrong with a key; a text that it was given from elsewhere is taken out of the words."""
        for secret in _secrets_in(self.values.get(key.partition(".")[0])):
            if len(secret.reveal()) >= _LEAST_SECRET:
                text = text.replace(secret.reveal(), "(kept elsewhere)")
        return Problem(self.origin(key), self.dotted(key), text)


def _secrets_in(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, (list, Mapping)):
        for inner in value if isinstance(value, list) else value.values():
            yield from _secrets_in(inner)


def section(
    cls: type[T], table: Table, *, skip: frozenset[str] = frozenset(), base: T | None = None
) -> tuple[T | None, list[Problem]]:
    """An instance of the dataclass `cls` from a table, and all that is wrong with the table.

    The instance is None when a value is missing or of a wrong type. Keys in `skip` keep their defaults, and what
    the table does not say is as in `base`, where one is given.
    Bounds are judged as the keys declare them (`declare.key`). What a method `problems()` of `cls` yields as
    (key, text) is reported with file and line too, unless the key's bounds have been complained about.
    """
    known = {name: kind for name, kind in field_types(cls).items() if name not in skip}
    problems = [_unknown(table, key, known) for key in table.values if key not in known and key not in skip]
    arguments, failed = _arguments(known, table, _required(cls), problems)
    for declared in declared_fields(cls):
        if is_sections(known.get(declared.name)):
            arguments[declared.name] = _sections(known[declared.name], declared, table, problems)
    unbound = [
        (field.name, text)
        for field in declared_fields(cls)
        if field.name in arguments
        for text in bounds_problems(field, arguments[field.name])
    ]
    problems.extend(table.problem(key, text) for key, text in unbound)
    if not failed.isdisjoint(_required(cls)):
        return None, problems
    made = cls(**arguments) if base is None else dataclasses.replace(base, **arguments)  # type: ignore[type-var]
    judged = failed | {key for key, _ in unbound}
    problems.extend(table.problem(key, text) for key, text in complaints(made) if key not in judged)
    return (None if failed else made), problems


def _arguments(
    known: Mapping[str, Any], table: Table, required: frozenset[str], problems: list[Problem]
) -> tuple[dict[str, object], set[str]]:
    """The values a table gives, of the wanted types, and the names of those it cannot give."""
    arguments: dict[str, object] = {}
    failed: set[str] = set()
    for name, kind in known.items():
        if is_sections(kind):
            continue
        if name in table.values or is_section(kind):
            try:
                arguments[name] = _value(kind, table, name, problems)
            except _WrongType as wrong:
                problems.append(table.problem(name, str(wrong)))
                failed.add(name)
        elif name in required:
            problems.append(table.problem(name, "is missing"))
            failed.add(name)
    return arguments, failed


def is_section(kind: object) -> bool:
    """Is this the type of a table of its own, rather than of a single value?"""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def field_types(cls: type[Any]) -> Mapping[str, Any]:
    """Names and types of a dataclass's fields, in order."""
    hints = typing.get_type_hints(cls)
    return types.MappingProxyType({field.name: hints[field.name] for field in declared_fields(cls)})


def declared_fields(cls: type[Any]) -> "tuple[dataclasses.Field[Any], ...]":
    """A dataclass's fields, in order, each with what `declare.key` says about it in its metadata."""
    return dataclasses.fields(cls)


class _WrongType(Exception):
    """A value is not of the type its key wants; the text says so to the administrator."""


def _value(kind: Any, table: Table, name: str, problems: list[Problem]) -> object:
    value = table.values.get(name, {})
    if is_section(kind):
        if not isinstance(value, Mapping):
            raise _WrongType(f"is a single value; write a table [{table.dotted(name)}]")
        inner, found = section(kind, Table(table.dotted(name), value, table.origins, table.whole))
        problems.extend(found)
        return kind() if inner is None else inner
    return _plain(kind, value)


def _sections(
    kind: Any, declared: "dataclasses.Field[Any]", table: Table, problems: list[Problem]
) -> Sections[Any]:
    """Those that are shipped, changed by what the tables say, and those that only the tables know."""
    written, made = table.values.get(declared.name, {}), dict(shipped_in(declared))
    if not isinstance(written, Mapping):
        dotted = table.dotted(declared.name)
        problems.append(table.problem(declared.name, f"is a single value; write tables [{dotted}.NAME]"))
        return shipped_in(declared)
    for name, values in written.items():
        dotted = table.dotted(f"{declared.name}.{name}")
        if not isinstance(values, Mapping):
            text = f"is a single value; write a table [{dotted}]"
            problems.append(table.problem(f"{declared.name}.{name}", text))
            continue
        inner = Table(dotted, values, table.origins, table.whole)
        found, wrong = section(section_kind(kind), inner, base=made.get(name))
        problems.extend(wrong)
        if found is not None:
            made[name] = found
    return Sections(made)


def _plain(kind: Any, value: object) -> object:
    """A value of the wanted type; raises _WrongType."""
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _WrongType(f"is {_shown(value)}; give a list in square brackets")
        return tuple(_plain(typing.get_args(kind)[0], item) for item in value)
    if kind is Secret:
        if isinstance(value, str):
            return Secret(value)
        if isinstance(value, Secret):
            return value
        raise _WrongType(f"is not {_WRITTEN[str]}")
    shown = _shown(value)
    if isinstance(value, Secret):
        value = value.reveal()
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        names = [member.value for member in kind]
        if value not in names:
            raise _WrongType(f"is {shown}; use one of: {', '.join(names)}")
        return kind(value)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise _WrongType(f"is {shown}; give a smaller one")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _WrongType(f"is {shown}; give {_WRITTEN.get(kind, kind.__name__)}")
    return value


def _shown(value: object) -> str:
    if isinstance(value, Secret):
        return "a text kept elsewhere"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{textwrap.shorten(value, _MOST_SHOWN, placeholder="…")}"'
    if isinstance(value, (list, Mapping)):
        return "a list" if isinstance(value, list) else "a table"
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return "a number beyond all bounds"
    return str(value)


def _unknown(table: Table, key: str, known: Mapping[str, Any]) -> Problem:
    what = "is not a known section" if isinstance(table.values[key], Mapping) else "is not a known key"
    return table.problem(key, what + did_you_mean(key, known))


def _required(cls: type[Any]) -> frozenset[str]:
    missing = dataclasses.MISSING
    return frozenset(
        f.name for f in declared_fields(cls) if f.default is missing and f.default_factory is missing
    )


def complaints(made: object) -> Iterator[tuple[str, str]]:
    listing = getattr(made, "problems", None)
    return iter(()) if listing is None else listing()
