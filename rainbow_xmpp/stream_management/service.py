"""Who may be resumed, for how long, and what it may cost (XEP-0198)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from rainbow_xmpp import ids
from rainbow_xmpp.config import StreamManagementConfig
from rainbow_xmpp.errors import Condition, PeerViolation, StreamCondition
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.router.nonzas import Nonzas
from rainbow_xmpp.session import Session
from rainbow_xmpp.session.inline import (
    BindFeature,
    Enable,
    InlineFeature,
    InlineRegistry,
    Newcomer,
)
from rainbow_xmpp.session.layer import Nowhere
from rainbow_xmpp.stream_management import elements
from rainbow_xmpp.stream_management.elements import HandledTooMany, failed
from rainbow_xmpp.stream_management.managed import Managed
from rainbow_xmpp.stream_management.resumption import Resumption
from rainbow_xmpp.xml import Element, View, names

log = logging.getLogger(__name__)

OWNER = "stream_management"
_SESSION_BYTES = 2048
"""What a session without a connection takes beside what waits for it."""


class StreamManagement:
    """Everything of a node's sessions that enabled it."""

    def __init__(
        self,
        settings: StreamManagementConfig,
        answer_s: int,
        counters: Counters,
        now: Callable[[], float],
        end: Callable[[Session], None],
        lost: Callable[[Session], None],
        regained: Callable[[Session], None],
        region: str = "",
    ) -> None:
        """`end` ends a session that has no connection; `lost` and `regained` are told when one loses its connection and
        stays, and when it is resumed. `answer_s`: so long a silent peer may owe an answer. `region` is named by the ids
        that sessions are resumed by; "" where there is one only."""
        self.settings = settings
        self.answer_s = answer_s
        self.owing: list[Managed] = []
        """Those to whom something was sent that they were not asked about."""
        self.now_s = int(now())
        """Unix time, of the last tick."""
        self._now = now
        self._end = end
        self._lost = lost
        self._counters = counters
        self._region = region
        self._by_id: dict[str, Managed] = {}
        self.resumption = Resumption(self, counters, regained)
        self.find = self.resumption.find
        """What `<resume/>` asks for; see `Resumption.find`."""
        self._adrift: dict[Managed, None] = {}
        self._bytes_adrift = 0
        self._asked: dict[Managed, None] = {}
        self._second = 0
        self._wheel: dict[int, list[str]] = {}
        """Who may have been away for long enough by which second."""

    def register(self, nonzas: Nonzas, inline: InlineRegistry) -> None:
        """Take the elements of bound sessions, and what comes together with logins (XEP-0198 §9)."""
        nonzas.met = _uncount
        for name, take in (
            ("enable", self._enable_late),
            ("resume", _refuse_late),
            ("r", _answer),
            ("a", self._acknowledged),
        ):
            nonzas.add(OWNER, names.SM, name, take)
        inline.add(
            OWNER,
            InlineFeature(f"{{{names.SM}}}resume", lambda bindings: elements.FEATURE, self.resumption.grant),
        )
        enable = frozenset((f"{{{names.SM}}}enable",))
        inline.add_to_binding(OWNER, BindFeature(enable, names.SM, self._prepare))

    # -- enabling (§3) ---------------------------------------------------------------------------------

    def _enable_late(self, session: Session, view: View) -> None:
        if Managed.of(session) is not None:
            # As §3 shows it. Ending the stream as well would punish clients that ask for it wherever they can.
            session.link.send(failed(Condition.UNEXPECTED_REQUEST))
            return
        session.link.send(self.enable(session, view.attrs))

    def enable(self, session: Session, attrs: Mapping[str, str]) -> bytes:
        """Count what is sent from now on; the answer, which comes before any of it."""
        wanted_s, most_s = elements.read_count(attrs.get("max")), self.settings.resume_s
        max_s = min(wanted_s or most_s, most_s)
        resume_id = self._new_id() if max_s and elements.wants_resumption(attrs) else ""
        managed = Managed(self, session, session.link, session.handler, resume_id, max_s)
        session.put_lowest(managed, managed.handle)
        if resume_id:
            self._by_id[resume_id] = managed
        return elements.enabled(resume_id, max_s, self.settings.location)

    def _new_id(self) -> str:
        return f"{self._region}.{ids.new_resume_id()}" if self._region else ids.new_resume_id()

    def is_of_another_region(self, resume_id: str) -> bool:
        """A session with this id is not here, nor on another node of this region."""
        region, dot, _ = resume_id.partition(".")
        return bool(dot and self._region) and region != self._region

    async def _prepare(self, newcomer: Newcomer, requests: Sequence[Element]) -> Enable | None:
        if not requests:
            return None
        return lambda session: self.enable(session, requests[0].attrib)

    # -- acknowledgements (§4) -------------------------------------------------------------------------

    def _acknowledged(self, session: Session, view: View) -> None:
        managed, h = _managed(session), elements.read_count(view.attrs.get("h"))
        if h is None:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="<a/> without a count")
        self._asked.pop(managed, None)
        managed.asked_at = None
        queue = managed.queue
        count = queue.newly(h)
        if count is None:
            return  # an older one, which says nothing new
        if count > len(queue):
            raise HandledTooMany(h, queue.sent % elements.WRAP)
        managed.got(count)

    def of_id(self, resume_id: str) -> Managed | None:
        """Who was given this id, with a connection or without."""
        return self._by_id.get(resume_id)

    def asked(self, managed: Managed) -> None:
        """The peer owes an answer from now on."""
        managed.asked_at, managed.heard = self._second, managed.session.last_heard
        self._asked[managed] = None

    def sent(self, managed: Managed, size: int) -> None:
        """A stanza of this size joined a queue."""
        settings, queue = self.settings, managed.queue
        if managed.ends_at is not None:
            self._bytes_adrift += size
            if self._bytes_adrift > settings.kept_bytes:
                self._make_room(0)
        elif managed.asked_at is None and (
            managed.unasked >= settings.ask_after_stanzas or managed.unasked_bytes >= settings.ask_after_bytes
        ):
            managed.ask()
        if queue.bytes > settings.queue_bytes or len(queue) > settings.queue_stanzas:
            self._overflowed(managed)

    def _overflowed(self, managed: Managed) -> None:
        if not managed.is_over:
            self._counters.limit_unacknowledged += 1
            log.info(
                "a peer that acknowledges nothing was given up",
                extra={"stream": managed.number, "account": managed.session.account.id},
            )
            managed.fail(PeerViolation(StreamCondition.RESOURCE_CONSTRAINT, "too much is not acknowledged"))

    @property
    def adrift(self) -> int:
        """How many sessions have no connection."""
        return len(self._adrift)

    def unacknowledged(self, sessions: Iterable[Session]) -> tuple[int, int]:
        """How many stanzas, and bytes, are not acknowledged, of all these sessions."""
        queues = [managed.queue for session in sessions if (managed := Managed.of(session)) is not None]
        return sum(map(len, queues)), sum(queue.bytes for queue in queues)

    # -- without a connection (§5, §7) -----------------------------------------------------------------

    def keep(self, session: Session) -> bool:
        """The connection was lost: the session stays for a while. False when it is to end."""
        managed = Managed.of(session)
        if managed is None or not managed.id or managed.is_over or managed.is_adrift:
            return False
        others = [other for s in session.home.sessions if (other := Managed.of(s)) in self._adrift and other]
        if len(others) >= self.settings.kept_per_account:
            if not others:
                return False
            self._give_up(min(others, key=list(self._adrift).index))
        if not self._make_room(managed.queue.bytes + _SESSION_BYTES):
            return False
        self.cast_adrift(managed, managed.max_s)
        self._lost(session)
        return True

    # -- over a restart (`Restart`) --------------------------------------------------------------------

    def keep_over_restart(self, session: Session) -> bool:
        """The server stops: the session needs its connection no more. False when it is to end."""
        managed = Managed.of(session)
        if managed is None or not managed.id or managed.is_over:
            return False
        if not managed.is_adrift:
            if self._bytes_adrift + managed.queue.bytes + _SESSION_BYTES > self.settings.kept_bytes:
                return False
            self.cast_adrift(managed, managed.max_s)
        return True

    def left_s(self, managed: Managed) -> int:
        """The seconds until it is given up."""
        return 0 if managed.ends_at is None else managed.ends_at - self._second

    def bring_back(self, session: Session, resume_id: str, max_s: int, left_s: int) -> Managed:
        """A session that was kept over a restart, and has no connection."""
        managed = Managed(self, session, session.link, session.handler, resume_id, max_s)
        session.put_lowest(managed, managed.handle)
        self._by_id[resume_id] = managed
        self.cast_adrift(managed, max(left_s, 1))
        return managed

    def drop(self, managed: Managed) -> None:
        """It is not to be resumed; what waits for it is handed back."""
        self._give_up(managed)

    # -- who has no connection -------------------------------------------------------------------------

    def waits(self, managed: Managed) -> bool:
        """It has no connection, and nobody has taken it over."""
        return managed in self._adrift

    def cast_adrift(self, managed: Managed, left_s: int) -> None:
        """It has no connection from now on, and is given up after so many seconds."""
        session = managed.session
        session.wire.move_to(Nowhere(session.link))  # type: ignore[attr-defined]  # a layer, since one is managed
        self._asked.pop(managed, None)
        managed.asked_at = None
        managed.ends_at = ends_at = self._second + left_s
        self._wheel.setdefault(ends_at, []).append(managed.id)
        self._adrift[managed] = None
        self._bytes_adrift += managed.queue.bytes + _SESSION_BYTES
        self._counters.sessions_kept = len(self._adrift)
        log.debug(
            "session kept without a connection",
            extra={"stream": managed.number, "account": session.account.id},
        )

    def take_off(self, managed: Managed) -> None:
        """Whatever connection it has gives way: it is to go on with another one."""
        if not managed.is_adrift:
            link = managed.session.link
            self.cast_adrift(managed, managed.max_s)
            link.give_way()

    def no_longer_adrift(self, managed: Managed) -> None:
        """It has a connection again, or is over."""
        if managed in self._adrift:
            del self._adrift[managed]
            self._bytes_adrift -= managed.queue.bytes + _SESSION_BYTES
            managed.ends_at = None
            self._counters.sessions_kept = len(self._adrift)

    def _make_room(self, size: int) -> bool:
        """Give up those who have been away longest, until so much more may be kept."""
        if size > self.settings.kept_bytes:
            return False
        while self._adrift and self._bytes_adrift + size > self.settings.kept_bytes:
            self._give_up(next(iter(self._adrift)))
        return True

    def _give_up(self, managed: Managed) -> None:
        managed.is_over = True
        self.end_soon(managed)

    def end_soon(self, managed: Managed) -> None:
        """A session without a connection ends, a moment later, since it may be in somebody's hands now."""
        self.no_longer_adrift(managed)
        asyncio.get_running_loop().call_soon(self._end, managed.session)

    def ended(self, session: Session, *, goes_on: bool = False) -> Managed | None:
        """A session is over; what it did not acknowledge is to be handed back. Or it goes on with another node."""
        managed = Managed.of(session)
        if managed is None:
            return None
        managed.is_over = True
        self.no_longer_adrift(managed)
        self._asked.pop(managed, None)
        if self._by_id.pop(managed.id, None) is not None and not goes_on:
            self.resumption.remember(managed)
        return managed

    def tick(self) -> None:
        """Once a second: ask who owes an answer, let go of who does not give it, and of who stayed away too long."""
        self._second = second = self._second + 1
        self.now_s = int(self._now())
        owing, self.owing = self.owing, []
        for managed in owing:
            if managed.unasked and not managed.is_adrift and not managed.is_over:
                if managed.asked_at is None:
                    managed.ask()
                else:
                    self.owing.append(managed)
        for managed in list(self._asked):
            assert managed.asked_at is not None, "it was asked"
            if second - managed.asked_at >= self.answer_s:
                self._did_not_answer(managed)
        for resume_id in self._wheel.pop(second, ()):
            gone = self._by_id.get(resume_id)
            if gone is not None and gone.ends_at == second:
                self._give_up(gone)

    def _did_not_answer(self, managed: Managed) -> None:
        del self._asked[managed]
        managed.asked_at = None
        if managed.session.last_heard == managed.heard:
            self._counters.limit_silence += 1
            managed.fail(PeerViolation(StreamCondition.CONNECTION_TIMEOUT))
        else:
            managed.ask()


def _uncount(session: Session) -> None:
    managed = Managed.of(session)
    if managed is not None:
        managed.uncount()


def _managed(session: Session) -> Managed:
    managed = Managed.of(session)
    if managed is None:
        raise PeerViolation(
            StreamCondition.UNSUPPORTED_STANZA_TYPE, detail="stream management is not enabled"
        )
    return managed


def _answer(session: Session, view: View) -> Awaitable[None] | None:
    _managed(session).acknowledge()
    return None


def _refuse_late(session: Session, view: View) -> None:
    """A session that is bound is not another one (§5)."""
    session.link.send(failed(Condition.UNEXPECTED_REQUEST))
