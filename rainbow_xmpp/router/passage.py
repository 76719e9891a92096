"""A stanza on its way, as a value."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from rainbow_xmpp.jid import JID
from rainbow_xmpp.router.kept import Kept
from rainbow_xmpp.session import Home, Session
from rainbow_xmpp.xml import View

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account


_new = tuple.__new__


class Outcome(Enum):
    """What became of a stanza; the `observe` stage is told."""

    DELIVERED = "delivered"
    STORED = "stored"
    ANSWERED = "answered"
    IGNORED = "ignored"
    REPEATED = "repeated"
    """Kept and delivered before; sent again by a client that could not know."""
    REFUSED = "refused"
    FAILED = "failed"


class Passage(NamedTuple):
    """One stanza between `admit` and `observe`. Never changed; a stage that changes something makes a new one.

    Company and region of both sides stand in `sender` and `recipient`.
    """

    kind: str
    """"message", "presence" or "iq"."""
    type: str
    """The `type` attribute; "" when absent."""
    view: View
    """What the sender wrote."""
    data: bytes
    """What receivers get: the received bytes with `from` stamped (and what `rewrite` made of them)."""
    sender_jid: str
    """The full JID that is stamped as `from`."""
    sender: Account
    session: Session | None
    """The sending session on this node; None when the server speaks for the account."""
    to: str
    """The address in normal form; a bare JID of the sender for stanzas without `to`."""
    recipient: Account | None
    """Whom it is for; None when nobody has this address."""
    home: Home | None
    """The recipient's sessions on this node; None when there are none."""
    target: Session | None
    """The session with exactly the address `to`; None when there is none."""
    kept: Kept | None = None
    """Its place in the logs of both sides; None for what is in none."""

    def kept_as(self, kept: Kept, home: Home | None, target: Session | None) -> Passage:
        """The same on the disk, for whoever is here by now; what `_replace` does in four times the time."""
        # kind, type and view, then what stands between sender_jid and recipient
        return _new(Passage, (*self[:3], kept.data, *self[4:9], home, target, kept))

    @property
    def to_jid(self) -> JID:
        """The address, taken apart."""
        return JID.parse(self.to)

    @property
    def is_error(self) -> bool:
        """Answers to errors would never end (RFC 6120 §8.3.1)."""
        return self.type == "error"
