"""Is a stanza what a play wants? The answer is a list of differences, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rainbow_xmpp.testing.play import wording
from rainbow_xmpp.testing.play.wording import ABSENT
from rainbow_xmpp.xml import Element, names, serialise

MORE = "..."
"""Stands between the children of an element that may have further ones."""

_STANZAS = frozenset(f"{{{names.CLIENT}}}{name}" for name in ("message", "presence", "iq"))
_MESSAGE = f"{{{names.CLIENT}}}message"
_LANG = f"{{{names.XML}}}lang"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a stanza: what is left out of a pattern means them (RFC 6120 §8.1.1, §8.1.2)."""

    bare: str
    full: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, and what the names in the pattern stand for when nothing does."""

    differences: tuple[str, ...]
    found: Mapping[str, str]


def compare(pattern: Element, came: Element, known: Mapping[str, str], reader: Reader) -> Comparison:
    """Hold a stanza against a pattern."""
    comparing = _Comparing(dict(known), reader)
    differences = tuple(comparing.element(pattern, came, ""))
    return Comparison(differences, {} if differences else comparing.found)


class _Comparing:
    """One pass over a pattern and a stanza; `found` grows as names get values."""

    def __init__(self, known: dict[str, str], reader: Reader) -> None:
        self._known = known
        self._reader = reader
        self.found: dict[str, str] = {}

    def element(self, pattern: Element, came: Element, path: str) -> Iterator[str]:
        here = f"{path}{_short(pattern.tag)}"
        if pattern.tag != came.tag:
            yield f"{here}: is {_named(came)}"
            return
        yield from self._attributes(pattern, came, here)
        yield from self._text(pattern, came, here)
        yield from self._children(pattern, came, here)

    def _attributes(self, pattern: Element, came: Element, here: str) -> Iterator[str]:
        wanted = dict(pattern.items())
        if pattern.tag in _STANZAS:
            wanted = self._defaults() | wanted
        for name in sorted(wanted.keys() | came.keys()):
            value = came.get(name)
            if name not in wanted:
                yield f"{here}: has {_short(name)}='{value}', which was not expected"
            elif not self._fits(wanted[name], value):
                is_now = "is missing" if value is None else f"is '{value}'"
                yield f"{here}: {_short(name)} {is_now}, expected '{wanted[name]}'"

    def _defaults(self) -> dict[str, str]:
        """What attributes of a stanza mean that the pattern does not mention."""
        anything = f"{ABSENT} | {wording.ANYTHING}"
        own = f"{ABSENT} | {_literal(self._reader.bare)}"
        return {"id": anything, _LANG: anything, "from": own, "to": f"{own} | {_literal(self._reader.full)}"}

    def _text(self, pattern: Element, came: Element, here: str) -> Iterator[str]:
        wanted, is_now = _text_of(pattern), _text_of(came)
        if _allows_more(pattern) and not wanted:
            return
        if wanted != is_now and not self._fits(wanted, is_now):
            yield f"{here}: says {is_now!r}, expected {wanted!r}"

    def _children(self, pattern: Element, came: Element, here: str) -> Iterator[str]:
        left = list(came)
        missing: list[Element] = []
        for child in pattern:
            taken = next((other for other in left if self._is(child, other)), None)
            if taken is None:
                missing.append(child)
            else:
                left.remove(taken)
        for child in missing:
            resembling = next((other for other in left if other.tag == child.tag), None)
            if resembling is None:
                yield f"{here}: lacks {_named(child)}"
            else:
                left.remove(resembling)
                yield from _Comparing(self._known | self.found, self._reader).element(
                    child, resembling, f"{here}/"
                )
        if not _allows_more(pattern):
            for child in left:
                if pattern.tag == _MESSAGE and self._is_own_mark(child):
                    continue
                yield f"{here}: has {_named(child)}, which was not expected"

    def _is_own_mark(self, came: Element) -> bool:
        """The id that a message has in the reader's own log, if its server keeps one (XEP-0359)."""
        return came.tag == f"{{{names.STANZA_ID}}}stanza-id" and came.get("by") == self._reader.bare

    def _is(self, pattern: Element, came: Element) -> bool:
        trial = _Comparing(self._known | self.found, self._reader)
        if any(trial.element(pattern, came, "")):
            return False
        self.found |= trial.found
        return True

    def _fits(self, wanted: str, value: str | None) -> bool:
        found = wording.fit(wanted, value, self._known | self.found)
        if found is None:
            return False
        self.found |= found
        return True


def _allows_more(pattern: Element) -> bool:
    return MORE in (pattern.text or "") or any(MORE in (child.tail or "") for child in pattern)


def _text_of(element: Element) -> str:
    """Text as it is; beside children only where there is more than white space (and `...`)."""
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    if len(element) == 0 and text.strip() != MORE:
        return text
    return text.replace(MORE, "").strip()


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _short(tag: str) -> str:
    return "xml:lang" if tag == _LANG else tag.rpartition("}")[2]


def _named(element: Element) -> str:
    """An element in few words: its name, its namespace where that is not the stanzas', its attributes."""
    namespace, _, name = element.tag.removeprefix("{").rpartition("}")
    parts = [name]
    if namespace != names.CLIENT:
        parts.append(f"xmlns='{namespace}'")
    parts += [f"{_short(key)}='{value}'" for key, value in element.items()]
    return f"<{' '.join(parts)}/>"


def written(element: Element, known: Mapping[str, str]) -> str:
    """A stanza as a play would write it: `{ann}` where ann's address stands."""
    text = serialise(element, names.CLIENT).decode()
    for name, value in sorted(known.items(), key=lambda item: -len(item[1])):
        if value and not value.isspace():
            text = text.replace(f"'{value}'", f"'{{{name}}}'")
    return text
