"""What the example file and the reference page say about keys, taken from their declarations."""

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field
from enum import StrEnum
from typing import Any, NamedTuple

from rainbow_xmpp.config.convert import declared_fields, field_types, is_section
from rainbow_xmpp.config.declare import bounds_text
from rainbow_xmpp.config.secret import Secret
from rainbow_xmpp.config.sections import is_sections, section_kind, shipped_in

SHARED_OPTIONS = ("enabled", "companies")
"""Options that every plugin has; they are explained once."""

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Secret: "secret"}
_PLURALS = {str: "texts", int: "whole numbers", float: "numbers", Secret: "secrets"}


class PluginDescription(NamedTuple):
    """What there is to say of `[plugins.<name>]`."""

    summary: str
    options: type[Any]


Plugins = Mapping[str, PluginDescription]


class Key(NamedTuple):
    """One key: its declaration and its type."""

    field: "Field[Any]"
    kind: Any

    @property
    def is_secret(self) -> bool:
        return bool(self.field.metadata.get("secret")) or Secret in (self.kind, *typing.get_args(self.kind))

    @property
    def is_live(self) -> bool:
        return self.field.metadata.get("reload") == "live"

    @property
    def type_in_words(self) -> str:
        """Such as `whole number, 8 to 64`."""
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            return f"one of {', '.join(self.kind)}"
        items = typing.get_args(self.kind)
        words = f"list of {_PLURALS[items[0]]}" if items else _WORDS[self.kind]
        choices = ", ".join(self.field.metadata.get("choices", ()))
        return ", ".join(filter(None, (words, bounds_text(self.field), choices and f"out of {choices}")))


def keys_of(cls: type[Any]) -> Iterator[Key]:
    """The documented keys of a section, without those of the sections in it."""
    kinds = field_types(cls)
    for field in declared_fields(cls):
        if "doc" in field.metadata and not is_sections(kinds[field.name]):
            yield Key(field, kinds[field.name])


def own_keys_of(options: type[Any]) -> list[Key]:
    """A plugin's options without those that every plugin has."""
    return [key for key in keys_of(options) if key.field.name not in SHARED_OPTIONS]


def sections_of(cls: type[Any]) -> Mapping[str, Any]:
    """The sections inside a section, by name."""
    return types.MappingProxyType({name: kind for name, kind in field_types(cls).items() if is_section(kind)})


class NamedSections(NamedTuple):
    """Sections whose names an administrator chooses."""

    name: str
    doc: str
    kind: Any
    shipped: Mapping[str, Any]


def named_sections_of(cls: type[Any]) -> Iterator[NamedSections]:
    """The keys of a section that hold such sections."""
    kinds = field_types(cls)
    for field in declared_fields(cls):
        if is_sections(kinds[field.name]):
            kind = section_kind(kinds[field.name])
            yield NamedSections(field.name, field.metadata["doc"], kind, shipped_in(field))


def summary_of(cls: type[Any]) -> str:
    """What a section is for, without the name of its table."""
    text = (cls.__doc__ or "").partition(": ")[2].rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
