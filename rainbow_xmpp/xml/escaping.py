"""Text into XML.

Characters that XML 1.0 cannot carry at all (most control characters, surrogates, U+FFFE, U+FFFF) become
U+FFFD: whatever stands in a database or came by REST, no stream is ever broken by it.
"""

import re

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile(r"[ !#-%(-;=?-~]*").fullmatch
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTR = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "'": "&apos;",
        '"': "&quot;",
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)


def escape(text: str) -> str:
    """Character data for an element; what XML cannot carry becomes U+FFFD."""
    if _PLAIN(text):
        return text
    return _NOT_XML.sub("\ufffd", text).translate(_TEXT)


def escape_attr(text: str) -> str:
    """The value of an attribute, safe inside either kind of quote; what XML cannot carry becomes U+FFFD."""
    if _PLAIN(text):
        return text
    return _NOT_XML.sub("\ufffd", text).translate(_ATTR)
