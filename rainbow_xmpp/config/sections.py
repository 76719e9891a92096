"""Sections whose names an administrator chooses: `[service_levels.NAME]`."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, field
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin

T = TypeVar("T")


class Sections(Mapping[str, T]):
    """One dataclass for each name. What stands in no file has the values it is shipped with; it never changes."""

    __slots__ = ("_named",)

    def __init__(self, named: Mapping[str, T]) -> None:
        self._named = MappingProxyType(dict(named))

    def __getitem__(self, name: str) -> T:
        return self._named[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._named.items())))

    def __repr__(self) -> str:
        return f"Sections({dict(self._named)!r})"


def sections(shipped: Mapping[str, T], doc: str) -> Sections[T]:
    """A key that holds named sections: those that are there from the start, and what they are all for.

    A file may change some keys of a shipped one, and add others, which begin with the dataclass's defaults.
    """
    made: Any = field(default=Sections(shipped), metadata={"doc": doc})
    return made  # type: ignore[no-any-return]  # dataclasses replaces the field by the default


def is_sections(kind: object) -> bool:
    """Is this the type of a key that holds named sections?"""
    return get_origin(kind) is Sections


def section_kind(kind: Any) -> Any:
    """The dataclass of each of the sections."""
    return get_args(kind)[0]


def shipped_in(declared: "Field[Any]") -> Sections[Any]:
    """The sections that are there from the start."""
    shipped: Any = declared.default
    return shipped  # type: ignore[no-any-return]
