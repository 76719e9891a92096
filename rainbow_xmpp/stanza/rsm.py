"""Result set management (XEP-0059): which page of a result is asked for, and what is said of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element

from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.xml import escape, names

SET = f"{{{names.RSM}}}set"
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`<set/>` in a request."""

    max: int | None = None
    """At most so many items; 0 asks for their number only (§2.6)."""
    after: str | None = None
    """Behind the item with this id."""
    before: str | None = None
    """The page in front of the item with this id; "" for the last page of all (§2.5)."""

    @classmethod
    def inside(cls, el: Element) -> Self:
        """The request in this payload; the first page, without one. Raises StanzaError.

        A page by its index is refused: that is for results with a number of items (§2.4).
        """
        inner = el.find(SET)
        if inner is None:
            return cls()
        if inner.find(f"{{{names.RSM}}}index") is not None:
            raise StanzaError(
                Condition.FEATURE_NOT_IMPLEMENTED, "pages are asked for by ids, not by an index"
            )
        most = _text(inner, "max")
        if most is not None and not (most.isascii() and most.isdigit() and len(most) <= _MOST_DIGITS):
            raise StanzaError(Condition.BAD_REQUEST, "max is a whole number")
        after = _text(inner, "after")
        if after == "":
            raise StanzaError(Condition.BAD_REQUEST, "after is an id")
        return cls(None if most is None else int(most), after, _text(inner, "before"))

    @property
    def is_backward(self) -> bool:
        """The page is the last one before something."""
        return self.before is not None


def page_told(
    first: str = "", last: str = "", *, index: int | None = None, count: int | None = None
) -> bytes:
    """`<set/>` in an answer; an empty page has neither first nor last (§2.2)."""
    inside = ""
    if first:
        place = "" if index is None else f" index='{index}'"
        inside = f"<first{place}>{escape(first)}</first><last>{escape(last)}</last>"
    if count is not None:
        inside += f"<count>{count}</count>"
    return f"<set xmlns='{names.RSM}'>{inside}</set>".encode()


def _text(el: Element, name: str) -> str | None:
    found = el.find(f"{{{names.RSM}}}{name}")
    return None if found is None else (found.text or "").strip()
