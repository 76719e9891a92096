"""Who gets a stanza: the rules of RFC 6121 §8.5 for accounts that exist, as plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.session import Session
from rainbow_xmpp.xml import names

FOR_THE_ACCOUNT = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"))
"""Presence types that the recipient's server handles itself (RFC 6121 §8.5.2.1.2, §8.5.3.1)."""


_OF_EARLIER_ONES = frozenset((names.RECEIPTS, names.MARKERS))
_ASKING = frozenset(("request", "markable"))
"""What asks for them, in messages like any other."""


class Verdict(Enum):
    """What happens to a message that no session takes."""

    KEEP = auto()
    """Store it, or tell the sender that nobody is there."""
    IGNORE = auto()
    REFUSE = auto()


def message_receivers(p: Passage) -> Sequence[Session]:
    """Who gets a message that is not for one connected resource; nobody: `without_receiver` decides."""
    if p.home is None or p.type in ("groupchat", "error"):
        return ()  # §8.5.2.1.1
    if p.type == "chat" or is_bare(p) or _tells_of_an_earlier_one(p):
        return p.home.with_priority()  # §8.5.2.1.1 and, for chat, §8.5.3.2.1
    return ()


def without_receiver(p: Passage) -> Verdict:
    """§8.5.2.1.1, §8.5.2.2.1 and §8.5.3.2.1 for what `message_receivers` found nobody for.

    What is in the recipient's log already is there to stay, whoever left while it was being kept.
    """
    if p.kept is not None:
        return Verdict.KEEP
    if p.type in ("headline", "error"):
        return Verdict.IGNORE
    if p.type == "groupchat" or (p.type != "chat" and not is_bare(p) and not _tells_of_an_earlier_one(p)):
        return Verdict.REFUSE
    return Verdict.KEEP


def presence_receivers(p: Passage) -> Sequence[Session]:
    """Available and unavailable presence for a bare JID: all available sessions (§8.5.2.1.2)."""
    if p.home is None or not is_bare(p):
        return ()
    return p.home.available()


def _tells_of_an_earlier_one(p: Passage) -> bool:
    """A receipt (XEP-0184) or marker (XEP-0333), which answers a device that may have another resource by now. Most of
    them are sent without a type: the account's other devices want them all the same (docs/decisions/0019)."""
    return p.type == "normal" and any(
        child.ns in _OF_EARLIER_ONES and child.name not in _ASKING for child in p.view.children
    )


def is_bare(p: Passage) -> bool:
    """The stanza is for the account as a whole."""
    return "/" not in p.to
