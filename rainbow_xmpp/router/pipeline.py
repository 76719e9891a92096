"""The one path every stanza takes. Want to know why a message went nowhere? Read this file.

    admit → resolve → gate → rewrite → record → place → deliver → observe

Between two sessions of one node this is a chain of plain calls: no queue, no task, no await. Only what really waits
(an account or a fact that is not in memory, a handler that writes) turns the rest of the way into a coroutine, which
the sending session's lane waits for. A message that is kept stops at `record` and goes on in a plain call when its
commit is on the disk; messages of the same session that come behind it go on behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from rainbow_xmpp.errors import Condition, LocalMisuse, PeerViolation, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.router import delivery
from rainbow_xmpp.router.faults import excuse
from rainbow_xmpp.router.hooked import Hooked
from rainbow_xmpp.router.kept import Kept
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.stages import Lacking, Place, Unheard
from rainbow_xmpp.session import Home, Session, SessionTable
from rainbow_xmpp.stanza import error_reply, presence
from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)

DELIVERED = Outcome.DELIVERED

MOST_FETCHES = 16
"""So often a stage may lack something for one stanza; whoever lacks it still is broken."""
FETCH_S = 10.0
"""How long fetching it may take."""


class Absent(StanzaError):
    """The answer for an address that nobody has, and for one that the sender must not know to exist.

    Made anew each time: an exception that is raised again and again keeps the frames of all those times.
    """

    def __init__(self) -> None:
        super().__init__(Condition.SERVICE_UNAVAILABLE)


class Directory(Protocol):
    """Accounts by localpart, from memory where possible."""

    def peek(self, localpart: str) -> Account | None:
        """The account, when it is in memory; KeyError when one has to ask."""

    async def find(self, localpart: str) -> Account | None:
        """The account, or None when there is none."""


class Everywhere(Directory, Protocol):
    """The same where there are other regions."""

    def decoy(self, localpart: str) -> Awaitable[object] | None:
        """What the refusal of somebody with this localpart must wait for, to look as for one who is nowhere."""


class ForAccounts(Protocol):
    """What answers for an account itself: its bare JID, and subscription stanzas."""

    def __call__(self, passage: Passage, /) -> Awaitable[Outcome] | Outcome: ...


class Pipeline(Hooked):
    """Routes passages from sessions of this node to accounts and sessions of this node."""

    def __init__(self, domain: str, sessions: SessionTable, directory: Directory) -> None:
        super().__init__()
        self._domain = domain
        self._sessions = sessions
        self._by_full = sessions.by_full
        self._directory = directory
        self._late: set[asyncio.Future[object]] = set()
        self.account_iq: ForAccounts = _nobody_answers
        """IQs to a bare JID, answered on behalf of the account (RFC 6121 §8.5.2.1.3)."""
        self.subscription: ForAccounts = _nobody_answers
        """Subscription stanzas and probes, handled by the recipient's side (RFC 6121 §3, §4.3)."""
        self.was_lost: Callable[[int, float], Awaitable[bool] | None] = _never_lost
        """Whether what a node kept at a time (Unix seconds) may not have been delivered by it; None: surely it was."""
        self._doubted: dict[Session, list[tuple[Passage, Kept]]] = {}
        """Sessions of which something was kept by a node that may have died, and what was kept behind it."""
        self._abroad: ForAccounts = _nobody_answers
        self._everywhere: Everywhere | None = None

    def reach(self, abroad: ForAccounts, everywhere: Everywhere) -> None:
        """There are other regions: `abroad` takes what is for their people, `everywhere` finds these."""
        self._abroad = abroad
        self._directory = self._everywhere = everywhere

    # -- the way -------------------------------------------------------------------------------------

    def route(self, p: Passage, fetches: int = MOST_FETCHES) -> Awaitable[None] | None:
        """Send a passage on its way; what is returned, if anything, must be awaited by the sender's lane.

        `fetches` is the pipeline's own.
        """
        try:
            for may_enter in self._admit:
                lacking = may_enter(p)
                if lacking is not None:
                    return self._admit_later(p, lacking, fetches - 1)
            if p.target is None and p.recipient is None:
                resolved = self.resolve(p)
                if resolved is None:
                    return self._route_later(p)
                p = resolved
            return self._onward(p)
        except Exception as error:  # around one stanza: everyone else is served on
            self._failed(p, error)
            return None

    def resolve(self, p: Passage) -> Passage | None:
        """Whose address is it? None when the answer is not in memory. Raise StanzaError for foreign addresses."""
        target = self._by_full.get(p.to)
        if target is not None:
            return p._replace(recipient=target.account, home=target.home, target=target)
        to = p.to_jid
        if to.domain != self._domain:
            raise StanzaError(Condition.REMOTE_SERVER_NOT_FOUND, detail="not an address of this server")
        if not to.local:
            raise Absent()
        home = self._sessions.homes.get(p.to if to.is_bare else str(to.bare))
        if home is not None:
            return p._replace(recipient=home.account, home=home)
        try:
            return p._replace(recipient=self._directory.peek(to.local))
        except KeyError:
            return None

    async def _route_later(self, p: Passage) -> None:
        try:
            account = await self._directory.find(p.to_jid.local)
            # The recipient may have logged in while the database was asked.
            home = self._sessions.homes.get(str(p.to_jid.bare))
            pending = self._onward(p._replace(recipient=account, home=home))
            if pending is not None:
                await pending
        except Exception as error:  # around one stanza
            self._failed(p, error)

    async def _admit_later(self, p: Passage, lacking: Awaitable[object], fetches: int) -> None:
        try:
            pending = self.route(await self._fetch(p, lacking, fetches), fetches)
            if pending is not None:
                await pending
        except Exception as error:  # around one stanza
            self._failed(p, error)

    async def _fetch(self, p: Passage, lacking: Awaitable[object], fetches: int) -> Passage:
        """Wait for what a handler lacks; the passage again, whose recipient may have come or gone meanwhile."""
        async with asyncio.timeout(FETCH_S):
            await lacking
        if fetches <= 0:
            raise LocalMisuse("a handler lacks something again and again")
        if p.recipient is None:
            return p
        bare = p.to.partition("/")[0]
        return p._replace(home=self._sessions.homes.get(bare), target=self._by_full.get(p.to))

    async def account_at(self, address: str) -> Account | None:
        """Who has this address of ours; nobody has one of a disabled account."""
        return await self._directory.find(JID.parse(address).local)

    async def may_pass(self, p: Passage) -> None:
        """The gate: raise StanzaError when these two may not speak, or when there is nobody to speak to.

        Any other exception means no as well.
        """
        await self._until_known(p, self._ask_gates)

    async def _until_known(self, p: Passage, ask: Callable[[Passage], Lacking]) -> None:
        for left in range(MOST_FETCHES, 0, -1):
            lacking = ask(p)
            if lacking is None:
                return
            p = await self._fetch(p, lacking, left - 1)

    def lets(self, p: Passage) -> Lacking:
        """`admit` and the gate, for what the server itself sends somebody on an account's behalf."""
        lacking = self._ask_whether_admitted(p)
        return lacking if lacking is not None else self._ask_gates(p)

    async def may_come_in(self, p: Passage) -> None:
        """`admit` alone: what does not depend on whether there is a recipient. Raises StanzaError."""
        await self._until_known(p, self._ask_whether_admitted)

    def _ask_whether_admitted(self, p: Passage) -> Lacking:
        for may_enter in self._admit:
            lacking = may_enter(p)
            if lacking is not None:
                return lacking
        return None

    async def may_send(self, p: Passage) -> None:
        """The same, with what it lacks fetched. Raises whatever means no."""
        await self._until_known(p, self.lets)

    def _ask_gates(self, p: Passage) -> Lacking:
        if p.recipient is None:
            raise Absent()
        for gate in self._gates:
            lacking = gate(p)
            if lacking is not None:
                return lacking
        return None

    def _onward(self, p: Passage, fetches: int = MOST_FETCHES) -> Awaitable[None] | None:
        try:
            lacking = self._ask_gates(p)
        except Exception as error:
            self._stay_closed(p, error)
            return None
        if lacking is not None:
            return self._pass_later(p, lacking, fetches - 1)
        for rewrite in self._rewriters:
            try:
                p = rewrite(p)
            except Exception:
                log.exception("a rewriter failed and was skipped", extra=self._blame(rewrite))
        pending: list[Awaitable[Kept | None]] | None = None
        kept: Kept | None = None
        for record in self._recorders:
            waits = record(p)
            if waits is None:
                continue
            if isinstance(waits, Kept):
                kept = waits
            else:
                pending = [waits] if pending is None else [*pending, waits]
        if pending is not None:
            return self._deliver_later(p, pending, kept)
        if kept is not None:
            return self._when_kept(p, kept)
        return self._deliver_in_turn(p)

    def _when_kept(self, p: Passage, kept: Kept) -> Awaitable[None] | None:
        commit = kept.commit
        assert commit is not None, "a recorder says what it waits for"
        if p.session is not None:
            p.session.unsettled = commit
        commit.after(self._kept, p, kept)
        return None

    def _deliver_in_turn(self, p: Passage) -> Awaitable[None] | None:
        """Deliver now, or behind what the same session sent before (RFC 6120 §10.1)."""
        session = p.session
        if session is not None and session.unsettled is not None:
            if not session.unsettled.is_settled:
                session.unsettled.after(self._go_on, p)
                return None
            session.unsettled = None
        outcome = self._deliver(p)
        if isinstance(outcome, Outcome):
            self._delivered(p, outcome)
            return None
        return self._delivered_later(p, outcome)

    def _kept(self, p: Passage, kept: Kept) -> None:
        """The commit that a message went with is settled."""
        error = None if kept.commit is None else kept.commit.error
        if self._doubted and p.session in self._doubted:
            self._doubted[p.session].append((p, kept))
        elif kept.was_known:  # also in an outage: whoever says it again would be told that it failed
            self._known_before(p, kept)
        elif error is not None:
            self._failed(p, error)
        else:
            self._finish(p.kept_as(kept, *self._who_is_here(p)))

    def _known_before(self, p: Passage, kept: Kept) -> None:
        """It was delivered when it was kept, unless the node that kept it died in between: then it is now."""
        before = kept.kept_before()
        lacking = None if before is None or p.session is None else self.was_lost(*before)
        if lacking is None or p.session is None:
            self._observe(p, Outcome.REPEATED)
        else:
            self._doubted[p.session] = []
            self._beside(self._known_in_doubt(p, kept, p.session, lacking))

    async def _known_in_doubt(
        self, p: Passage, kept: Kept, session: Session, lacking: Awaitable[bool]
    ) -> None:
        """What the same session said behind it waits meanwhile."""
        is_lost = False
        try:
            is_lost = await lacking
        finally:
            behind = self._doubted.pop(session)
            if is_lost:
                kept.as_before()
                self._finish(p.kept_as(kept, *self._who_is_here(p)))
            else:
                self._observe(p, Outcome.REPEATED)
            for passage, other in behind:
                self._kept(passage, other)

    def _go_on(self, p: Passage) -> None:
        """Deliver what waited behind something that was kept."""
        home, target = self._who_is_here(p)
        is_as_before = home is p.home and target is p.target
        self._finish(p if is_as_before else p._replace(home=home, target=target))

    def _who_is_here(self, p: Passage) -> tuple[Home | None, Session | None]:
        """The recipient's sessions, and the one that is addressed: they may have come or gone meanwhile."""
        target = self._by_full.get(p.to)
        if target is not None and target is p.target:
            return p.home, target
        return self._sessions.homes.get(p.to.partition("/")[0]), target

    def _finish(self, p: Passage) -> None:
        """`place` and `deliver` in a plain call; what waits in there goes on in a task."""
        try:
            outcome = self._deliver(p)
        except Exception as error:  # around one stanza
            self._failed(p, error)
            return
        if isinstance(outcome, Outcome):
            self._delivered(p, outcome)
        else:
            self._beside(self._delivered_later(p, outcome))

    def _beside(self, going_on: Awaitable[object]) -> None:
        task = asyncio.ensure_future(going_on)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _pass_later(self, p: Passage, lacking: Awaitable[object], fetches: int) -> None:
        try:
            known = await self._fetch(p, lacking, fetches)
        except Exception as error:
            self._stay_closed(p, error)
            return
        try:
            pending = self._onward(known, fetches)
            if pending is not None:
                await pending
        except Exception as error:  # around one stanza
            self._failed(p, error)

    async def _deliver_later(
        self, p: Passage, pending: list[Awaitable[Kept | None]], kept: Kept | None
    ) -> None:
        try:
            for recording in pending:
                kept = await recording or kept
            going_on = self._deliver_in_turn(p) if kept is None else self._when_kept(p, kept)
            if going_on is not None:
                await going_on
        except Exception as error:  # around one stanza
            self._failed(p, error)

    async def _delivered_later(self, p: Passage, delivering: Awaitable[Outcome]) -> None:
        try:
            self._delivered(p, await delivering)
        except Exception as error:  # around one stanza
            self._failed(p, error)

    def _deliver(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        """`place` and `deliver`: RFC 6121 §8.5."""
        kind = p.kind
        if kind == "presence" and p.type in delivery.FOR_THE_ACCOUNT:
            is_here = p.recipient is None or not p.recipient.abroad
            return self.subscription(p) if is_here else self._abroad(p)
        target = p.target
        if target is not None:  # §8.5.3.1: exactly this resource, whatever the stanza
            target.wire.send(p.data)
            return DELIVERED
        if p.recipient is not None and p.recipient.abroad:
            return self._abroad(p)
        if kind == "iq":
            return self.account_iq(p)
        is_message = kind == "message"
        receivers = delivery.message_receivers(p) if is_message else delivery.presence_receivers(p)
        for session in receivers:
            try:
                session.wire.send(p.data)
            except Exception:  # one connection that is broken costs the others nothing
                log.exception("a stanza could not be handed to one of its receivers")
        if receivers:
            return DELIVERED
        return self._nobody_online(p) if is_message else Outcome.IGNORED

    def _nobody_online(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        verdict = delivery.without_receiver(p)
        if verdict is delivery.Verdict.IGNORE:
            return Outcome.IGNORED
        if verdict is delivery.Verdict.REFUSE:
            raise Absent()
        placers = iter(self._placers)
        for place in placers:
            taken = place(p)
            if taken is True:
                return Outcome.STORED
            if taken is not False:
                return self._placed_later(p, taken, placers)
        raise Absent()

    async def _placed_later(self, p: Passage, placing: Awaitable[bool], others: Iterator[Place]) -> Outcome:
        if await placing:
            return Outcome.STORED
        for place in others:
            taken = place(p)
            if taken is True or (taken is not False and await taken):
                return Outcome.STORED
        raise Absent()

    async def deliver_again(self, p: Passage, *, is_from_server: bool = False) -> None:
        """What had been delivered to a session that is gone, and was not acknowledged by it (XEP-0198 §4).

        It has been rewritten and recorded; only the gate is asked again, in whose refusal nobody is told anything.
        """
        if not is_from_server:
            try:
                await self.may_pass(p)
            except StanzaError:
                return
        try:
            outcome = self._deliver(p)
            self._observe(p, outcome if isinstance(outcome, Outcome) else await outcome)
        except Exception as error:  # around one stanza
            self._failed(p, error)

    # -- the end of the way --------------------------------------------------------------------------

    def observe(self, p: Passage, outcome: Outcome) -> None:
        """What became of something that took another way."""
        self._observe(p, outcome)

    def _delivered(self, p: Passage, outcome: Outcome) -> None:
        if self._deliverers and p.kind == "message" and outcome is not Outcome.IGNORED:
            for copy in self._deliverers:
                try:
                    copy(p, outcome)
                except Exception:
                    log.exception("copies of a message could not be made", extra=self._blame(copy))
        self._observe(p, outcome)

    def _observe(self, p: Passage, outcome: Outcome) -> None:
        for observe in self._observers:
            try:
                observe(p, outcome)
            except Exception:
                log.exception("an observer failed", extra=self._blame(observe))

    def _stay_closed(self, p: Passage, error: Exception) -> None:
        """A gate said no, or failed, which means the same."""
        _take_back(p)
        if isinstance(error, Unheard) and p.kind == "presence":
            self._observe(p, Outcome.REFUSED)
            return
        if not isinstance(error, StanzaError):
            excuse("gate", error)
        self._refuse(p)

    def _refuse(self, p: Passage) -> None:
        """A refusal looks like absence: probes hear "unsubscribed", from the bare JID and under their own id
        (RFC 6121 §4.3.2), other presence and headlines are ignored (§8.5.4, table 1), the rest hears
        "service-unavailable" without a word (§8.5.1)."""
        if self._everywhere is not None and p.session is not None and not p.sender.abroad:
            waiting = self._everywhere.decoy(p.to_jid.local)
            if waiting is not None:
                self._beside(self._refuse_later(p, waiting))
                return
        self.refuse(p)

    async def _refuse_later(self, p: Passage, waiting: Awaitable[object]) -> None:
        try:
            await waiting
        except Exception as error:  # around one stanza
            self._failed(p, error)
        else:
            self.refuse(p)

    def refuse(self, p: Passage) -> None:
        """Answer as for an address that nobody has; the session it came from may be elsewhere by now."""
        if p.kind != "presence":
            if p.type != "headline":
                self.reply(p, Absent())
        elif p.type == "probe" and p.session is not None:
            bare, stanza_id = p.to.partition("/")[0], p.view.attrs.get("id", "")
            p.session.wire.send(
                presence(from_=bare, to=p.sender_jid, type_="unsubscribed", stanza_id=stanza_id)
            )
        self._observe(p, Outcome.REFUSED)

    def _failed(self, p: Passage, error: Exception) -> None:
        if isinstance(error, PeerViolation):
            raise error
        _take_back(p)
        if isinstance(error, Absent):
            self._refuse(p)
        elif isinstance(error, StanzaError):
            self.reply(p, error)
            self._observe(p, Outcome.REFUSED)
        else:
            self.reply(p, excuse(p.kind, error))
            self._observe(p, Outcome.FAILED)

    def reply(self, p: Passage, error: StanzaError) -> None:
        """Send the error to the sending session, where a reply is allowed and somebody is there to read it."""
        data = error_reply(p.view, error, from_=p.to, to=p.sender_jid)
        if data is not None and p.session is not None:
            p.session.wire.send(data)


def _take_back(p: Passage) -> None:
    """Directed presence that reached nobody: nobody is to be told of its end (RFC 6121 §4.6.3)."""
    if p.kind == "presence" and not p.type and p.session is not None and p.session.directed:
        p.session.directed.discard(p.to)


def _never_lost(node: int, at: float) -> None:
    """Of a node that is alone everybody comes anew when it died, and reads what they missed."""


def _nobody_answers(passage: Passage) -> Outcome:
    raise Absent()


def normal_address(text: str) -> str:
    """An address as the pipeline compares it; raise StanzaError when it is none (RFC 6120 §8.3.3.8)."""
    try:
        return str(JID.parse(text))
    except ValueError:
        raise StanzaError(Condition.JID_MALFORMED) from None
