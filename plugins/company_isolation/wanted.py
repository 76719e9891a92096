"""What a stanza wants of the person it is for."""

from __future__ import annotations

from rainbow_xmpp.plugin import Action, Passage

PROFILES = frozenset(
    (
        ("vCard", "vcard-temp"),
        ("vcard", "urn:ietf:params:xml:ns:vcard-4.0"),
        ("pubsub", "http://jabber.org/protocol/pubsub"),
    )
)
"""Requests that ask who somebody is; what an account publishes is its picture, its name and the like."""
_CALLS = "urn:xmpp:jingle"
_ROOMS = frozenset(("jabber:x:conference", "http://jabber.org/protocol/muc#user"))


def wanted(p: Passage) -> Action:
    """For a stanza that is no answer to an invitation."""
    if p.kind == "presence":
        return Action.INVITE if p.type == "subscribe" else Action.PRESENCE
    namespaces = [child.ns for child in p.view.children]
    if any(ns.startswith(_CALLS) for ns in namespaces):
        return Action.CALL
    if p.kind == "message":
        return Action.ROOM if not _ROOMS.isdisjoint(namespaces) else Action.MESSAGE
    is_profile = p.type == "get" and "/" not in p.to
    if is_profile and any((child.name, child.ns) in PROFILES for child in p.view.children):
        return Action.PROFILE
    return Action.MESSAGE
