"""Answers to presence probes (RFC 6121 §4.3.2, §4.6.6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rainbow_xmpp.presence import directed
from rainbow_xmpp.router import delivery
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import Absent
from rainbow_xmpp.session import Home, Session
from rainbow_xmpp.stanza import presence
from rainbow_xmpp.store.values import Account

Show = Callable[[Home, Session], None]
"""Shows every available session of an account to one session that may see it."""
MaySee = Callable[[Account, str], Awaitable[bool]]
"""Asks an account's roster whether a bare JID is subscribed to its presence."""


class Probes:
    """Answers on behalf of accounts. Whoever may not see, hears the same as for somebody who does not exist."""

    def __init__(self, show: Show, may_see: MaySee) -> None:
        self._show = show
        self._may_see = may_see

    def answer(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        """A probe that the gate let through."""
        asker, home = p.sender_jid.partition("/")[0], p.home
        if home is None or not home.is_loaded:
            return self._ask_roster(p, asker)
        return self._answer(p, asker == home.bare or home.is_seen_by(asker))

    async def _ask_roster(self, p: Passage, asker: str) -> Outcome:
        assert p.recipient is not None, "the gate lets nothing through to nobody"
        return self._answer(p, await self._may_see(p.recipient, asker))

    def _answer(self, p: Passage, may_see: bool) -> Outcome:
        if p.session is None:
            raise Absent()
        if not delivery.is_bare(p):
            self._answer_about_one(p, may_see)
        elif not may_see:
            raise Absent()
        elif p.home is not None and p.home.available():
            self._show(p.home, p.session)
        else:
            self._say(p, "unavailable")
        return Outcome.ANSWERED

    def _answer_about_one(self, p: Passage, may_see: bool) -> None:
        """Only whether it is there (§4.3.2); who got directed presence from it may know as well (§4.6.6)."""
        target = p.target
        if target is not None and directed.has_seen(target, p.sender_jid):
            self._say(p, "")
        elif not may_see:
            raise Absent()
        else:
            self._say(p, "" if target is not None and target.presence is not None else "unavailable")

    def _say(self, p: Passage, type_: str) -> None:
        """An answer that says no more; where nobody is there it repeats the probe's id (§4.3.2.1)."""
        assert p.session is not None
        stanza_id = p.view.attrs.get("id", "") if type_ else ""
        p.session.wire.send(presence(from_=p.to, to=p.sender_jid, type_=type_, stanza_id=stanza_id))
