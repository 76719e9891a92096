"""The layer under a session that counts what is sent, and stands in for its connection while there is none."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.session.layer import Layer, Nowhere
from rainbow_xmpp.stream_management import elements
from rainbow_xmpp.stream_management.unacked import Unacked

if TYPE_CHECKING:
    from rainbow_xmpp.session import Session, Wire
    from rainbow_xmpp.session.session import Handler, Settling
    from rainbow_xmpp.stream_management.service import StreamManagement


class Managed(Layer):
    """A session's stream management: the lowest of its layers. `StreamManagement` decides."""

    __slots__ = (
        "_awaited",
        "_handle",
        "_owed_h",
        "_owes_behind",
        "_service",
        "asked_at",
        "came_later",
        "ends_at",
        "handled",
        "heard",
        "id",
        "is_over",
        "max_s",
        "queue",
        "session",
        "unasked",
        "unasked_bytes",
    )

    def __init__(
        self, service: StreamManagement, session: Session, below: Wire, handle: Handler, id: str, max_s: int
    ) -> None:
        super().__init__(below)
        self._service = service
        self._handle = handle
        self.session = session
        self.id = id
        """What it is resumed by; "" when it is not to be."""
        self.max_s = max_s
        self.queue = Unacked()
        self.handled = 0
        """Stanzas of the peer that were handled, or that the one under way is the last of; without wrapping."""
        self.unasked = 0
        """Stanzas sent since the peer was last asked what it has got, and their bytes."""
        self.unasked_bytes = 0
        self.asked_at: int | None = None
        """The second in which that was, while there is no answer; and what the session had heard by then."""
        self.heard = 0
        self.ends_at: int | None = None
        """The second in which it is given up; None while it has a connection."""
        self.is_over = False
        """It is being ended, and is not to be resumed."""
        self.came_later: dict[str, int] | None = None
        """Other sessions of the account that became available after so many stanzas were sent here."""
        self._awaited: deque[tuple[int, Callable[[], None]]] | None = None
        """What is to be done when so many stanzas are acknowledged."""
        self._owes_behind: Settling | None = None
        self._owed_h = 0

    @staticmethod
    def of(session: Session) -> Managed | None:
        """The session's, if it has enabled stream management."""
        wire = session.wire
        while isinstance(wire, Layer):
            if isinstance(wire, Managed):
                return wire
            wire = wire.below
        return None

    @property
    def is_adrift(self) -> bool:
        """There is no connection."""
        return isinstance(self.below, Nowhere)

    # -- received --------------------------------------------------------------------------------------

    def handle(self, session: Session, data: bytes) -> Awaitable[None] | None:
        """An element of the peer's; what turns out to be no stanza is taken back (`uncount`)."""
        self.handled += 1
        return self._handle(session, data)

    def uncount(self) -> None:
        """What is being handled is no stanza."""
        self.handled -= 1

    def acknowledge(self) -> None:
        """Tell the peer what was handled, once that is kept."""
        commit = self.session.unsettled
        if commit is None or commit.is_settled:
            self.below.send(elements.acknowledgement(self.handled))
            return
        self._owed_h = self.handled
        if self._owes_behind is not commit:
            self._owes_behind = commit
            handled = self.handled
            commit.after(lambda: self._acknowledge_later(commit, handled))

    def _acknowledge_later(self, commit: Settling, handled: int) -> None:
        if self._owes_behind is commit:
            self._owes_behind = None
            handled = self._owed_h  # of the last request that waited for the same
        self.below.send(elements.acknowledgement(handled))

    # -- sent ------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.below.send(data)
        self.queue.add(data, self._service.now_s)
        if not self.unasked:
            self._service.owing.append(self)
        self.unasked += 1
        self.unasked_bytes += len(data)
        self._service.sent(self, len(data))

    def got(self, count: int) -> None:
        """The peer has so many more of what it was sent."""
        self.queue.forget(count)
        awaited, acked = self._awaited, self.queue.acked
        while awaited and awaited[0][0] <= acked:
            awaited.popleft()[1]()
        if not self.queue.stanzas:
            self.unasked = self.unasked_bytes = 0
            self.came_later = None

    def when_acknowledged(self, call: Callable[[], None]) -> None:
        """See the function of this name."""
        if self._awaited is None:
            self._awaited = deque()
        self._awaited.append((self.queue.sent, call))

    def ask(self) -> None:
        """Let the peer say what it has got."""
        self.unasked = self.unasked_bytes = 0
        self.below.send(elements.REQUEST)
        self._service.asked(self)

    def ping(self) -> None:
        """`<a/>` is an answer that no application sees, and says more than that of a ping."""
        self.ask()

    # -- the end ---------------------------------------------------------------------------------------

    def fail(self, violation: PeerViolation) -> None:
        """A peer that is silent may come back; everything else ends the session."""
        link = self.below
        if violation.condition is StreamCondition.CONNECTION_TIMEOUT and not self.is_over:
            if isinstance(link, Nowhere):
                return
            if self._service.keep(self.session):
                link.fail(violation)
                return
        self._over()
        link.fail(violation)

    def end(self, data: bytes = b"") -> None:
        self._over()
        self.below.end(data)

    def peer_closed(self) -> None:
        self._over()
        self.below.peer_closed()

    def abort(self) -> None:
        self._over()
        self.below.abort()

    def _over(self) -> None:
        if not self.is_over:
            self.is_over = True
            if self.is_adrift:
                self._service.end_soon(self)


def unacknowledged(session: Session) -> Unacked | None:
    """What the client was sent and has not acknowledged, to be read; None where it acknowledges nothing."""
    managed = Managed.of(session)
    return None if managed is None else managed.queue


def when_acknowledged(session: Session, call: Callable[[], None]) -> None:
    """Call this when the client has everything that the session was sent so far; it must not wait.

    At once, where the client acknowledges nothing. Never, when the session ends before: what it was sent is handed back
    then. A restart of the server forgets the call, and hands back as well.
    """
    managed = Managed.of(session)
    if managed is None or not managed.queue.stanzas:
        call()
    else:
        managed.when_acknowledged(call)
