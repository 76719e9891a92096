"""The way of stanzas to people of other regions, and of theirs to people here.

What is to be kept for somebody abroad stands in the outbox, written with the sender's own copy, and is carried until
it is there; all else is passed on at once, or lost. What comes in goes through every stage as here: the gate is asked
where the recipient's record lies, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from rainbow_xmpp.border import Border
from rainbow_xmpp.errors import Condition, ErrorType, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.plugin.keeping import is_worth_keeping
from rainbow_xmpp.regions.asked import AskedLately
from rainbow_xmpp.regions.crossing import crossing_between, notice
from rainbow_xmpp.regions.guests import Guest, Guests, GuestWire
from rainbow_xmpp.regions.homes import Away, Homes
from rainbow_xmpp.regions.judging import Judge, Taken
from rainbow_xmpp.regions.parcels import (
    MOST_PARCEL_BYTES,
    MOST_PARCELS,
    STANZAS,
    Batch,
    Fate,
    Malformed,
    Parcel,
    Receipt,
    Receipts,
    Reply,
    Who,
    as_many_as_fit,
    decode,
    encode,
)
from rainbow_xmpp.regions.passing import Passing
from rainbow_xmpp.router import delivery
from rainbow_xmpp.router.kept import until_settled
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import Absent, Pipeline
from rainbow_xmpp.session import SessionTable, Settling
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.stanza import error_reply
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.outbox import Leaving, Outbox
from rainbow_xmpp.store.values import Account, Crossing
from rainbow_xmpp.xml import View, XmlLimits, names, scan_again

log = logging.getLogger(__name__)

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
    taken: Taken
    """The same, those who are disabled as well."""
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

    receipts: list[Receipt]
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
        self._asked = AskedLately()
        self._judge = Judge(parts.domain, homes, parts.taken, parts.limits)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """What regions keep for here is taken batch by batch, also when one comes again while it is being taken."""

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
        if len(data) > MOST_PARCEL_BYTES:
            raise StanzaError(Condition.POLICY_VIOLATION, "this is too large for another region")
        assert p.recipient is not None, "it is for somebody"
        self._asked.note(p.recipient.region, p.sender_jid, p.to)
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
        if max(len(sent.parcels), len(sent.replies)) > MOST_PARCELS:
            raise Malformed("a batch of too many")
        self.hear(origin, sent.replies)
        if not any(parcel.id for parcel in sent.parcels):
            return await self._take_all(origin, sent.parcels)
        async with self._turns[origin]:
            return await self._take_all(origin, sent.parcels)

    async def _take_all(self, origin: str, parcels: Sequence[Parcel]) -> bytes:
        batch = _Taking([], [], [], [], set())
        try:
            await self._take_each(origin, parcels, batch)
        except TryAgain:
            with suppress(Exception):  # what does not come to be known is handled once more
                await self._parts.outbox.arrived(origin, batch.arrived)
            return encode(Receipts([Receipt(Fate.LATER) for _ in parcels], []))
        finally:
            for wire in batch.wires:
                wire.replies = None
        return encode(Receipts(batch.receipts, self._as_much_as_fits(origin, batch.replies)))

    async def _take_each(self, origin: str, parcels: Sequence[Parcel], batch: _Taking) -> None:
        known = await self._parts.outbox.known(origin, [parcel.id for parcel in parcels if parcel.id])
        for parcel in parcels:
            if parcel.id in known:
                batch.receipts.append(Receipt(Fate.TAKEN))
                continue
            batch.receipts.append(await self._take_safely(origin, parcel, batch))
            if parcel.id:
                known.add(parcel.id)
        await _all_settled(batch.commits)
        if known and any(_is_for_later(reply.stanza) for reply in batch.replies):
            raise TryAgain
        await self._parts.outbox.arrived(origin, batch.arrived)

    async def _take_safely(self, origin: str, parcel: Parcel, batch: _Taking) -> Receipt:
        """What fails costs the others nothing: it would fail again."""
        try:
            return await self._take_one(origin, parcel, batch)
        except TryAgain:
            raise
        except Exception as error:
            if is_outage(error):
                raise TryAgain from error
            log.exception("something of the region %s could not be taken", origin)
            return Receipt(Fate.TAKEN)

    def _as_much_as_fits(self, origin: str, replies: list[Reply]) -> list[Reply]:
        """Of what senders are to be told at once; the others hear it a moment later."""
        fitting = as_many_as_fit(len(reply.stanza) for reply in replies)
        for reply in replies[fitting:]:
            self.passing.answer(origin, reply)
        return replies[:fitting]

    async def _take_one(self, origin: str, parcel: Parcel, batch: _Taking) -> Receipt:
        view = self._judge.stanza(origin, parcel)
        if view is None:
            return Receipt(Fate.TAKEN)
        try:
            sender = await self._judge.sender(origin, parcel)
        except Away as error:  # whose they are, cannot be found out
            return self._turn_away(parcel, view, error, batch)
        if sender is None:
            return self._turn_away(parcel, view, Absent(), batch)
        to = JID.parse(parcel.to)
        recipient = await self._parts.here.find(to.local) if to.domain == self._parts.domain else None
        if recipient is None:
            moved = await self._parts.gone_to(to.local)
            if moved:
                return Receipt(Fate.MOVED, moved)
        if view.ns != names.CLIENT:
            if recipient is not None:
                await self._parts.agreed(sender, recipient, view)
            return Receipt(Fate.TAKEN)
        guest, wire = self._guests.guest(sender, parcel.sender_jid, is_kept=bool(parcel.id))
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

    def _turn_away(self, parcel: Parcel, view: View, error: StanzaError, batch: _Taking) -> Receipt:
        data = (
            None
            if view.ns != names.CLIENT
            else error_reply(view, error, from_=parcel.to, to=parcel.sender_jid)
        )
        if data is not None and view.name != "presence":
            batch.replies.append(Reply(parcel.sender_jid, data))
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

    async def taken(self, origin: str, replies: Sequence[Reply], sent: Sequence[Parcel]) -> None:
        """What a region answers to a batch that was sent to it."""
        for parcel in sent:
            self._asked.note(origin, parcel.sender_jid, parcel.to)
        self.hear(origin, replies)

    def hear(self, origin: str, replies: Sequence[Reply]) -> None:
        """What a region answers to sessions here; from people whom they said something to, there."""
        for reply in replies:
            session = self._parts.sessions.by_full.get(reply.to)
            view = self._judge.view(origin, reply.stanza)
            if session is None or view is None or view.ns != names.CLIENT:
                continue
            sender = _normal_bare(view.attrs.get("from", ""))
            if view.attrs.get("to") != session.full or not self._asked.may_answer(
                origin, session.full, sender
            ):
                log.warning("the region %s answered what it was not asked", origin)
            elif _answers(view, sender, session.home.contacts, session.directed):
                session.wire.send(reply.stanza)


def _normal_bare(address: str) -> str:
    try:
        return str(JID.parse(address).bare)
    except ValueError:
        return ""


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
