"""Which messages are worth keeping for somebody who is not online (XEP-0160 §3, XEP-0334)."""

from rainbow_xmpp.plugin import View
from rainbow_xmpp.xml import names

_PASSING = frozenset((names.CHATSTATES, names.HINTS, names.DELAY, names.STANZA_ID, names.VCARD_UPDATE))
"""What says nothing any more once the moment is over, or is only about the message itself."""


def is_worth_keeping(message: View) -> bool:
    """Whether the recipient would miss it; the sender's hints come first."""
    if message.has("no-store", names.HINTS):
        return False
    if message.has("body") or message.has("store", names.HINTS):
        return True
    return any(
        child.name != "thread" if child.ns == message.ns else child.ns not in _PASSING
        for child in message.children
    )
