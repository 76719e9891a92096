"""The gate, asked again about messages that waited: their senders may have been blocked or have moved since."""

from __future__ import annotations

from rainbow_xmpp.plugin import JID, Account, Passage, Services, StanzaError
from rainbow_xmpp.xml import scan_again


class Gate:
    """For what waits for one account; each sender is looked up once."""

    def __init__(self, services: Services, owner: Account) -> None:
        self._services = services
        self._owner = owner
        self._senders: dict[str, Account | None] = {}

    async def lets(self, stanza: bytes) -> bool:
        """Whether a message may still be delivered. Raises what the database raises, and then nothing is decided.

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
        except StanzaError:
            return False
        return True

    async def _sender(self, from_: str) -> Account | None:
        bare = str(JID.parse(from_).bare)
        if bare not in self._senders:
            self._senders[bare] = await self._services.account_of(bare)
        return self._senders[bare]
