"""The compiled engine; `compiled` joins it to the judge."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from rainbow_xmpp.xml.model import Child, XmlLimits

class Core:
    """The fields of a view; `children` are indexed when first asked for."""

    data: bytes
    name: str
    ns: str
    attrs: dict[str, str]
    children: tuple[Child, ...]
    hints: int
    has_body: bool

_View = TypeVar("_View", bound=Core)

def setup(
    view_type: type[_View],
    child_type: type[Child],
    judge: Callable[[bytes, str, Mapping[str, str] | None, XmlLimits], _View],
    escape_attr: Callable[[str], str],
    default_limits: XmlLimits,
    /,
) -> None:
    """Say what views are made of and who judges what is not plain; comes before everything else."""

def scan(
    data: bytes,
    inherited_ns: str = "",
    prefixes: Mapping[str, str] | None = None,
    limits: XmlLimits = ...,
) -> Core:
    """The view of a plain element, else what the judge makes of it."""

def view(
    data: bytes,
    name: str,
    ns: str,
    attrs: dict[str, str],
    children: tuple[Child, ...],
    name_end: int,
    from_start: int,
    from_end: int,
    to_start: int,
    to_end: int,
    has_xmlns: bool,
    hints: int,
    /,
) -> Core:
    """The view of what the judge has accepted; ValueError when the spans cannot be."""

def stamp(view: Core, *, from_: str, to: str | None = None) -> bytes:
    """As `rainbow_xmpp.xml.pure.stamp`."""

def whole(data: bytes, max_bytes: int, /) -> list[bytes] | None:
    """As `rainbow_xmpp.xml.framer.Framer.whole`, for a framer that holds nothing."""

def advance(buffer: bytes | bytearray, pos: int, mode: int, depth: int, /) -> tuple[int, int, int]:
    """As `rainbow_xmpp.xml.boundary.advance`."""
