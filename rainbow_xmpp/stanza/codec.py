"""How the fields of a `Payload` stand in its element: read with their bounds, written back, judged at load."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.stanza.scalar import Scalar, scalar_of

if TYPE_CHECKING:
    from rainbow_xmpp.stanza.payload import Payload

PART = "rainbow_part"
"""Under this name a dataclass field's metadata holds its `Part`."""


class Place(Enum):
    """Where a field stands in the element."""

    ATTRIBUTE = auto()
    TEXT = auto()
    CHILD_TEXT = auto()
    FLAG = auto()
    CHILD = auto()
    CHILDREN = auto()


_INSIDE = frozenset((Place.CHILD_TEXT, Place.FLAG, Place.CHILD, Place.CHILDREN))


@dataclass(frozen=True, slots=True)
class Part:
    """What a field declares beside its type and default."""

    place: Place
    name: str = ""
    ge: float | None = None
    le: float | None = None
    max_len: int | None = None
    pattern: str = ""


class Codec:
    """Reads and writes one payload type; made once for each. Raises LocalMisuse for fields XML cannot carry."""

    def __init__(self, cls: type[Payload]) -> None:
        try:
            hints = typing.get_type_hints(cls)
        except NameError as error:
            raise LocalMisuse(f"{cls.__name__}: the type {error.name} must be known in its module") from None
        declared = [f for f in dataclasses.fields(cls) if f.name != "extra"]
        self.fields = tuple(_field(cls, f, hints[f.name]) for f in declared)
        self.attributes = tuple(f for f in self.fields if f.part.place is Place.ATTRIBUTE)
        self.own_text = next((f for f in self.fields if f.part.place is Place.TEXT), None)
        self.by_tag = {tag: f for f in self.fields for tag in f.child_tags()}
        self._refuse_doubles(cls)

    def _refuse_doubles(self, cls: type[Payload]) -> None:
        """Two fields that stand in the same place would read each other's values."""
        seen: set[tuple[bool, str]] = set()
        for f in self.fields:
            for place in [(True, tag) for tag in f.child_tags()] or [(False, f.tag)]:
                if place in seen:
                    raise LocalMisuse(f"{cls.__name__}.{f.name}: another field stands in the same place")
                seen.add(place)

    def read(self, el: Element) -> dict[str, Any]:
        """The values of all fields by name. Raises StanzaError."""
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
        lists: dict[str, list[Payload]] = {}
        for inner in el:
            f = self.by_tag.get(inner.tag)
            if f is None:
                extra.append(inner)
            elif f.part.place is Place.CHILDREN:
                listed = lists.setdefault(f.name, [])
                listed.append(_inner(f, inner))
                if f.part.le is not None and len(listed) > f.part.le:
                    raise f.told(f"stands there too often; {_bounds(f.part)} allowed")
            elif f.name in found:
                raise f.told("stands there twice")
            elif f.part.place is Place.CHILD:
                found[f.name] = _inner(f, inner)
            else:
                found[f.name] = f.value(inner.text or "")
        found.update((name, tuple(listed)) for name, listed in lists.items())
        return tuple(extra)

    def write(self, payload: Payload, el: Element) -> None:
        """Put the fields into the element; what equals its default is left out."""
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

    def child_tags(self) -> list[str]:
        """The children that this field reads; none for an attribute and the element's own text."""
        if self.part.place not in _INSIDE:
            return []
        return [kind.TAG for kind in self.kinds] or [self.tag]

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
        if (part.ge is not None and value < part.ge) or (part.le is not None and value > part.le):
            raise self.told(f"is {value}; {_bounds(part)} allowed")
        return value


def _bounds(part: Part) -> str:
    if part.ge is None:
        return f"at most {part.le} is"
    return f"at least {part.ge} is" if part.le is None else f"{part.ge} to {part.le} are"


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


_FLAG = Scalar("an empty element", lambda text: True, lambda value: "")
"""`<required/>`: it is there, or it is not."""


# -- what a class declares ---------------------------------------------------------------------------------------


def _field(cls: type[Payload], declared: dataclasses.Field[Any], kind: Any) -> _Field:
    part: Part | None = declared.metadata.get(PART)
    where = f"{cls.__name__}.{declared.name}"
    if part is None:
        raise LocalMisuse(
            f"{where}: say where it stands: attr(), text(), child_text(), flag(), child(), children()"
        )
    default = None if declared.default is dataclasses.MISSING else declared.default
    is_needed = declared.default is dataclasses.MISSING
    if part.place in (Place.CHILD, Place.CHILDREN):
        kinds = _kinds(where, kind, many=part.place is Place.CHILDREN)
        return _Field(declared.name, part, kinds[0].TAG, None, kinds, default, is_needed)
    try:
        scalar = scalar_of(kind)
    except LocalMisuse as error:
        raise LocalMisuse(f"{where}: {error}") from None
    _refuse_bounds(where, part, kind)
    tag = part.name or ("" if part.place is Place.TEXT else declared.name)
    if part.place in _INSIDE and not tag.startswith("{"):
        tag = f"{{{cls.NS}}}{tag}"
    if part.place is Place.FLAG:
        if kind is not bool:
            raise LocalMisuse(f"{where}: flag() is for a field of the type bool")
        scalar = _FLAG
    return _Field(declared.name, part, tag, scalar, (), default, is_needed)


def _refuse_bounds(where: str, part: Part, kind: Any) -> None:
    """Bounds that a value of this type cannot be held against are told at load, not to whoever sends one."""
    is_number = bool({int, float} & set(_options(kind)))
    if not is_number and (part.ge is not None or part.le is not None):
        raise LocalMisuse(f"{where}: ge= and le= are for numbers; for texts there are max_len= and pattern=")
    try:
        re.compile(part.pattern)
    except re.error as error:
        raise LocalMisuse(f"{where}: the pattern cannot be used: {error}") from None


def _kinds(where: str, kind: Any, *, many: bool) -> tuple[type[Payload], ...]:
    if many:
        arguments = typing.get_args(kind)
        if typing.get_origin(kind) is not tuple or len(arguments) != 2 or arguments[1] is not ...:
            raise LocalMisuse(f"{where}: children() is for a field of the type tuple[X, ...]")
        kind = arguments[0]
    found = tuple(option for option in _options(kind) if option is not type(None))
    if not all(isinstance(option, type) and getattr(option, "TAG", "") for option in found):
        raise LocalMisuse(f"{where}: child() and children() are for fields whose type is a Payload")
    return found


def _options(kind: Any) -> tuple[Any, ...]:
    """`X | Y` taken apart; a type that is no union is its only option."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)
