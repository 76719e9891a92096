"""Typed payloads: the elements inside stanzas as frozen dataclasses, read with bounds and written back.

    class Nudge(Payload, ns="urn:example:nudge:1", tag="nudge"):
        level: int = attr(default=1, ge=1, le=5)
        note: str = text(default="", max_len=140)

    nudge = Nudge.from_xml(element)      # StanzaError(bad-request) when it does not fit
    nudge.to_xml()                       # what it does not know comes along in `extra`

Each field says where it stands: `attr`, `text`, `child_text`, `flag`, `child` or `children`. Unknown attributes are
ignored; unknown children are kept, in order, and written behind the known ones.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, dataclass_transform
from xml.etree.ElementTree import Element

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.stanza.codec import PART, Codec, Part, Place

_CODEC = "_rainbow_codec"


def attr(
    *,
    default: Any = dataclasses.MISSING,
    name: str = "",
    ge: float | None = None,
    le: float | None = None,
    max_len: int | None = None,
    pattern: str = "",
) -> Any:
    """An attribute, called as the field unless `name` says otherwise; without a default it must be there.

    `ge`, `le` bound numbers; `max_len` (characters) and `pattern` (of the whole) bound what is written.
    """
    return _declared(Part(Place.ATTRIBUTE, name, ge, le, max_len, pattern), default)


def text(
    *,
    default: Any = dataclasses.MISSING,
    ge: float | None = None,
    le: float | None = None,
    max_len: int | None = None,
    pattern: str = "",
) -> Any:
    """The text of the element itself; without a default it must not be empty."""
    return _declared(Part(Place.TEXT, "", ge, le, max_len, pattern), default)


def child_text(
    *,
    default: Any = dataclasses.MISSING,
    name: str = "",
    ge: float | None = None,
    le: float | None = None,
    max_len: int | None = None,
    pattern: str = "",
) -> Any:
    """The text of a child of this name, in the payload's namespace unless `name` is `{namespace}name`."""
    return _declared(Part(Place.CHILD_TEXT, name, ge, le, max_len, pattern), default)


def flag(*, name: str = "") -> Any:
    """True when there is a child of this name, such as `<required/>`; its namespace as in `child_text`."""
    return _declared(Part(Place.FLAG, name), False)


def child(*, default: Any = dataclasses.MISSING) -> Any:
    """A payload inside this one, by the field's type; `X | None` with a default for one that may be absent."""
    return _declared(Part(Place.CHILD), default)


def children(*, default: Any = dataclasses.MISSING, le: int = 100) -> Any:
    """Payloads inside this one, by the field's type `tuple[X, ...]` (or of several: `tuple[X | Y, ...]`).

    At most `le` of them; without a default (usually `()`) at least one.
    """
    return _declared(Part(Place.CHILDREN, le=le), default)


def _declared(part: Part, default: Any) -> Any:
    return field(default=default, metadata={PART: part})


@dataclass_transform(frozen_default=True, field_specifiers=(attr, text, child_text, flag, child, children))
@dataclass(frozen=True)
class Payload:
    """The base of typed payloads: `class Nudge(Payload, ns="urn:example:nudge:1", tag="nudge")`."""

    extra: tuple[Element, ...] = field(default=(), kw_only=True, repr=False, compare=False)
    """Children that the type does not know, in their order."""

    NS: ClassVar[str] = ""
    TAG: ClassVar[str] = ""
    """`{namespace}name`, as ElementTree spells it."""

    def __init_subclass__(cls, *, ns: str = "", tag: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        ns, tag = ns or cls.NS, tag or cls.TAG.rpartition("}")[2]
        if not ns or not tag:
            raise LocalMisuse(
                f"{cls.__name__} needs ns= and tag=, as in class {cls.__name__}(Payload, ns=…, tag=…)"
            )
        cls.NS, cls.TAG = ns, f"{{{ns}}}{tag}"
        dataclass(frozen=True)(cls)

    @classmethod
    def from_xml(cls, el: Element) -> Self:
        """The payload of this element. Raises StanzaError (bad-request), in words the sender may read."""
        if el.tag != cls.TAG:
            raise StanzaError(Condition.BAD_REQUEST, f"{cls.TAG.rpartition('}')[2]} is expected")
        return cls(**_codec(cls).read(el))

    def to_xml(self) -> Element:
        """The element; what equals its default is left out."""
        el = Element(self.TAG)
        _codec(type(self)).write(self, el)
        el.extend(self.extra)
        return el

    @classmethod
    def check(cls) -> None:
        """Raises LocalMisuse when a field has a type that XML cannot carry; asked when a plugin is loaded."""
        _codec(cls)


def _codec(cls: type[Payload]) -> Codec:
    """Made at the first use, when every type that the fields name is known."""
    made: Codec | None = cls.__dict__.get(_CODEC)
    if made is None:
        made = Codec(cls)
        setattr(cls, _CODEC, made)
    return made
