"""What a session that is over did not acknowledge goes elsewhere (XEP-0198 §4, RFC 6121 §8.5.3.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from rainbow_xmpp.router.events import BecameAvailable, Event
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.session import Session, SessionTable
from rainbow_xmpp.stanza.delay import with_delay
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream_management.managed import Managed
from rainbow_xmpp.stream_management.unacked import Sent
from rainbow_xmpp.xml import View, scan_again

log = logging.getLogger(__name__)


class HandingBack:
    """Messages go to the account's other sessions, or are kept for later; questions are answered with an error.

    Presence, answers and copies that the server made for the session alone are dropped. The sessions that got a
    message when it was new do not get it again.
    """

    def __init__(self, domain: str, pipeline: Pipeline, sessions: SessionTable) -> None:
        self._domain = domain
        self._pipeline = pipeline
        self._sessions = sessions

    async def hand_back(self, gone: Managed, unacked: Iterable[Sent]) -> None:
        """In the order in which it was sent. What fails costs the others nothing."""
        for sent in unacked:
            try:
                await self._hand_back(gone, sent)
            except Exception:
                log.exception(
                    "what a session did not acknowledge could not be handed back",
                    extra={"account": gone.session.account.id},
                )

    async def hand_back_from_afar(self, full: str, stanza: bytes, at: float) -> None:
        """What another node had for a session of this full JID, which is gone.

        `at` is when it was sent to all of the account's that were there then (monotonic, seconds), or somewhat before:
        those who came later get it.
        """
        owner = await self._pipeline.account_at(full)
        view, bare = scan_again(stanza), full.partition("/")[0]
        to, home = view.attrs.get("to", full), self._sessions.homes.get(bare)
        others = home.with_priority() if home is not None and to == bare else []
        if owner is None:
            return
        if not others:
            await self._give(owner, full, view, stanza, to)
        for other in others:
            if other.takes_since > at:
                await self._give(owner, full, view, stanza, to, other)

    async def _hand_back(self, gone: Managed, sent: Sent) -> None:
        view, session = scan_again(sent.stanza), gone.session
        to = view.attrs.get("to", session.full)
        if view.name == "message" and to == session.bare and self._others_have(gone, sent.number):
            return
        data = with_delay(sent.stanza, self._domain, sent.at)
        await self._give(session.account, session.full, view, data, to)

    async def _give(
        self, owner: Account, full: str, view: View, data: bytes, to: str, only: Session | None = None
    ) -> None:
        is_message, bare = view.name == "message", full.partition("/")[0]
        if view.name == "presence" or (view.name == "iq" and view.attrs.get("type") not in ("get", "set")):
            return
        sender_jid = view.attrs.get("from", "")
        if sender_jid in ("", bare, full) or (not is_message and sender_jid == self._domain):
            return  # for this session alone, such as a carbon, a result of the archive, a roster push
        p = await self._passage(owner, bare, view, data, sender_jid, to)
        if p is not None:
            p = p if only is None else p._replace(target=only)
            await self._pipeline.deliver_again(p, is_from_server=sender_jid == self._domain)

    async def _passage(
        self, owner: Account, bare: str, view: View, data: bytes, sender_jid: str, to: str
    ) -> Passage | None:
        """None: its sender has no account any more, and what cannot be answered for is not delivered twice."""
        sender = owner if sender_jid == self._domain else await self._pipeline.account_at(sender_jid)
        if sender is None:
            return None
        home, kind = self._sessions.homes.get(bare), view.name
        asking = self._sessions.by_full.get(sender_jid)
        type_ = view.attrs.get("type", "normal" if kind == "message" else "")
        recipient = owner if home is None else home.account
        return Passage(kind, type_, view, data, sender_jid, sender, asking, to, recipient, home, None)

    def _others_have(self, gone: Managed, number: int) -> bool:
        """A session that is still there was there when this was delivered to the whole account."""
        home, later = self._sessions.homes.get(gone.session.bare), gone.came_later or {}
        others = home.with_priority() if home is not None else []
        return any(later.get(other.full, 0) <= number for other in others)


def note_arrival(event: Event) -> None:
    """A session takes messages from now on, and has none that others of its account were sent before."""
    assert isinstance(event, BecameAvailable), "this is what it listens to"
    newcomer = event.session
    for other in newcomer.home.sessions:
        managed = None if other is newcomer else Managed.of(other)
        if managed is not None and managed.queue.stanzas:
            if managed.came_later is None:
                managed.came_later = {}
            managed.came_later[newcomer.full] = managed.queue.sent
