"""The answers, as bytes that are made once for each set of features."""

from functools import lru_cache
from typing import NamedTuple

from rainbow_xmpp.plugin import Element
from rainbow_xmpp.xml import serialise

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"

NO_ITEMS = serialise(Element(f"{{{ITEMS}}}query"))


class Identity(NamedTuple):
    """What something is (XEP-0030 §3.1); from the registrar's list."""

    category: str
    type: str
    name: str = ""


SERVER = Identity("server", "im", "Rainbow XMPP")
ACCOUNT = Identity("account", "registered")


@lru_cache(maxsize=16)
def info(identity: Identity, features: frozenset[str]) -> bytes:
    """The payload of a disco#info answer."""
    query = Element(f"{{{INFO}}}query")
    is_a = Element(f"{{{INFO}}}identity", {"category": identity.category, "type": identity.type})
    if identity.name:
        is_a.set("name", identity.name)
    query.append(is_a)
    query.extend(Element(f"{{{INFO}}}feature", {"var": feature}) for feature in sorted(features))
    return serialise(query)
