"""Which messages are copied (XEP-0280 §6), and which their senders want not to be (§9, XEP-0334)."""

from __future__ import annotations

from rainbow_xmpp.plugin import Passage
from rainbow_xmpp.xml import hint_of, names

_MUC_USER = "http://jabber.org/protocol/muc#user"
_INVITATION = "jabber:x:conference"  # XEP-0249
_TALK = frozenset((names.CHATSTATES, names.RECEIPTS, names.MARKERS, _INVITATION, names.JINGLE_MESSAGE))
_WISHES = hint_of("private", "no-copy")
_ROOM = hint_of("x")


def is_eligible(p: Passage) -> bool:
    """It is talk between people, and its sender wants it copied.

    Errors are not copied: what they answer to is not remembered.
    """
    view = p.view
    if p.type in ("groupchat", "headline", "error"):
        return False
    if view.hints & _WISHES and (view.has("private", names.CARBONS) or view.has("no-copy", names.HINTS)):
        return False
    if view.hints & _ROOM and view.has("x", _MUC_USER):
        return _is_invitation(p) or p.session is not None
    if p.type == "chat" or view.has("body"):
        return True
    return any(child.ns in _TALK for child in view.children)


def _is_invitation(p: Passage) -> bool:
    """A mediated one; other private messages of a room's occupants reach every device by themselves."""
    child = p.view.child("x", _MUC_USER)
    return child is not None and p.view.child_element(child).find(f"{{{_MUC_USER}}}invite") is not None
