"""`<enable/>` and `<disable/>` of XEP-0357, read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from rainbow_xmpp.plugin import JID, Condition, Element, Form, StanzaError, form_field
from rainbow_xmpp.xml import names

ENABLE = f"{{{names.PUSH}}}enable"
DISABLE = f"{{{names.PUSH}}}disable"
_FORM = f"{{{names.DATA_FORM}}}x"
MOST_CHARACTERS = 256
"""Of a node, and of a secret."""


class PublishOptions(Form, form_type="http://jabber.org/protocol/pubsub#publish-options"):
    """§5: what a push service wants to be told with each notification."""

    secret: str = form_field(default="", private=True, max_len=MOST_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Enable:
    """§5: tell this node of that push service."""

    service: JID
    node: str
    secret: str = field(repr=False)

    @classmethod
    def from_xml(cls, el: Element) -> Enable:
        """Raises StanzaError."""
        node = _node_of(el)
        if not node:
            raise StanzaError(Condition.BAD_REQUEST, "node is missing")
        forms = el.findall(_FORM)
        if len(forms) > 1:
            raise StanzaError(Condition.BAD_REQUEST, "one form of publish-options is expected")
        options = PublishOptions.from_xml(forms[0]) if forms else PublishOptions()
        return cls(_service_of(el), node, options.secret)


@dataclass(frozen=True, slots=True)
class Disable:
    """§6: do not tell this node any more, or any node of that push service."""

    service: JID
    node: str | None

    @classmethod
    def from_xml(cls, el: Element) -> Disable:
        """Raises StanzaError."""
        return cls(_service_of(el), _node_of(el))


def hash_of(secret: str) -> bytes:
    """As a secret of 256 bits is kept."""
    return hashlib.sha256(secret.encode()).digest()


def _service_of(el: Element) -> JID:
    text = el.get("jid", "")
    if not text:
        raise StanzaError(Condition.BAD_REQUEST, "jid is missing")
    try:
        return JID.parse(text)
    except ValueError:
        raise StanzaError(Condition.JID_MALFORMED) from None


def _node_of(el: Element) -> str | None:
    node = el.get("node")
    if node is not None and len(node) > MOST_CHARACTERS:
        raise StanzaError(Condition.BAD_REQUEST, "this node is too long")
    return node
