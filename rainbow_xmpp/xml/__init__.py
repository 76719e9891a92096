"""XML, bounded and judged: views of received stanzas, trees, frames of TCP streams.

Two engines do the same: `compiled` answers for plain XML in C and asks expat about everything else, `pure`
is Python with expat. `SCANNER` says which one is in use; the environment's `RAINBOW_SCANNER=python` asks
for the pure one.
"""

import os
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from rainbow_xmpp.xml import names
from rainbow_xmpp.xml.escaping import escape, escape_attr
from rainbow_xmpp.xml.model import (
    DEFAULT_LIMITS,
    NO_LIMITS,
    Child,
    StreamOpen,
    Token,
    TokenKind,
    XmlLimits,
    hint_of,
)
from rainbow_xmpp.xml.stream_open import parse_stream_open
from rainbow_xmpp.xml.tree import serialise
from rainbow_xmpp.xml.view import parse

if TYPE_CHECKING or os.environ.get("RAINBOW_SCANNER") == "python":
    from rainbow_xmpp.xml.pure import SCANNER, Framer, View, scan, stamp
else:
    try:
        from rainbow_xmpp.xml.compiled import SCANNER, Framer, View, scan, stamp
    except ImportError:
        # Installed without a compiler.
        from rainbow_xmpp.xml.pure import SCANNER, Framer, View, scan, stamp


def scan_again(data: bytes) -> View:
    """A view of a stanza that was judged before, and that has been stamped or written by the server since.

    No limit counts: what the server adds must not make a fault of a stanza that was just within them.
    """
    return scan(data, limits=NO_LIMITS)


__all__ = [
    "DEFAULT_LIMITS",
    "NO_LIMITS",
    "SCANNER",
    "Child",
    "Element",
    "Framer",
    "StreamOpen",
    "Token",
    "TokenKind",
    "View",
    "XmlLimits",
    "escape",
    "escape_attr",
    "hint_of",
    "names",
    "parse",
    "parse_stream_open",
    "scan",
    "scan_again",
    "serialise",
    "stamp",
]
