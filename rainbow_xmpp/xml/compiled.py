"""The engine with the compiled scanner, which leaves to expat what it does not know.

Importing this raises ImportError where the extension was not built.
"""

from collections.abc import Mapping
from typing import cast

from rainbow_xmpp.xml import _scan, framer
from rainbow_xmpp.xml.escaping import escape_attr
from rainbow_xmpp.xml.model import DEFAULT_LIMITS, Child, XmlLimits, hint_of
from rainbow_xmpp.xml.tags import marks_of
from rainbow_xmpp.xml.view import ViewQuestions, judge

SCANNER = "compiled"

__all__ = ["SCANNER", "Framer", "View", "scan", "stamp"]

scan = _scan.scan
stamp = _scan.stamp


class View(_scan.Core, ViewQuestions):
    """As `rainbow_xmpp.xml.pure.View`; its fields are kept by the extension."""

    __slots__ = ()

    _scan = scan


class Framer(framer.Framer):
    """As `rainbow_xmpp.xml.pure.Framer`; boundaries are looked for by the extension."""

    __slots__ = ()

    def __init__(self, max_bytes: int = 10_240) -> None:
        super().__init__(max_bytes, _scan.advance, _scan.whole)


def _judged(data: bytes, inherited_ns: str, prefixes: Mapping[str, str] | None, limits: XmlLimits) -> View:
    found = judge(data, inherited_ns, prefixes, limits)
    name_end, from_start, from_end, to_start, to_end, has_xmlns = marks_of(found.data)
    spans = (name_end, from_start, from_end, to_start, to_end)
    hints = hint_of(*(child.name for child in found.children))
    return cast(View, _scan.view(*found, *spans, has_xmlns, hints))


_scan.setup(View, Child, _judged, escape_attr, DEFAULT_LIMITS)
