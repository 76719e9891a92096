"""The XML of rosters: what a roster set asks for, and items as clients see them (RFC 6121 §2.1)."""

from __future__ import annotations

from collections.abc import Iterable

from rainbow_xmpp import ids
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.roster import subscription
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza import iq_request
from rainbow_xmpp.store.values import RosterItem
from rainbow_xmpp.xml import Element, names, serialise

QUERY = f"{{{names.ROSTER}}}query"
ITEM = f"{{{names.ROSTER}}}item"
GROUP = f"{{{names.ROSTER}}}group"

MAX_NAME_CHARS = 1023
MAX_GROUPS = 32
MAX_ITEM_CHARS = 2048
"""Name and groups together: a full roster is made in one go, and everybody else waits for it."""


class Wish:
    """What a roster set asks for (§2.1.2, §2.3.3)."""

    __slots__ = ("contact", "groups", "is_removal", "name")

    def __init__(self, contact: str, name: str, groups: tuple[str, ...], is_removal: bool) -> None:
        self.contact, self.name, self.groups, self.is_removal = contact, name, groups, is_removal

    @classmethod
    def of(cls, query: Element) -> Wish:
        """Raise StanzaError when it is not one well-formed item."""
        items = query.findall(ITEM)
        if len(items) != 1 or len(query) != 1:
            raise StanzaError(Condition.BAD_REQUEST)
        item = items[0]
        try:
            jid = JID.parse(item.get("jid", ""))
        except ValueError:
            raise StanzaError(Condition.BAD_REQUEST) from None
        if not jid.is_bare:
            raise StanzaError(Condition.BAD_REQUEST)
        name = item.get("name", "")
        groups = [group.text or "" for group in item.findall(GROUP)]
        if len(set(groups)) != len(groups):
            raise StanzaError(Condition.BAD_REQUEST)
        too_long = any(len(text) > MAX_NAME_CHARS for text in (name, *groups))
        too_long |= len(name) + sum(map(len, groups)) > MAX_ITEM_CHARS
        if too_long or not all(map(str.strip, groups)) or len(groups) > MAX_GROUPS:
            raise StanzaError(Condition.NOT_ACCEPTABLE)
        return cls(str(jid), name, tuple(groups), item.get("subscription") == "remove")

    def applied_to(self, item: RosterItem | None) -> RosterItem:
        """The client decides over name and groups, and nothing else (§2.1.2)."""
        if item is None:
            return RosterItem(contact=self.contact, name=self.name, groups=self.groups)
        return subscription.renamed(item, self.name, self.groups)


def query(items: Iterable[RosterItem], version: str) -> Element:
    """A roster result's payload (§2.1.4)."""
    element = Element(QUERY, {"ver": version})
    element.extend(item(each) for each in items)
    return element


def item(kept: RosterItem) -> Element:
    """An item as clients see it (§2.1.2)."""
    element = Element(ITEM, {"jid": kept.contact, "subscription": kept.subscription})
    if kept.name:
        element.set("name", kept.name)
    if kept.ask:
        element.set("ask", "subscribe")
    if kept.approved:
        element.set("approved", "true")
    for name in kept.groups:
        group = Element(GROUP)
        group.text = name
        element.append(group)
    return element


def removed(contact: str) -> Element:
    """An item that is no more (§2.5.2)."""
    return Element(ITEM, {"jid": contact, "subscription": "remove"})


def push(session: Session, changed: Element, version: str) -> bytes:
    """A roster push of this item (§2.1.6)."""
    payload = Element(QUERY, {"ver": version})
    payload.append(changed)
    return iq_request("set", f"push-{ids.new_stream_id()}", to=session.full, payload=serialise(payload))
