"""Values in a play's XML: `{ann}` is somebody's address, `{id}` what came there before, `*` anything."""

import re
from collections.abc import Mapping

ANYTHING = "*"
ABSENT = "(absent)"
_ALTERNATIVES = " | "
_REFERENCE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def references(text: str) -> list[str]:
    """The names that stand in braces, in order."""
    return [name for name in _REFERENCE.findall(text) if name]


def filled(text: str, known: Mapping[str, str]) -> str:
    """The text with every name replaced by what it stands for; KeyError for a name without a value."""
    return _REFERENCE.sub(lambda found: known[found[1]] if found[1] else found[0][0], text)


def fit(wanted: str, value: str | None, known: Mapping[str, str]) -> dict[str, str] | None:
    """What the names without a value stand for when `value` is as wanted; None when it is not.

    `value` is None for an attribute that is not there. KeyError for the address of who has none yet.
    """
    for alternative in wanted.split(_ALTERNATIVES):
        if alternative == ABSENT:
            if value is None:
                return {}
        elif value is not None:
            if alternative == ANYTHING:
                return {}
            found = _pattern(alternative, known).fullmatch(value)
            if found:
                return found.groupdict()
    return None


def _pattern(wanted: str, known: Mapping[str, str]) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    for found in _REFERENCE.finditer(wanted):
        parts.append(re.escape(wanted[end : found.start()]))
        parts.append(_part(found[0], found[1], known, is_again=f"(?P<{found[1]}>" in "".join(parts)))
        end = found.end()
    parts.append(re.escape(wanted[end:]))
    return re.compile("".join(parts), re.DOTALL)


def _part(written: str, name: str | None, known: Mapping[str, str], *, is_again: bool) -> str:
    if name is None:
        return re.escape(written[0])
    if name in known:
        return re.escape(known[name])
    if not name.isidentifier():
        raise KeyError(name)
    return f"(?P={name})" if is_again else f"(?P<{name}>.+)"
