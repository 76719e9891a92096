"""What may be a namespace name."""

import re
from functools import lru_cache
from typing import Final

_SAFE: Final = r"A-Za-z0-9\-._~!$&'()*+,;="
_ENCODED: Final = "%[0-9A-Fa-f]{2}"
_ANY: Final = rf"(?:[{_SAFE}:@/]|{_ENCODED})*"
_USER: Final = rf"(?:(?:[{_SAFE}:]|{_ENCODED})*@)?"
_HOST: Final = rf"(?:[{_SAFE}]|{_ENCODED})*(?::[0-9]{{1,5}})?"
_TAIL: Final = rf"(?:[{_SAFE}:@/?]|{_ENCODED})*"
_BODY: Final = rf"(?://{_USER}{_HOST}(?:/{_ANY})?|(?!//){_ANY})"
_RELATIVE: Final = rf"(?://{_USER}{_HOST}(?:/{_ANY})?|(?!//)(?:[{_SAFE}@]|{_ENCODED})*(?:/{_ANY})?)"
_URI: Final = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.\-]*:{_BODY}|{_RELATIVE})(?:\?{_TAIL})?(?:#{_TAIL})?"
).fullmatch


@lru_cache(maxsize=1024)
def is_namespace(name: str) -> bool:
    """Whether `name` is a URI reference (RFC 3986 §4.1), as XML-NAMES §2.1 wants it; "" is one.

    Some receivers' parsers drop the stream at a namespace that is none (libxml2 in lxml), and the Clark notation
    of trees cannot tell a brace in a name from its own. Addresses in brackets and empty ports are not taken.
    """
    return _URI(name) is not None
