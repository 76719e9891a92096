"""Everybody's log of messages: the one source of history, of what waits for a device, and of what was said before.

A message is given its number here, goes into the logs of both sides, and is delivered when it is on the disk; see
docs/decisions/0021-delivered-when-committed.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from rainbow_xmpp.plugin import (
    Account,
    AccountRemoved,
    BecameAvailable,
    Kept,
    Outcome,
    Passage,
    Plugin,
    Services,
    SessionEnded,
    SessionRestored,
    Stage,
    ToldByNode,
    View,
    hook,
    marks_of,
    on,
)
from rainbow_xmpp.plugin import Mark as PluginMark
from rainbow_xmpp.plugin.keeping import is_worth_keeping
from rainbow_xmpp.plugins.archive.answers import Answers
from rainbow_xmpp.plugins.archive.behind import Behind
from rainbow_xmpp.plugins.archive.entries import Entry, Mark, write_postgresql, write_sqlite
from rainbow_xmpp.plugins.archive.hand_over import HAND_OVER_S, TOPIC, HandOver
from rainbow_xmpp.plugins.archive.keeping import Keeping
from rainbow_xmpp.plugins.archive.log import Log
from rainbow_xmpp.plugins.archive.numbers import Numbers, origin_of, peer_of
from rainbow_xmpp.plugins.archive.options import ArchiveOptions
from rainbow_xmpp.plugins.archive.owners import Owner, Owners
from rainbow_xmpp.plugins.archive.preferences import Preferences
from rainbow_xmpp.plugins.archive.retractions import Retractions
from rainbow_xmpp.plugins.archive.tail import Tail
from rainbow_xmpp.regions.guests import Guest, take_arrival
from rainbow_xmpp.router import delivery
from rainbow_xmpp.store.group_commit import GroupCommit
from rainbow_xmpp.store.outbox import Arrived
from rainbow_xmpp.xml import hint_of, names

_ORIGIN = hint_of("origin-id")
_RETRACT = hint_of("retract")
_TALK = frozenset(("chat", "normal"))
_RETRACTIONS = (names.RETRACT, names.RETRACT + "#tombstone")


class Archive(
    Plugin,
    name="archive",
    implements={
        "XEP-0059": "1.0, pages by ids, not by an index",
        "XEP-0297": "1.0",
        "XEP-0313": "1.1.3, archives of people",
        "XEP-0359": "0.7.0",
        "XEP-0424": "0.4.2, with tombstones, between two people",
        "XEP-0431": "0.2.0",
        "XEP-0441": "0.2.0",
    },
    features=(names.STANZA_ID, *_RETRACTIONS),
    account_features=(names.MAM, names.MAM_EXTENDED, *_RETRACTIONS),
):
    """Keeps what people say to each other, once, in the order in which it was said."""

    Options = ArchiveOptions
    options: ArchiveOptions

    def __init__(self, services: Services, options: ArchiveOptions) -> None:
        super().__init__(services, options)
        self._owners = Owners(services.store, services.domain)
        self._log = Log(services.store)
        self._numbers = Numbers(services.now, services.node)
        tail = Tail()
        self._commits: GroupCommit[Entry | Mark] = services.store.group_commit(
            write_sqlite, write_postgresql, upkeep=tail, given_up=self._log.find_earlier
        )
        self._hand_over = HandOver(services, self._owners, self._log, self._commits)
        self.keeping = Keeping(services, lambda: self.options, tail)
        self.retractions = Retractions(services)
        answers = Answers(services, self._owners, lambda: self.options)
        self._parts = (answers, Preferences(self._owners), self.keeping, self.retractions)

    def marks(self) -> Iterator[tuple[PluginMark, Callable[..., Any]]]:
        """Its own, and those of whatever reads and keeps the logs."""
        yield from super().marks()
        for part in self._parts:
            yield from marks_of(part)

    async def start(self) -> None:
        last = await self._log.last_number()
        self._numbers = Numbers(self.services.now, self.services.node, last)
        self.retractions.look()

    async def stop(self) -> None:
        await self._commits.close()
        await self._log.close()
        await self._owners.close()

    # -- on the way of a message ---------------------------------------------------------------------------

    @hook(Stage.RECORD)
    def keep(self, p: Passage) -> Awaitable[Kept | None] | Kept | None:
        """Into the logs of both sides; it goes on when it is on the disk."""
        sender, recipient = p.sender, p.recipient
        if p.kind != "message" or p.type not in _TALK or recipient is None:
            return None
        if not is_worth_keeping(p.view, for_good=True):
            return None
        has_taker = recipient.abroad or p.target is not None or bool(delivery.message_receivers(p))
        if not has_taker and delivery.without_receiver(p) is not delivery.Verdict.KEEP:
            return None
        from_log = None if sender.abroad else self._owners.peek(sender)
        to_log = None if recipient.abroad else self._owners.peek(recipient)
        if (from_log is None and not sender.abroad) or (to_log is None and not recipient.abroad):
            return self._keep_later(p, recipient)
        is_sent = from_log is not None and (from_log.wants_all or from_log.wants(p.to))
        is_received = to_log is not None and (to_log.wants_all or to_log.wants(p.sender_jid))
        if is_sent is None or is_received is None:
            return self._keep_later(p, recipient)
        return self._kept(p, from_log, to_log, is_sent, is_received, not has_taker)

    async def _keep_later(self, p: Passage, recipient: Account) -> Kept | None:
        from_log = None if p.sender.abroad else await self._owners.find(p.sender)
        to_log = None if recipient.abroad else await self._owners.find(recipient)
        if (from_log is None and not p.sender.abroad) or (to_log is None and not recipient.abroad):
            return None  # removed just now
        is_sent = from_log is not None and await self._wants(from_log, p.sender, p.to)
        is_received = to_log is not None and await self._wants(to_log, recipient, p.sender_jid)
        home = self.services.sessions.homes.get(p.to.partition("/")[0])
        p = p._replace(home=home, target=self.services.sessions.by_full.get(p.to))
        waits = not recipient.abroad and p.target is None and not delivery.message_receivers(p)
        return self._kept(p, from_log, to_log, is_sent, is_received, waits)

    async def _wants(self, log: Owner, owner: Account, peer: str) -> bool:
        wants = log.wants(peer)
        return await self._is_in_roster(owner, peer) if wants is None else wants

    async def _is_in_roster(self, owner: Account, peer: str) -> bool:
        bare = peer.partition("/")[0]
        home = self.services.sessions.homes.get(self.services.bare_jid(owner))
        if home is not None and home.is_loaded and (bare in home.contacts or home.is_seen_by(bare)):
            return True
        roster = await self.services.store.rosters.load(owner.company.id, owner.id)
        return any(item.contact == bare for item in roster.visible)

    def _kept(
        self,
        p: Passage,
        from_log: Owner | None,
        to_log: Owner | None,
        is_sent: bool,
        is_received: bool,
        waits: bool,
    ) -> Kept | None:
        """A log is None where that side lives in another region, which keeps it there."""
        number, stanza, hints = self._numbers.next(), p.data, p.view.hints
        account = 0 if from_log is None else from_log.number
        entry = Entry(
            number,
            to_log.marked(stanza, number) if is_received and to_log is not None else stanza,
            stanza,
            account,
            from_log if is_sent and (to_log is None or account != to_log.number) else None,
            to_log if is_received else None,
            _peer(p.sender_jid) if from_log is None else from_log.peer,
            _peer(p.to) if to_log is None else to_log.peer,
        )
        if to_log is None:
            entry.leaving = self.services.leaving(p)
            entry.leaves = entry.leaving is not None
        if hints & _ORIGIN and from_log is not None:
            _note_origin(entry, p.view)
        if not (is_sent or is_received or entry.origin or entry.leaves):
            return None
        if isinstance(p.session, Guest) and (arrival := take_arrival(p.session)) is not None:
            entry.arrived = Arrived(*arrival, number, int(self.services.now()))
        entry.commit = self._commits.add(entry, len(stanza))
        if (
            hints & _RETRACT and b"retract" in stanza
        ):  # `request`, which most messages have, has the same hint
            self.retractions.expect(entry, p)
        if waits and is_received:
            entry.waits = True
            self._hand_over.expect(entry)
        return entry

    @hook(Stage.PLACE, before=("offline",))
    def place(self, p: Passage) -> bool:
        """It stands in the recipient's log and waits there."""
        entry = p.kept
        if entry is None and p.recipient is not None:
            return self._put_back(p, p.recipient)
        if not isinstance(entry, Entry) or entry.recipient is None:
            return False
        self._hand_over.left_waiting(entry, p.to)
        return True

    def _put_back(self, p: Passage, recipient: Account) -> bool:
        """A message that a device got and did not acknowledge (XEP-0198 §4): it is in the log, and waits again."""
        owner = self._owners.peek(recipient)
        number = 0 if owner is None else owner.number_in(p.data)
        if owner is None or not number:
            return False
        self._hand_over.waits_again(owner, number, p.to.partition("/")[0])
        return True

    @hook(Stage.DELIVER)
    def delivered(self, p: Passage, outcome: Outcome) -> None:
        """Somebody came while it was being kept: nothing waits."""
        entry = p.kept
        if isinstance(entry, Entry) and entry.waits and outcome is Outcome.DELIVERED:
            self._hand_over.taken(entry)

    # -- what waits ------------------------------------------------------------------------------------------

    @on(ToldByNode, deadline_s=HAND_OVER_S)
    def told(self, event: ToldByNode) -> Awaitable[None] | None:
        """Another node kept a message for somebody who was not there, and may be here since."""
        return self._hand_over.told(event.data) if event.topic == TOPIC else None

    @on(SessionRestored, deadline_s=HAND_OVER_S)
    def welcome_back(self, event: SessionRestored) -> Awaitable[None] | None:
        """A session goes on here, after a restart or from another node: what came in between waits."""
        return self._hand_over.told(event.session.bare)

    @on(BecameAvailable, deadline_s=HAND_OVER_S)
    def welcome(self, event: BecameAvailable) -> Awaitable[None]:
        """Hand over what waits, before anything newer, and before anything the client asks for next."""
        event.session.wire = behind = Behind(event.session)
        return self._hand_over.all_to(event.session, behind)

    @on(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        """Nothing is expected of it any more."""
        self._hand_over.ended(event.session)

    @on(AccountRemoved)
    def forget(self, event: AccountRemoved) -> None:
        """Its log goes with it."""
        self._owners.forget(event.account_id)


def _peer(jid: str) -> int:
    return peer_of(jid.partition("/")[0])


def _note_origin(entry: Entry, view: View) -> None:
    child = view.child("origin-id", names.STANZA_ID)
    if child is not None:
        entry.origin_id = view.child_element(child).get("id", "")
        if entry.origin_id:
            entry.origin = origin_of(entry.account, entry.peer, entry.origin_id)
