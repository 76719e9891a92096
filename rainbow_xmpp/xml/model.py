"""Values of the XML layer: limits, what a `View` indexes, and what a `Framer` gives out."""

import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple


@dataclass(frozen=True, slots=True)
class XmlLimits:
    """How much XML one top-level element may hold; beyond any of them is a policy violation.

    `depth` counts the top element as 1. `attributes` is per element and includes namespace declarations;
    `declarations` are namespace declarations in the whole element. `name_length` (of element names, attribute
    names and prefixes) and `namespace_length` are in characters, `max_bytes` in bytes.
    """

    max_bytes: int = 262_144
    depth: int = 64
    elements: int = 512
    attributes: int = 24
    declarations: int = 512
    name_length: int = 256
    namespace_length: int = 512


DEFAULT_LIMITS: Final = XmlLimits()
# For what has been judged before.
NO_LIMITS: Final = XmlLimits(*[sys.maxsize] * 7)


class Child(NamedTuple):
    """A direct child element of a view: its name and namespace, and where its bytes stand in `View.data`.

    The bytes `data[start:end]` stand on their own but for the default namespace, which is the view's unless
    the child declares one.
    """

    name: str
    ns: str
    start: int
    end: int


def hint_of(*names: str) -> int:
    """A number with a bit for each of these names of children; several names may share a bit.

    `view.hints & hint_of("delay")` is 0 only where no direct child is called so: the cheapest question there is.
    """
    hints = 0
    for name in names:
        hints |= 1 << ((ord(name[0]) + 5 * len(name)) & 63)
    return hints


class Marks(NamedTuple):
    """Where the start tag of a view can be stamped: byte offsets, 0 for a span that is absent.

    The spans of `from` and `to` begin with the white space before the attribute.
    """

    name_end: int
    from_start: int
    from_end: int
    to_start: int
    to_end: int
    has_xmlns: bool


class TokenKind(IntEnum):
    """What a `Framer` found next."""

    OPEN = 1
    ELEMENT = 2
    CLOSE = 3


class Token(NamedTuple):
    """One piece of a TCP stream; `data` is not judged yet."""

    kind: TokenKind
    data: bytes


class StreamOpen(NamedTuple):
    """The start tag of a TCP stream (RFC 6120 §4.7, §4.8).

    `attrs` holds unprefixed attributes and `xml:lang`; `prefixes` the prefixes which stanzas inherit.
    """

    name: str
    ns: str
    attrs: dict[str, str]
    default_ns: str
    prefixes: dict[str, str]
