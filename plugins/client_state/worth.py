"""What can wait while nobody looks at a client (XEP-0352 §3.2): presence, who types, and news of others' nodes."""

from __future__ import annotations

from itertools import count

from rainbow_xmpp.plugin import Element, View
from rainbow_xmpp.xml import names

Key = tuple[str, ...]
"""What replaces what: of several things with the same key only the last one says something."""

_AROUND = frozenset((names.CHATSTATES, names.HINTS, names.DELAY, names.STANZA_ID))
"""What a message that only tells who types may have; the rest is about the message itself."""
_NUMBERS = count()


def key_of(stanza: View, own: str, own_full: str) -> Key | None:
    """What a stanza for a client may wait as; None when it must not wait. `own` and `own_full` are its addresses.

    Whatever is not known to be unimportant is important: all requests and answers, errors, subscriptions, messages with
    a body, receipts, markers, calls.
    """
    if stanza.name == "presence":
        return _key_of_presence(stanza, own_full)
    if stanza.name == "message":
        return _key_of_message(stanza, own)
    return None


def _key_of_presence(presence: View, own_full: str) -> Key | None:
    sender = presence.attrs.get("from", "")
    if presence.attrs.get("type", "unavailable") != "unavailable" or sender in ("", own_full):
        return None
    room = presence.child("x", names.MUC_USER)
    if room is not None and presence.child_element(room).find(f"{{{names.MUC_USER}}}status") is not None:
        return None  # about oneself, or about the room
    return "presence", sender


def _key_of_message(message: View, own: str) -> Key | None:
    if message.attrs.get("type") == "error":
        return None
    sender = message.attrs.get("from", "")
    if _only_tells_who_types([(child.name, child.ns) for child in message.children]):
        return "state", sender
    if message.has("event", names.PUBSUB_EVENT) and sender.partition("/")[0] not in ("", own):
        return None if message.has("body") else ("event", str(next(_NUMBERS)))
    for child in message.children:
        if child.ns == names.CARBONS:
            return _key_of_copy(message.child_element(child))
    return None


def _key_of_copy(copy: Element) -> Key | None:
    """A carbon (XEP-0280) is worth what is in it."""
    inner = copy.find(f"{{{names.FORWARD}}}forwarded/{{{names.CLIENT}}}message")
    if inner is None or inner.get("type") == "error":
        return None
    parts = [(tag, ns) for ns, _, tag in (child.tag[1:].partition("}") for child in inner)]
    if not _only_tells_who_types(parts):
        return None
    return "copy", copy.tag, inner.get("from", ""), inner.get("to", "")


def _only_tells_who_types(parts: list[tuple[str, str]]) -> bool:
    """XEP-0085 §5.3 lets such a message have a thread beside the state."""
    return any(ns == names.CHATSTATES for _, ns in parts) and all(
        ns in _AROUND or (name, ns) == ("thread", names.CLIENT) for name, ns in parts
    )
