"""Presence of sessions: broadcast, probes, directed presence, and the end of a session (RFC 6121 §4)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.presence import directed
from rainbow_xmpp.presence.probes import Probes
from rainbow_xmpp.router.events import (
    BecameAvailable,
    BecameUnavailable,
    Event,
    InitialPresence,
    SessionEnded,
)
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.session import Home, Session, SessionTable
from rainbow_xmpp.stanza import presence, with_to
from rainbow_xmpp.xml import View, scan_again

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

_BYTE = re.compile(r"\s*[+-]?0*[0-9]{1,3}\s*").fullmatch
"""xs:byte, which a priority is, but for its bounds."""


class Subscriptions(Protocol):
    """What the roster does for presence."""

    async def load(self, home: Home) -> None:
        """Fill a home's `subscribers`, `contacts` and `requests` from the roster."""

    async def may_see(self, owner: Account, viewer: str) -> bool:
        """The bare JID `viewer` is subscribed to the owner's presence, by the owner's roster."""

    def outbound(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        """A subscription stanza from one of our sessions."""

    async def inbound(self, passage: Passage) -> Outcome:
        """A subscription stanza for one of our accounts, let through by the gate."""


Elsewhere = Callable[[str], bool]
"""Whether a bare JID may be of somebody at home in another region; who is at home here may not."""


class PresenceService:
    """Decides who hears of a session; sends through the pipeline like everybody else."""

    def __init__(
        self,
        sessions: SessionTable,
        pipeline: Pipeline,
        subscriptions: Subscriptions,
        tell: Callable[[Event], Awaitable[None] | None],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        self._sessions = sessions
        self._pipeline = pipeline
        self._subscriptions = subscriptions
        self.elsewhere: Elsewhere | None = None
        """Where there are other regions: what of them presence must know."""
        self._probes = Probes(self._show, subscriptions.may_see)
        self._tell = tell
        self._spawn = spawn

    # -- from our sessions -----------------------------------------------------------------------------

    def broadcast(self, session: Session, view: View) -> Awaitable[None] | None:
        """Presence without `to`: for all who subscribed, and the account's other sessions (§4.2, §4.4, §4.5)."""
        data = session.signed(view)
        if view.attrs.get("type") == "unavailable":
            return self._unavailable(session, view, data)
        priority = _priority(view)
        if session.home.is_loaded:
            return self._available(session, view, data, priority)
        return self._load_first(session, view, data, priority)

    async def _load_first(self, session: Session, view: View, data: bytes, priority: int) -> None:
        await self._subscriptions.load(session.home)
        if self._sessions.by_full.get(session.full) is not session:
            return  # the connection was lost meanwhile
        pending = self._available(session, view, data, priority)
        if pending is not None:
            await pending

    def _available(self, session: Session, view: View, data: bytes, priority: int) -> Awaitable[None] | None:
        is_initial = session.presence is None
        took_messages = not is_initial and session.priority >= 0
        session.presence, session.priority = data, priority
        if priority >= 0 and not took_messages:
            session.takes_since = monotonic()
        self._sessions.watch.changed(session)
        self._to_subscribers(session, view, data, "")
        waiting: list[Awaitable[None] | None] = []
        if is_initial:
            self._introduce(session)
            waiting.append(self._tell(InitialPresence(session)))
        if priority >= 0 and not took_messages:
            waiting.append(self._tell(BecameAvailable(session, is_initial)))
        pending = [each for each in waiting if each is not None]
        return _one_after_the_other(pending) if pending else None

    def _introduce(self, session: Session) -> None:
        """At its first presence a session hears who is there and who asks to subscribe (§4.2.2, §3.1.3)."""
        home = session.home
        for other in home.sessions:
            if other is not session and other.presence is not None:
                session.wire.send(with_to(other.presence, session.full))
        for colleague in home.colleagues():
            self._show(colleague, session)
        for contact in home.contacts:
            shown = self._sessions.homes.get(contact)
            if shown is not None and home.bare in shown.subscribers and not home.is_colleague(contact):
                self._show(shown, session)
        for contact in self._beyond(home.contacts):
            self.probe(session, contact)
        for request in home.requests:
            self._spawn(self._ask_again(request, session))

    def _beyond(self, people: Iterable[str]) -> list[str]:
        """Those of these bare JIDs who may be at home in other regions."""
        elsewhere, homes = self.elsewhere, self._sessions.homes
        return [] if elsewhere is None else [jid for jid in people if jid not in homes and elsewhere(jid)]

    def probe(self, session: Session, contact: str) -> None:
        """Ask a contact's own region whether they are there (§4.3)."""
        data = presence(from_=session.full, to=contact, type_="probe")
        p = Passage(
            "presence", "probe", scan_again(data), data, session.full, session.account, session, contact, None,
            None, None,
        )  # fmt: skip
        self._pass_on(p)

    async def _ask_again(self, request: bytes, session: Session) -> None:
        """A subscription request from before this session (§3.1.3): the gate may have closed since it came."""
        view, home = scan_again(request), session.home
        asker = view.attrs["from"]
        try:
            account = await self._pipeline.account_at(asker)
        except StanzaError:  # of another region, which does not answer
            return
        if account is None:
            return
        p = Passage(
            "presence", "subscribe", view, request, asker, account, None, home.bare, home.account, home, None
        )  # fmt: skip
        try:
            await self._pipeline.may_pass(p)
        except StanzaError:
            return
        if session.presence is not None:
            session.wire.send(request)

    def _unavailable(self, session: Session, view: View, data: bytes) -> Awaitable[None] | None:
        was_available = session.presence is not None
        if was_available:
            session.presence = None
            self._sessions.watch.changed(session)
            self._to_subscribers(session, view, data, "unavailable")
        for to in directed.end_of(session, was_available=was_available):
            directed.has_gone(self._sessions.homes.get(to.partition("/")[0]), session.full)
            self._send(session, view, with_to(data, to), "unavailable", to)
        return self._tell(BecameUnavailable(session, data)) if was_available else None

    def directed(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        """Presence with `to` (§4.6)."""
        type_ = view.attrs.get("type", "")
        directed.note(session, to, type_)
        if type_:
            directed.has_gone(self._sessions.homes.get(to.partition("/")[0]), session.full)
        return self._routed(session, view, session.signed(view), type_, to)

    def subscription(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        """subscribe, subscribed, unsubscribe, unsubscribed (§3)."""
        return self._subscriptions.outbound(session, view, to)

    def ended(self, session: Session) -> Awaitable[None] | None:
        """The session is gone, however it went: tell everybody who saw it (§4.5.2)."""
        if session.presence is not None or session.directed:
            data = presence(from_=session.full, type_="unavailable")
            self._beside(self._unavailable(session, scan_again(data), data))
        return self._tell(SessionEnded(session))

    # -- for our accounts ------------------------------------------------------------------------------

    def for_account(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        """Presence that the recipient's server handles itself: subscriptions and probes (RFC 6121 §8.5.2.1.2)."""
        return self._probes.answer(p) if p.type == "probe" else self._subscriptions.inbound(p)

    def show_to(self, home: Home, jid: str) -> None:
        """An account's presence, for somebody who has just been allowed to see it (§3.1.6)."""
        if not self._may_be_there(jid):
            return
        for session in home.available():
            assert session.presence is not None
            view = scan_again(session.presence)
            self._send(session, view, with_to(session.presence, jid), "", jid)

    def hide_from(self, home: Home, jid: str) -> None:
        """Unavailable presence, for somebody who may no longer see the account (§3.2.2, §3.3.3)."""
        if not self._may_be_there(jid):
            return
        for session in home.available():
            directed.hide_from(session, jid)
            self._say_unavailable(session, jid)

    def _may_be_there(self, jid: str) -> bool:
        bare = jid.partition("/")[0]
        return bare in self._sessions.homes or (self.elsewhere is not None and self.elsewhere(bare))

    def hide_directed(self, home: Home, concerns: Callable[[str], bool]) -> None:
        """Unavailable presence for those of `concerns` to whom presence was directed; that is over (§4.6.3)."""
        for session in home.sessions:
            for to in [to for to in session.directed or () if concerns(to)]:
                assert session.directed is not None
                session.directed.discard(to)
                self._say_unavailable(session, to)

    def part(self, one: Home, other: Home) -> None:
        """What allowed two accounts to see each other is over: each who saw the other hears that they are gone.

        The gate is not asked: it is closed by now.
        """
        for gone, viewer in ((one, other), (other, one)):
            sees = gone.is_seen_by(viewer.bare)
            for session in gone.sessions:
                shown = directed.take_back(session, viewer.bare)
                for witness in viewer.sessions:
                    was_shown = viewer.bare in shown or witness.full in shown
                    saw = sees and session.presence is not None
                    if was_shown or (saw and witness.presence is not None):
                        witness.wire.send(presence(from_=session.full, to=witness.full, type_="unavailable"))

    def part_from_afar(self, home: Home, contact: str) -> None:
        """The same with somebody of another region, whose own devices hear it there: whoever saw them here is told
        that none of them is there any more."""
        if contact in home.contacts:
            for session in home.available():
                session.wire.send(presence(from_=contact, to=session.full, type_="unavailable"))

    def show_contact(self, home: Home, contact: str) -> None:
        """A contact's presence to the account's available sessions, when they may see it: as at first presence."""
        shown = self._sessions.homes.get(contact)
        sees = home.is_colleague(contact) or contact in home.contacts
        if shown is not None and sees and shown.is_seen_by(home.bare):
            for session in home.available():
                self._show(shown, session)

    def _say_unavailable(self, session: Session, to: str) -> None:
        data = presence(from_=session.full, to=to, type_="unavailable")
        self._send(session, scan_again(data), data, "unavailable", to)

    # -- sending ---------------------------------------------------------------------------------------

    def _to_subscribers(self, session: Session, view: View, data: bytes, type_: str) -> None:
        home = session.home
        own = with_to(data, home.bare)
        for other in home.sessions:
            if other.presence is not None or other is session:
                other.wire.send(own)
        for viewer in self._viewers(home):
            if type_:
                directed.has_gone(viewer, session.full)
            p = Passage(
                "presence", type_, view, with_to(data, viewer.bare), session.full, session.account, None,
                viewer.bare, viewer.account, viewer, None,
            )  # fmt: skip
            self._pass_on(p)
        for bare in self._beyond(home.subscribers):
            self._send(session, view, with_to(data, bare), type_, bare)

    def _viewers(self, home: Home) -> Iterator[Home]:
        """Who is connected and may see an account, each once."""
        yield from home.colleagues()
        homes = self._sessions.homes
        for bare in home.subscribers:
            viewer = homes.get(bare)
            if viewer is not None and not home.is_colleague(bare):
                yield viewer

    def _show(self, shown: Home, viewer: Session) -> None:
        """Every available session of an account, to one session that may see it."""
        for session in shown.available():
            assert session.presence is not None
            p = Passage(
                "presence", "", scan_again(session.presence), with_to(session.presence, viewer.full),
                session.full, session.account, None, viewer.full, viewer.account, viewer.home, viewer,
            )  # fmt: skip
            self._pass_on(p)

    def appeared(self, session: Session) -> None:
        """A session of another node is known from now on, and was available before: those of this node hear it."""
        if session.presence is None:
            return
        view, home = scan_again(session.presence), session.home
        for other in home.sessions:
            if other.presence is not None and not other.is_remote:
                other.wire.send(with_to(session.presence, home.bare))
        for seer in self._viewers(home):
            for viewer in seer.available():
                if not viewer.is_remote:
                    p = Passage(
                        "presence", "", view, with_to(session.presence, viewer.full), session.full,
                        session.account, None, viewer.full, viewer.account, seer, viewer,
                    )  # fmt: skip
                    self._pass_on(p)

    def _routed(
        self, session: Session, view: View, data: bytes, type_: str, to: str
    ) -> Awaitable[None] | None:
        p = Passage(
            "presence", type_, view, data, session.full, session.account, session, to, None, None, None
        )
        return self._pipeline.route(p)

    def _send(self, session: Session, view: View, data: bytes, type_: str, to: str) -> None:
        """A session's presence that its client did not send; so nobody is told of a refusal."""
        self._pass_on(
            Passage("presence", type_, view, data, session.full, session.account, None, to, None, None, None)
        )

    def _pass_on(self, p: Passage) -> None:
        self._beside(self._pipeline.route(p))

    def _beside(self, pending: Awaitable[None] | None) -> None:
        """Copies of presence do not wait for each other, nor does a session's end wait for anybody."""
        if pending is not None:
            self._spawn(pending)


async def _one_after_the_other(pending: list[Awaitable[None]]) -> None:
    for each in pending:
        await each


def _priority(view: View) -> int:
    """-128 to 127, 0 when absent (RFC 6121 §4.7.2.3)."""
    text = view.text_of("priority")
    if not text:
        return 0
    if not _BYTE(text):
        raise StanzaError(Condition.BAD_REQUEST)
    priority = int(text)
    if not -128 <= priority <= 127:
        raise StanzaError(Condition.BAD_REQUEST)
    return priority
