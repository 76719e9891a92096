"""Typed payloads: the elements inside stanzas as frozen dataclasses, read with bounds and written back.

    class Nudge(Payload, ns="urn:example:nudge:1", tag="nudge"):
        level: int = attr(default=1, ge=1, le=5)
        note: str = text(default="", max_len=140)

    nudge = Nudge.from_xml(element)      # StanzaError(bad-request) when it does not fit
    nudge.to_xml()                       # what it does not know comes along in `extra`

Unknown attributes are ignored; unknown children are kept, in order, and written behind the known ones.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform
from xml.etree.ElementTree import Element

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.stanza.scalar import Scalar, scalar_of

T = TypeVar("T")
_PART = "rainbow_part"
_CODEC = "_rainbow_codec"


class Place(Enum):
    """Where a field stands in the element."""

    ATTRIBUTE = auto()
    TEXT = auto()
    CHILD_TEXT = auto()
    CHILD = auto()
    CHILDREN = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """What a field declares beside its type and default."""

    place: Place
    name: str = ""
    ge: float | None = None
    le: float | None = None
    max_len: int | None = None
    pattern: str = ""


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
    """The text of a child of this name, in the payload's namespace unless `name` is `{namespace}name`.

    Of a type `bool` it is the child's presence that counts, as in `<required/>`.
    """
    return _declared(Part(Place.CHILD_TEXT, name, ge, le, max_len, pattern), default)


def child(*, default: Any = dataclasses.MISSING) -> Any:
    """A payload inside this one, by the field's type; `X | None` with a default for one that may be absent."""
    return _declared(Part(Place.CHILD), default)


def children(*, default: Any = dataclasses.MISSING, le: int = 100) -> Any:
    """Payloads inside this one, by the field's type `tuple[X, ...]` (or of several: `tuple[X | Y, ...]`).

    At most `le` of them; without a default (usually `()`) at least one.
    """
    return _declared(Part(Place.CHILDREN, le=le), default)


def _declared(part: Part, default: Any) -> Any:
    return field(default=default, metadata={_PART: part})


@dataclass_transform(frozen_default=True, field_specifiers=(attr, text, child_text, child, children))
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


class _Field(typing.NamedTuple):
    """One field: where it stands, what it is called there, and how it is read."""

    name: str
    part: Part
    tag: str
    scalar: Scalar | None
    """None for payloads inside."""
    kinds: tuple[type[Payload], ...]
    default: Any
    is_needed: bool

    def told(self, problem: str) -> StanzaError:
        return StanzaError(Condition.BAD_REQUEST, f"{self.tag.rpartition('}')[2] or 'the text'} {problem}")

    def value(self, written: str) -> Any:
        """Read and hold against the bounds. Raises StanzaError."""
        part, scalar = self.part, self.scalar
        assert scalar is not None, "payloads have no text of their own"
        if part.max_len is not None and len(written) > part.max_len:
            raise self.told(f"has {len(written)} characters; {part.max_len} are allowed")
        if part.pattern and not re.fullmatch(part.pattern, written):
            raise self.told("is not of the form that is asked for")
        try:
            value = scalar.read(written)
        except ValueError:
            raise self.told(f"must be {scalar.name}") from None
        if (part.ge is not None and value < part.ge) or (part.le is not None and not value <= part.le):
            raise self.told(f"is {value}; {_bounds(part)} allowed")
        return value


def _bounds(part: Part) -> str:
    if part.ge is None:
        return f"at most {part.le} is"
    return f"at least {part.ge} is" if part.le is None else f"{part.ge} to {part.le} are"


class _Codec:
    """Reads and writes one payload type; made once for each."""

    def __init__(self, cls: type[Payload]) -> None:
        try:
            hints = typing.get_type_hints(cls)
        except NameError as error:
            raise LocalMisuse(f"{cls.__name__}: the type {error.name} must be known in its module") from None
        self.fields = tuple(
            _field(cls, f, hints[f.name]) for f in dataclasses.fields(cls) if _PART in f.metadata
        )
        self.attributes = tuple(f for f in self.fields if f.part.place is Place.ATTRIBUTE)
        self.own_text = next((f for f in self.fields if f.part.place is Place.TEXT), None)
        inside = (Place.CHILD_TEXT, Place.CHILD, Place.CHILDREN)
        self.by_tag = {
            tag: f
            for f in self.fields
            if f.part.place in inside
            for tag in ([kind.TAG for kind in f.kinds] or [f.tag])
        }

    def read(self, el: Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for f in self.attributes:
            written = el.get(f.tag)
            if written is not None:
                found[f.name] = f.value(written)
        if self.own_text is not None and el.text:
            found[self.own_text.name] = self.own_text.value(el.text)
        extra = self._read_children(el, found)
        for f in self.fields:
            if f.is_needed and f.name not in found:
                raise f.told("is missing")
        found["extra"] = extra
        return found

    def _read_children(self, el: Element, found: dict[str, Any]) -> tuple[Element, ...]:
        extra: list[Element] = []
        for inner in el:
            f = self.by_tag.get(inner.tag)
            if f is None:
                extra.append(inner)
            elif f.part.place is Place.CHILDREN:
                listed = (*found.get(f.name, ()), _inner(f, inner))
                if f.part.le is not None and len(listed) > f.part.le:
                    raise f.told(f"stands there too often; {_bounds(f.part)} allowed")
                found[f.name] = listed
            elif f.name in found:
                raise f.told("stands there twice")
            elif f.part.place is Place.CHILD:
                found[f.name] = _inner(f, inner)
            else:
                found[f.name] = f.value(inner.text or "")
        return tuple(extra)

    def write(self, payload: Payload, el: Element) -> None:
        for f in self.fields:
            value = getattr(payload, f.name)
            if value is None or (not f.is_needed and value == f.default):
                continue
            if f.part.place is Place.CHILDREN:
                el.extend(inner.to_xml() for inner in value)
            elif f.part.place is Place.CHILD:
                el.append(value.to_xml())
            else:
                _write_scalar(f, value, el)


def _inner(f: _Field, el: Element) -> Payload:
    return next(kind for kind in f.kinds if el.tag == kind.TAG).from_xml(el)


def _write_scalar(f: _Field, value: Any, el: Element) -> None:
    assert f.scalar is not None, "payloads write themselves"
    written = f.scalar.write(value)
    if f.part.place is Place.ATTRIBUTE:
        el.set(f.tag, written)
    elif f.part.place is Place.TEXT:
        el.text = written
    else:
        inner = Element(f.tag)
        inner.text = written or None
        el.append(inner)


_PRESENCE = Scalar("an empty element", lambda text: True, lambda value: "")
"""`<required/>`: it is there, or it is not."""


def _field(cls: type[Payload], declared: dataclasses.Field[Any], kind: Any) -> _Field:
    part: Part = declared.metadata[_PART]
    where = f"{cls.__name__}.{declared.name}"
    default = None if declared.default is dataclasses.MISSING else declared.default
    is_needed = declared.default is dataclasses.MISSING
    if part.place in (Place.CHILD, Place.CHILDREN):
        kinds = _kinds(where, kind, many=part.place is Place.CHILDREN)
        return _Field(declared.name, part, kinds[0].TAG, None, kinds, default, is_needed)
    try:
        scalar = scalar_of(kind)
    except LocalMisuse as error:
        raise LocalMisuse(f"{where}: {error}") from None
    tag = part.name or ("" if part.place is Place.TEXT else declared.name)
    if part.place is Place.CHILD_TEXT:
        tag = tag if tag.startswith("{") else f"{{{cls.NS}}}{tag}"
        if kind is bool:
            scalar, is_needed, default = _PRESENCE, False, False
    return _Field(declared.name, part, tag, scalar, (), default, is_needed)


def _kinds(where: str, kind: Any, *, many: bool) -> tuple[type[Payload], ...]:
    arguments = typing.get_args(kind)
    if many:
        if typing.get_origin(kind) is not tuple or len(arguments) != 2 or arguments[1] is not ...:
            raise LocalMisuse(f"{where}: children() is for a field of the type tuple[X, ...]")
        kind = arguments[0]
        arguments = typing.get_args(kind)
    found = tuple(option for option in arguments or (kind,) if option is not type(None))
    if not all(isinstance(option, type) and issubclass(option, Payload) for option in found):
        raise LocalMisuse(f"{where}: child() and children() are for fields whose type is a Payload")
    return found


def _codec(cls: type[Payload]) -> _Codec:
    """Made at the first use, when every type that the fields name is known."""
    made: _Codec | None = cls.__dict__.get(_CODEC)
    if made is None:
        made = _Codec(cls)
        setattr(cls, _CODEC, made)
    return made
