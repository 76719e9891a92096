"""Which messages are worth waking a device for."""

from __future__ import annotations

from rainbow_xmpp.plugin import Passage, View
from rainbow_xmpp.plugins.push.values import LastMessage, Shows, Urgency
from rainbow_xmpp.xml import names

_PROPOSED = ("propose", names.JINGLE_MESSAGE)
"""XEP-0353: somebody calls. Its other messages end what this one began."""
_ENCRYPTED = frozenset(
    (
        ("encrypted", "eu.siacs.conversations.axolotl"),
        ("encrypted", "urn:xmpp:omemo:1"),
        ("encrypted", "urn:xmpp:omemo:2"),
        ("openpgp", "urn:xmpp:openpgp:0"),
        ("encryption", "urn:xmpp:eme:0"),
    )
)
"""XEP-0384, XEP-0373, XEP-0380: there is a body that we cannot see."""
_ABOUT_OTHERS = frozenset(
    (
        ("replace", names.CORRECT),
        ("retract", names.RETRACT),
        ("reactions", "urn:xmpp:reactions:0"),
    )
)
"""About a message that was worth it in its time, whatever body stands beside it for clients that know no better."""
MOST_CHARACTERS = 300
"""Of a body; a push service takes 4 KiB (RFC 8030 §7.2), and people have a small screen before them."""


def urgency_of(message: View, type_: str) -> Urgency | None:
    """Why this message of this type should wake somebody; None when it should not: states, receipts, markers, news,
    errors."""
    if type_ not in ("chat", "normal"):
        return None
    parts = {(child.name, child.ns) for child in message.children}
    if _PROPOSED in parts:
        return Urgency.CALL
    if parts & _ABOUT_OTHERS:
        return None
    if parts & _ENCRYPTED or (("body", message.ns) in parts and message.text_of("body")):
        return Urgency.MESSAGE
    return None


def last_message(p: Passage, shows: Shows) -> LastMessage | None:
    """What may be told of it. An encrypted message has no body that says anything."""
    if shows is Shows.COUNT:
        return None
    sender = p.sender_jid.partition("/")[0]
    if shows is Shows.SENDER or any((child.name, child.ns) in _ENCRYPTED for child in p.view.children):
        return LastMessage(sender)
    body = p.view.text_of("body") or ""
    return LastMessage(sender, body if len(body) <= MOST_CHARACTERS else body[: MOST_CHARACTERS - 1] + "…")
