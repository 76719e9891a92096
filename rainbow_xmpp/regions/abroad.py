"""The way of stanzas to people of other regions, and of theirs to people here.

What is to be kept for somebody abroad stands in the outbox, written with the sender's own copy, and is carried until
it is there; all else is passed on at once, or lost. What comes in goes through every stage as here: the gate is asked
where the recipient's record lies, too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from rainbow_xmpp.border import Border
from rainbow_xmpp.errors import Condition, ErrorType, PeerViolation
from rainbow_xmpp.jid import JID
from rainbow_xmpp.plugin.keeping import is_worth_keeping
from rainbow_xmpp.regions import agreeing
from rainbow_xmpp.regions.crossing import crossing_between, notice
from rainbow_xmpp.regions.guests import Guest, Guests, GuestWire
from rainbow_xmpp.regions.homes import Away, Homes
from rainbow_xmpp.regions.parcels import (
    STANZAS,
    Batch,
    Fate,
    Parcel,
    Receipt,
    Receipts,
    Reply,
    Who,
    decode,
    encode,
)
from rainbow_xmpp.regions.passing import Passing
from rainbow_xmpp.router import delivery
from rainbow_xmpp.router.kept import until_settled
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.session import SessionTable, Settling
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.stanza import error_reply
from rainbow_xmpp.store.outbox import Leaving, Outbox
from rainbow_xmpp.store.values import Account, Crossing
from rainbow_xmpp.xml import View, XmlLimits, names, scan, scan_again

log = logging.getLogger(__name__)

_KINDS = frozenset(("message", "presence", "iq"))
_REPLIES = frozenset(("", "unavailable", "unsubscribed", "subscribed", "error"))
"""Types of presence that may answer a session."""


class TryAgain(Exception):
    """The database takes nothing at the moment: the whole batch is to come again."""


class Parts(NamedTuple):
    """What of a node this touches."""

    domain: str
    sessions: SessionTable
    pipeline: Pipeline
    here: AccountDirectory
    """The accounts of this region."""
    put: Callable[[Leaving], Awaitable[None]]
    """Writes down what nothing else is written with."""
    leaves: Callable[[str, str], None]
    """One more leaves for a region (region, company of its sender). Raises StanzaError when too much waits."""
    poke: Callable[[str], None]
    """Something for a region is on the disk."""
    outbox: Outbox
    agreed: Callable[[Account, Account, View], Awaitable[None]]
    """Takes what a sender abroad agreed on with somebody here, beside all stanzas."""
    gone_to: Callable[[str], Awaitable[str]]
    """The region that somebody of here (by localpart) moved to; "" for nobody."""
    limits: Callable[[], XmlLimits]
    now: Callable[[], float]


class _Taking(NamedTuple):
    """What comes of a batch while it is taken."""

    replies: list[Reply]
    commits: list[Settling]
    arrived: list[int]
    """Parcels of which nothing was written down that tells that they came."""
    wires: set[GuestWire]


class Abroad:
    """What the pipeline asks for recipients of other regions, and the service that takes what these send."""

    def __init__(
        self, border: Border, homes: Homes, passing: Callable[[Abroad], Passing], parts: Parts
    ) -> None:
        self._border = border
        self._homes = homes
        self._parts = parts
        self.passing = passing(self)
        self._guests = Guests(self.passing.answer)

    async def start(self) -> None:
        """Take what other regions send from now on."""
        await self._border.serve(STANZAS, self._take)

    # -- to other regions ------------------------------------------------------------------------------

    def leaving(self, p: Passage) -> Leaving | None:
        """What is to be written down for a message to somebody abroad; None when nothing of it crosses."""
        data = _what_crosses(p)
        return None if data is None else self._leaving(p, data)

    def _leaving(self, p: Passage, data: bytes) -> Leaving:
        assert p.recipient is not None, "it is for somebody"
        self._parts.leaves(p.recipient.region, p.sender.company.id)
        now = int(self._parts.now())
        return Leaving(p.sender.id, p.recipient.region, encode(self._parcel(p, data)), now)

    def deliver(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        """The `deliver` stage for somebody abroad."""
        assert p.recipient is not None, "it is for somebody"
        region = p.recipient.region
        if p.kept is not None and p.kept.leaves:
            self._parts.poke(region)
            return Outcome.STORED
        data = _what_crosses(p)
        if data is None:
            return Outcome.IGNORED
        if _is_to_be_kept(p):
            return self._put(self._leaving(p, data), region)
        asks = p.kind == "iq" and p.type in ("get", "set")
        is_said = p.kind == "message" and p.type in ("chat", "normal") and p.view.has("body")
        self.passing.send(region, self._parcel(p, data), (lambda: self._lost(p)) if asks or is_said else None)
        return Outcome.DELIVERED

    async def _put(self, leaving: Leaving, region: str) -> Outcome:
        await self._parts.put(leaving)
        self._parts.poke(region)
        return Outcome.STORED

    def _lost(self, p: Passage) -> None:
        assert p.recipient is not None, "it was for somebody"
        self._parts.pipeline.reply(p, Away(p.recipient.region))

    def _parcel(self, p: Passage, data: bytes) -> Parcel:
        at_ms = int(self._parts.now() * 1000)
        return Parcel(0, p.sender_jid, Who.of(p.sender), p.to, data, at_ms)

    def undelivered(self, parcel: Parcel) -> None:
        """It was given up: its sender hears of it, where that session still is, or else every one of theirs."""
        view = scan_again(parcel.stanza)
        data = error_reply(view, Away(""), from_=parcel.to, to=parcel.sender_jid)
        if data is None or view.name != "message":
            return
        session = self._parts.sessions.by_full.get(parcel.sender_jid)
        home = self._parts.sessions.homes.get(parcel.sender_jid.partition("/")[0])
        for each in (session,) if session is not None else home.with_priority() if home is not None else ():
            each.wire.send(data)

    # -- from other regions ----------------------------------------------------------------------------

    async def _take(self, origin: str, request: bytes) -> bytes:
        """A batch: everything of it is settled when it is answered, or else all of it is to come again."""
        sent = decode(request, Batch)
        await self.hear(origin, sent.replies)
        kept = [parcel.id for parcel in sent.parcels if parcel.id]
        known = await self._parts.outbox.known(origin, kept)
        batch = _Taking([], [], [], set())
        receipts: list[Receipt] = []
        try:
            for parcel in sent.parcels:
                is_known = parcel.id in known
                receipts.append(
                    Receipt(Fate.TAKEN) if is_known else await self._take_one(origin, parcel, batch)
                )
            await _all_settled(batch.commits)
            if kept and any(_is_for_later(reply.stanza) for reply in batch.replies):
                raise TryAgain
            await self._parts.outbox.arrived(origin, batch.arrived)
        except TryAgain:
            return encode(Receipts([Receipt(Fate.LATER) for _ in sent.parcels], []))
        finally:
            for wire in batch.wires:
                wire.replies = None
        return encode(Receipts(receipts, batch.replies))

    async def _take_one(self, origin: str, parcel: Parcel, batch: _Taking) -> Receipt:
        sender = await self._sender(origin, parcel)
        view = self._view(origin, parcel.stanza)
        if sender is None or view is None:
            return Receipt(Fate.TAKEN)
        to = JID.parse(parcel.to)
        recipient = await self._parts.here.find(to.local)
        if recipient is None:
            moved = await self._parts.gone_to(to.local)
            if moved:
                return Receipt(Fate.MOVED, moved)
        if view.ns != names.CLIENT:
            if recipient is not None:
                await self._parts.agreed(sender, recipient, view)
            return Receipt(Fate.TAKEN)
        guest, wire = self._guests.guest(sender, parcel.sender_jid)
        wire.replies = batch.replies
        batch.wires.add(wire)
        guest.arrival = (origin, parcel.id) if parcel.id else None
        said = len(batch.replies)
        p = self._passage(parcel, view, sender, guest, recipient)
        if recipient is None:
            self._parts.pipeline.refuse(p)
        elif (pending := self._parts.pipeline.route(p)) is not None:
            await pending
        if parcel.id and any(_is_for_later(reply.stanza) for reply in batch.replies[said:]):
            del batch.replies[
                said:
            ]  # what comes behind it for the same person fares alike: nothing is overtaken
            return Receipt(Fate.LATER)
        if guest.unsettled is not None:
            batch.commits.append(guest.unsettled)
        if guest.arrival is not None and len(batch.replies) == said:
            batch.arrived.append(parcel.id)  # nothing has been written that says so
        return Receipt(Fate.TAKEN)

    def _passage(
        self, parcel: Parcel, view: View, sender: Account, guest: Guest, recipient: Account | None
    ) -> Passage:
        sessions, bare = self._parts.sessions, parcel.to.partition("/")[0]
        return Passage(
            view.name,
            view.attrs.get("type", "normal" if view.name == "message" else ""),
            view,
            parcel.stanza,
            parcel.sender_jid,
            sender,
            guest,
            parcel.to,
            recipient,
            sessions.homes.get(bare),
            sessions.by_full.get(parcel.to),
        )

    async def _sender(self, origin: str, parcel: Parcel) -> Account | None:
        """Whoever is said to have sent it, if that can be: somebody of that region, and nobody of this one."""
        sender = self._homes.account_of(parcel.sender, origin)
        bare = parcel.sender_jid.partition("/")[0]
        is_theirs = bare == f"{parcel.sender.localpart}@{self._parts.domain}"
        if sender is None or not is_theirs or await self._parts.here.find(sender.localpart) is not None:
            log.warning("the region %s sent something in the name of somebody who is not of it", origin)
            return None
        self._homes.learn(sender)
        return sender

    def _view(self, origin: str, stanza: bytes) -> View | None:
        try:
            view = scan(stanza, limits=self._parts.limits())
        except PeerViolation:
            log.warning("the region %s sent something that is no stanza", origin)
            return None
        is_known = view.ns == names.CLIENT and view.name in _KINDS
        return view if is_known or (view.ns, view.name) == (agreeing.NAMESPACE, agreeing.NAME) else None

    async def hear(self, origin: str, replies: Sequence[Reply]) -> None:
        """What a region answers to sessions here."""
        for reply in replies:
            session = self._parts.sessions.by_full.get(reply.to)
            view = self._view(origin, reply.stanza)
            if session is None or view is None or view.ns != names.CLIENT:
                continue
            sender = view.attrs.get("from", "").partition("/")[0]
            localpart, _, domain = sender.partition("@")
            if domain != self._parts.domain or await self._parts.here.find(localpart) is not None:
                log.warning("the region %s answered in the name of somebody who is not of it", origin)
            elif _answers(view, sender, session.home.contacts, session.directed):
                session.wire.send(reply.stanza)


def _what_crosses(p: Passage) -> bytes | None:
    assert p.recipient is not None, "it is for somebody"
    if p.kind == "message" and crossing_between(p.sender, p.recipient) is Crossing.NOTIFY:
        return notice(scan_again(p.data), p.sender.region)
    return p.data


def _is_to_be_kept(p: Passage) -> bool:
    if p.kind == "presence":
        return p.type in delivery.FOR_THE_ACCOUNT and p.type != "probe"
    return p.kind == "message" and p.type in ("chat", "normal") and is_worth_keeping(p.view)


def _answers(view: View, sender: str, contacts: frozenset[str], directed: set[str] | None) -> bool:
    """This may come back to a session: an answer, an error, or the presence of somebody it may have asked for it."""
    type_ = view.attrs.get("type", "")
    match view.name:
        case "iq":
            return type_ in ("result", "error")
        case "message":
            return type_ == "error"
        case "presence":
            is_shown = sender in contacts or any(to.partition("/")[0] == sender for to in directed or ())
            return type_ in _REPLIES and (is_shown or type_ not in ("", "subscribed"))
    return False


def _is_for_later(reply: bytes) -> bool:
    """An error that the database makes, and that passes."""
    view = scan_again(reply)
    if view.name != "message" or view.attrs.get("type") != "error":
        return False
    error = view.element().find(f"{{{names.CLIENT}}}error")
    if error is None or error.get("type") != ErrorType.WAIT:
        return False
    return any(error.find(f"{{{names.STANZAS}}}{c}") is not None for c in _OF_THE_DATABASE)


_OF_THE_DATABASE = (Condition.RESOURCE_CONSTRAINT, Condition.INTERNAL_SERVER_ERROR)


async def _all_settled(commits: Sequence[Settling]) -> None:
    for commit in commits:
        if not commit.is_settled:
            await until_settled(commit)
        if getattr(commit, "error", None) is not None:
            raise TryAgain
