"""What differs between the configuration a server runs with and the one it is to have, and what of it can be live."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rainbow_xmpp.config.convert import complaints, declared_fields, is_section
from rainbow_xmpp.config.sections import Sections

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Changes:
    """The dotted names of changed keys; values are never in here, since some are secret."""

    live: tuple[str, ...] = ()
    """Take effect at once."""
    restart: tuple[str, ...] = ()
    """Take effect at the next start."""

    def __bool__(self) -> bool:
        return bool(self.live or self.restart)

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(self.live + other.live, self.restart + other.restart)


def changes(running: object, wanted: object, prefix: str = "") -> Changes:
    """What differs between two instances of one section, or of the whole `Config`; plugins' tables are left out."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for dotted, is_live, before, after in _leaves(running, wanted, prefix):
        if before != after:
            found[is_live].append(dotted)
    return Changes(tuple(found[True]), tuple(found[False]))


def merged(running: T, wanted: T) -> T:
    """What runs after a reload: `wanted` in every key that can be live, `running` in all others."""
    taken: dict[str, Any] = {}
    for field in declared_fields(type(running)):
        before, after = getattr(running, field.name), getattr(wanted, field.name)
        if is_section(type(before)):
            taken[field.name] = merged(before, after)
        elif isinstance(before, Sections):
            taken[field.name] = Sections(
                {name: merged(before[name], each) if name in before else each for name, each in after.items()}
            )
        elif field.metadata.get("reload") == "live":
            taken[field.name] = after
    return replace(running, **taken)  # type: ignore[type-var]


def _leaves(running: object, wanted: object, prefix: str) -> Iterator[tuple[str, bool, object, object]]:
    for field in declared_fields(type(running)):
        before, after = getattr(running, field.name), getattr(wanted, field.name)
        dotted = f"{prefix}{field.name}"
        if is_section(type(before)):
            yield from _leaves(before, after, f"{dotted}.")
        elif isinstance(before, Sections):
            yield from _leaves_by_name(before, after, f"{dotted}.")
        elif dotted != "plugins":
            yield dotted, field.metadata.get("reload") == "live", before, after


def _leaves_by_name(
    running: Sections[Any], wanted: Sections[Any], prefix: str
) -> Iterator[tuple[str, bool, object, object]]:
    """Of sections in both, their keys; one that came or went is a change as a whole, which counts at once."""
    for name in dict.fromkeys((*running, *wanted)):
        if name in running and name in wanted:
            yield from _leaves(running[name], wanted[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", True, running.get(name), wanted.get(name)


def contradictions(made: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """What the sections of a configuration have against their own values, as (dotted key, text)."""
    for key, text in complaints(made):
        yield f"{prefix}{key}", text
    for field in declared_fields(type(made)):
        inner = getattr(made, field.name)
        if is_section(type(inner)):
            yield from contradictions(inner, f"{prefix}{field.name}.")
        elif isinstance(inner, Sections):
            for name, each in inner.items():
                yield from contradictions(each, f"{prefix}{field.name}.{name}.")
