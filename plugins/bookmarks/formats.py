"""One bookmark, in the format of XEP-0402 and in the one of XEP-0048."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from rainbow_xmpp.plugin import JID, Element
from rainbow_xmpp.xml import NO_LIMITS, parse

NODE = "urn:xmpp:bookmarks:1"
LEGACY_NODE = "storage:bookmarks"
LEGACY_ITEM = "current"
"""XEP-0048 §3: the one item of the old node."""
STORAGE = f"{{{LEGACY_NODE}}}storage"
_NEW, _OLD = f"{{{NODE}}}", f"{{{LEGACY_NODE}}}"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A room somebody comes back to. `extensions` are what other clients keep with it, in the new format only."""

    name: str = ""
    autojoin: bool = False
    nick: str | None = None
    password: str | None = field(default=None, repr=False)
    extensions: Element | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_item(cls, payload: bytes) -> Self | None:
        """From the payload of an item; None for something else."""
        el = parse(payload, limits=NO_LIMITS)
        if el.tag != f"{_NEW}conference":
            return None
        return cls._of(el, _NEW, el.find(f"{_NEW}extensions"))

    @classmethod
    def _of(cls, el: Element, ns: str, extensions: Element | None) -> Self:
        autojoin = el.get("autojoin") in ("true", "1")
        return cls(
            el.get("name", ""), autojoin, el.findtext(f"{ns}nick"), el.findtext(f"{ns}password"), extensions
        )

    def to_item(self, before: Bookmark | None) -> Element:
        """In the new format; what other clients kept with the bookmark `before` stays (XEP-0402 §2)."""
        el = self._element(_NEW)
        if before is not None and before.extensions is not None:
            el.append(before.extensions)
        return el

    def to_conference(self, room: str) -> Element:
        """In the old format."""
        el = self._element(_OLD)
        el.set("jid", room)
        return el

    def _element(self, ns: str) -> Element:
        el = Element(f"{ns}conference")
        if self.name:
            el.set("name", self.name)
        if self.autojoin:
            el.set("autojoin", "true")
        for tag, text in (("nick", self.nick), ("password", self.password)):
            if text is not None:
                part = Element(f"{ns}{tag}")
                part.text = text
                el.append(part)
        return el


def listed_in(storage: Element) -> dict[str, Bookmark]:
    """The rooms of a list in the old format, by address; what is no address is left out."""
    found: dict[str, Bookmark] = {}
    for el in storage.findall(f"{_OLD}conference"):
        try:
            room = str(JID.parse(el.get("jid", "")).bare)
        except ValueError:
            continue
        found.setdefault(room, Bookmark._of(el, _OLD, None))
    return found


def others_in(storage: Element | None) -> list[Element]:
    """What an old list has beside rooms, such as pages."""
    return [] if storage is None else [el for el in storage if el.tag != f"{_OLD}conference"]


def storage_of(rooms: Mapping[str, Bookmark], others: Iterable[Element] = ()) -> Element:
    """A list in the old format."""
    storage = Element(STORAGE)
    storage.extend(bookmark.to_conference(room) for room, bookmark in rooms.items())
    storage.extend(others)
    return storage
