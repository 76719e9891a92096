"""Rosters and subscriptions of the accounts on this server (RFC 6121 §2, §3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rainbow_xmpp import ids
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.roster import colleagues, subscription, syntax
from rainbow_xmpp.roster.courier import Courier
from rainbow_xmpp.roster.syntax import QUERY, Wish
from rainbow_xmpp.router.iq import Answered, IqRegistry, IqRequest, Target
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.session import Home, Session, SessionTable
from rainbow_xmpp.stanza import presence
from rainbow_xmpp.store.rosters import Rosters
from rainbow_xmpp.store.values import (
    Account,
    Roster,
    RosterChange,
    RosterItem,
    RosterRemoval,
    Subscription,
)
from rainbow_xmpp.xml import Element, View, names, scan_again, stamp

STREAM_FEATURES = f"<ver xmlns='{names.ROSTERVER}'/><sub xmlns='{names.PREAPPROVAL}'/>".encode()
"""Roster versioning (RFC 6121 §2.6) and subscription pre-approval (§3.4)."""

_SEES_US = (Subscription.FROM, Subscription.BOTH)
_WE_SEE = (Subscription.TO, Subscription.BOTH)


class Visibility(Protocol):
    """What presence does when a subscription begins or ends."""

    def show_to(self, home: Home, jid: str) -> None: ...
    def hide_from(self, home: Home, jid: str) -> None: ...
    def probe(self, session: Session, contact: str) -> None: ...


class RosterService:
    """Answers roster requests, walks the subscription states, keeps every `Home` and every device up to date."""

    def __init__(
        self,
        rosters: Rosters,
        sessions: SessionTable,
        pipeline: Pipeline,
        presence: Callable[[], Visibility],
        courier: Courier,
        *,
        max_items: int,
    ) -> None:
        self._courier = courier
        self._rosters = rosters
        self._sessions = sessions
        self._pipeline = pipeline
        self._presence = presence
        self.max_items = max_items
        self._answering: Counter[tuple[str, str]] = Counter()

    def register(self, iqs: IqRegistry) -> None:
        iqs.add("roster", "get", QUERY, self.get, (Target.SELF,))
        iqs.add("roster", "set", QUERY, self.set, (Target.SELF,))
        iqs.add("roster", "get", QUERY, _not_yours, (Target.CONTACT,))
        iqs.add("roster", "set", QUERY, _not_yours, (Target.CONTACT,))

    # -- the roster itself (§2) ------------------------------------------------------------------------

    async def load(self, home: Home) -> None:
        """Fill in whom this account's presence concerns."""
        while not home.is_loaded:
            await self._read(home)

    async def _read(self, home: Home) -> Roster:
        """The roster; the home learns from it unless it was changed while it was read."""
        before = home.roster_changes
        roster = await self._rosters.load(home.account.company.id, home.account.id)
        if not home.is_loaded and home.roster_changes == before:
            self._learn(home, roster)
        return roster

    async def may_see(self, owner: Account, viewer: str) -> bool:
        """The bare JID `viewer` is subscribed to the owner's presence."""
        home = self._sessions.homes.get(viewer)
        if home is not None and home.account.company.id == owner.company.id:
            jid = f"{owner.localpart}@{JID.parse(viewer).domain}"
            if home.is_colleague(jid):
                return True
        roster = await self._rosters.load(owner.company.id, owner.id)
        return any(item.contact == viewer and item.subscription in _SEES_US for item in roster.items)

    def _learn(self, home: Home, roster: Roster) -> None:
        home.subscribers = frozenset(i.contact for i in roster.items if i.subscription in _SEES_US)
        home.contacts = frozenset(i.contact for i in roster.items if i.subscription in _WE_SEE)
        home.requests = tuple(i.request for i in roster.items if i.pending_in and i.request is not None)
        home.is_loaded = True

    async def get(self, request: IqRequest) -> Answered | Element | None:
        """§2.1.3, and what changed since a known version (§2.6). No older than the pushes that went ahead of it."""
        session = request.session
        session.is_interested = True
        self._sessions.watch.changed(session)
        while True:
            before = session.home.roster_changes
            answer = await self._since(session, request.payload.get("ver")) or await self._whole(session)
            if session.home.roster_changes == before:
                return answer

    async def _since(self, session: Session, told: str | None) -> Answered | None:
        """The changes since a version; None when it is not known any more, or not one at all."""
        account, home = session.account, session.home
        known = colleagues.own_version(home, told)
        changes = None if known is None else await self._rosters.since(account.company.id, account.id, known)
        if changes is None:
            return None
        missed = (
            self._push(session, c.contact, None, c.version)
            if isinstance(c, RosterRemoval)
            else self._push(session, c.item.contact, c.item, c.version)
            for c in changes
        )
        return Answered(None, tuple(missed))

    async def _whole(self, session: Session) -> Element:
        home = session.home
        roster = await self._read(home)
        items = colleagues.all_items(home, roster.items)
        return syntax.query(items, colleagues.version_of(home, roster.version))

    def _push(self, session: Session, contact: str, own: RosterItem | None, version: int) -> bytes:
        """A contact as it is now, for one of the owner's devices (§2.1.6)."""
        home = session.home
        seen = colleagues.seen_item(home, contact, own)
        element = syntax.removed(contact) if seen is None else syntax.item(seen)
        return syntax.push(session, element, colleagues.version_of(home, version))

    async def set(self, request: IqRequest) -> None:
        """§2.3 to §2.5: add, change or remove one item."""
        session = request.session
        wish = Wish.of(request.payload)
        if wish.contact == session.bare:
            raise StanzaError(Condition.NOT_ALLOWED)
        if wish.is_removal:
            await self._remove(session, wish.contact)
            return
        await self._check_room(session.account, wish.contact)
        change = await self._rosters.apply(
            session.account.company.id, session.account.id, wish.contact, wish.applied_to
        )
        self._changed(session.home, wish.contact, change)

    async def _remove(self, session: Session, contact: str) -> None:
        account, is_colleague = session.account, session.home.is_colleague(contact)

        def decide(item: RosterItem | None) -> RosterItem | None:
            if item is None or not item.visible:
                # Colleagues are there by themselves; only what the owner calls them can be taken back.
                raise StanzaError(Condition.NOT_ALLOWED if is_colleague else Condition.ITEM_NOT_FOUND)
            removal = subscription.removal(item)
            if letters.are_for(item):
                letters.stanzas += [_spoken(session.bare, contact, kind) for kind in removal.send]
            return removal.item

        async with self._courier.writing(session, contact) as letters:
            change = await self._rosters.apply(account.company.id, account.id, contact, decide)
        assert change.old is not None
        if change.old.subscription in _SEES_US and not is_colleague:
            self._presence().hide_from(session.home, contact)
        self._changed(session.home, contact, change)
        if not letters.stanzas:
            for kind in subscription.removal(change.old).send:  # §2.5.2
                await self._say(session.account, session.bare, contact, kind)

    async def circle_changed(self, home: Home, contacts: Iterable[str]) -> None:
        """Tell an account's devices of these people of its circle: they came, went, or have another name."""
        if not home.interested():
            return
        roster = await self._rosters.load(home.account.company.id, home.account.id)
        own = {item.contact: item for item in roster.items}
        home.roster_changes += 1
        for session in home.interested():
            for contact in contacts:
                session.wire.send(self._push(session, contact, own.get(contact), roster.version))

    async def forget(self, account: Account, bare: str, contact: str) -> None:
        """Take a contact out of an account's roster (`bare` is its address), and ask nobody: it is over."""
        await self.forget_contact(account.company.id, account.id, bare, contact)

    async def forget_contact(self, company_id: str, owner_id: str, bare: str, contact: str) -> None:
        """The same, of whom only the ids are known."""
        change = await self._rosters.apply(company_id, owner_id, contact, lambda item: None)
        home = self._sessions.homes.get(bare)
        if change.old is not None and home is not None:
            self._changed(home, contact, change)

    async def _check_room(self, account: Account, contact: str) -> None:
        """Raise StanzaError when the roster is full and this contact is not in it."""
        if await self._rosters.count(account.company.id, account.id) < self.max_items:
            return
        roster = await self._rosters.load(account.company.id, account.id)
        if all(item.contact != contact for item in roster.items):
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, "the roster is full")

    def _changed(self, home: Home, contact: str, change: RosterChange) -> None:
        """Tell the account's devices and its `Home` what a write did (§2.1.6)."""
        now = change.new
        home.roster_changes += 1
        if home.is_loaded:
            state = now.subscription if now is not None else Subscription.NONE
            home.subscribers = _with(home.subscribers, contact, state in _SEES_US)
            home.contacts = _with(home.contacts, contact, state in _WE_SEE)
            old = change.old.request if change.old is not None else None
            new = now.request if now is not None and now.pending_in else None
            if old != new:
                kept = tuple(request for request in home.requests if request != old)
                home.requests = kept if new is None else (*kept, new)
        if change.seen_by_clients:
            for session in home.interested():
                session.wire.send(self._push(session, contact, now, change.version))
        self._sessions.watch.roster_changed(home.bare)

    def is_answering(self, owner: Account, contact: str) -> bool:
        """The roster says something of this contact that is just being told to the contact, and agreed on by that."""
        return (owner.id, contact) in self._answering

    @contextmanager
    def _answers(self, owner: Account, contact: str) -> Iterator[None]:
        pair = owner.id, contact
        self._answering[pair] += 1
        try:
            yield
        finally:
            self._answering[pair] -= 1
            if not self._answering[pair]:
                del self._answering[pair]

    # -- subscriptions (§3, appendix A) ----------------------------------------------------------------

    def outbound(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        """A subscription stanza from one of our sessions; always between bare JIDs (§3.1.2)."""
        return self._answered(session, view, to.partition("/")[0])

    async def _answered(self, session: Session, view: View, contact: str) -> None:
        with self._answers(session.account, contact):
            await self._outbound(session, view, contact)

    async def _outbound(self, session: Session, view: View, contact: str) -> None:
        account, home = session.account, session.home
        if contact == session.bare:
            return
        kind = view.attrs["type"]
        if home.is_colleague(contact):
            if kind == "subscribe":  # has been granted, as to anybody who is subscribed (§3.1.3)
                session.wire.send(presence(from_=contact, to=session.bare, type_="subscribed"))
            return
        if kind in ("subscribe", "subscribed"):
            await self._check_room(account, contact)
        data = session.in_own_language(view, stamp(view, from_=session.bare, to=contact))
        p = _passage(account, session, view, data, contact)
        await self._pipeline.may_come_in(p)
        decided: list[subscription.Outbound] = []

        def decide(item: RosterItem | None) -> RosterItem | None:
            decided[:] = [subscription.outbound(item, kind, contact)]
            if decided[0].route and letters.are_for(item):
                letters.stanzas[:] = [data]
            return decided[0].item

        async with self._courier.writing(session, contact) as letters:
            change = await self._rosters.apply(account.company.id, account.id, contact, decide)
        saw_us = change.old is not None and change.old.subscription in _SEES_US
        sees_us = change.new is not None and change.new.subscription in _SEES_US
        if saw_us and not sees_us:
            self._presence().hide_from(home, contact)
        self._changed(home, contact, change)
        if decided[0].route and not letters.stanzas:
            await self._route(p)
        if sees_us and not saw_us:
            self._presence().show_to(home, contact)

    async def inbound(self, p: Passage) -> Outcome:
        """A subscription stanza for one of our accounts (§3.1.3, §3.1.6, §3.2.3, §3.3.3)."""
        account, contact = p.recipient, p.sender_jid.partition("/")[0]
        assert account is not None, "the gate lets nothing through to nobody"
        with self._answers(account, contact):
            return await self._inbound(p, account, contact)

    async def _inbound(self, p: Passage, account: Account, contact: str) -> Outcome:
        bare = p.to.partition("/")[0]
        decided: list[subscription.Inbound] = []

        def decide(item: RosterItem | None) -> RosterItem | None:
            decided[:] = [subscription.inbound(item, p.type, contact, p.data)]
            return decided[0].item

        change = await self._rosters.apply(account.company.id, account.id, contact, decide)
        decision = decided[0]
        home = self._sessions.homes.get(bare)
        saw_us = change.old is not None and change.old.subscription in _SEES_US
        sees_us = change.new is not None and change.new.subscription in _SEES_US
        if home is not None:
            if decision.deliver:  # before the roster push (§3.1.6, §3.2.3, §3.3.3)
                for session in home.available() if p.type == "subscribe" else home.interested():
                    session.wire.send(p.data)
            self._changed(home, contact, change)
            if (
                p.sender.abroad and p.type == "subscribed"
            ):  # their presence may have come before this, and was refused
                for session in home.available():
                    self._presence().probe(session, contact)
            if saw_us and not sees_us:
                self._presence().hide_from(home, contact)
        if decision.auto_reply:
            await self._say(account, bare, contact, decision.auto_reply)
            if home is not None and sees_us:
                self._presence().show_to(home, contact)
        return Outcome.DELIVERED if decision.deliver else Outcome.IGNORED

    async def _say(self, account: Account, bare: str, to: str, kind: str) -> None:
        """A subscription stanza of the server's, on behalf of an account."""
        data = _spoken(bare, to, kind)
        await self._route(_passage(account, None, scan_again(data), data, to))

    async def _route(self, p: Passage) -> None:
        pending = self._pipeline.route(p)
        if pending is not None:
            await pending


def _spoken(bare: str, to: str, kind: str) -> bytes:
    """A subscription stanza of the server's."""
    return presence(from_=bare, to=to, type_=kind, stanza_id=ids.new_stream_id())


def _passage(account: Account, session: Session | None, view: View, data: bytes, to: str) -> Passage:
    bare = f"{account.localpart}@{JID.parse(to).domain}" if session is None else session.bare
    return Passage("presence", view.attrs["type"], view, data, bare, account, session, to, None, None, None)


def _not_yours(request: IqRequest) -> None:
    """Somebody else's roster (§2.3.3)."""
    raise StanzaError(Condition.FORBIDDEN)


def _with(people: frozenset[str], who: str, is_in: bool) -> frozenset[str]:
    if (who in people) is is_in:
        return people
    return people | {who} if is_in else people - {who}
