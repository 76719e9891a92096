"""Keeping messages for people: which are worth it, and whether they may still be handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.xml import View, hint_of, names, scan_again

if TYPE_CHECKING:
    from rainbow_xmpp.plugin.services import Services
    from rainbow_xmpp.store.values import Account

_PASSING = frozenset(
    (names.CHATSTATES, names.HINTS, names.DELAY, names.STANZA_ID, names.VCARD_UPDATE, names.CARBONS)
)
"""What says nothing any more once the moment is over, or is only about the message itself."""
_HINTED = hint_of("no-store", "no-permanent-store", "store")


def is_worth_keeping(message: View, *, for_good: bool = False) -> bool:
    """Whether its recipient would miss it; the sender's hints come first (XEP-0334, XEP-0160 §3, XEP-0313 §5.1.1).

    `for_good`: in a history, and not only until somebody comes.
    """
    if message.hints & _HINTED:
        if message.has("no-store", names.HINTS):
            return False
        if for_good and message.has("no-permanent-store", names.HINTS):
            return False
        if message.has("store", names.HINTS):
            return True
    if message.has_body:  # as most have: without an index of all children
        return True
    own = message.ns
    for name, ns, _, _ in message.children:  # noqa: SIM110  # a generator takes twice as long
        if name != "thread" if ns == own else ns not in _PASSING:
            return True
    return False


WAITED = "Offline storage"
"""Why a message that waited is late, for people (`rainbow_xmpp.stanza.delay`, XEP-0203)."""


class LateGate:
    """The gate, asked again about messages that waited for one account; each sender is looked up once.

    Their senders may have been blocked or have moved since.
    """

    def __init__(self, services: Services, owner: Account) -> None:
        self._services = services
        self._owner = owner
        self._senders: dict[str, Account | None] = {}

    async def lets(self, stanza: bytes) -> bool:
        """Whether a message may still be delivered. Raises what the database raises, or TimeoutError when the gate
        cannot tell now, and then nothing is decided.

        What the server itself wrote may; so may what was written by somebody who has no account any more: it was let
        through when there were two to ask about.
        """
        view = scan_again(stanza)
        from_ = view.attrs.get("from", "")
        if from_ == self._services.domain:
            return True
        sender = await self._sender(from_)
        if sender is None:
            return True
        to, kind = self._services.bare_jid(self._owner), view.attrs.get("type", "normal")
        p = Passage("message", kind, view, stanza, from_, sender, None, to, self._owner, None, None)
        try:
            await self._services.may_pass(p)
        except StanzaError as refusal:
            if refusal.condition is Condition.RESOURCE_CONSTRAINT:
                raise TimeoutError("the gate does not answer") from refusal
            return False
        return True

    async def _sender(self, from_: str) -> Account | None:
        bare = str(JID.parse(from_).bare)
        if bare not in self._senders:
            self._senders[bare] = await self._services.account_of(bare) or await self._abroad(bare)
        return self._senders[bare]

    async def _abroad(self, bare: str) -> Account | None:
        """Somebody of another region. What came from one that does not answer now was let through when it came."""
        try:
            return await self._services.find_account(bare)
        except StanzaError:
            return None
