"""Things that happen beside the pipeline and that a plugin may listen to with `@on(EventClass)`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.values import Change

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)


class Event:
    """The base of all events."""

    __slots__ = ()

    must_be_heard: ClassVar[bool] = False
    """What a listener fetches for it is not to be done without.

    When the database is away the session that it is about ends, so that its client comes back; of what is about no
    session whoever told it hears, and tells it again, to all.
    """

    @property
    def account(self) -> Account | None:
        """Whom it concerns; None when every plugin hears of it, whatever companies it serves."""
        session: Session | None = getattr(self, "session", None)
        return None if session is None else session.account


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """A resource was bound. The session's lane waits for the handlers: what they fetch is there when it speaks."""

    must_be_heard = True

    session: Session


@dataclass(frozen=True, slots=True)
class InitialPresence(Event):
    """A session is available, whatever its priority, and was not before (RFC 6121 §4.2).

    Its contacts have been told, and it of them. The session's lane waits for the handlers.
    """

    must_be_heard = True

    session: Session


@dataclass(frozen=True, slots=True)
class BecameAvailable(Event):
    """A session can take messages for the bare JID from now on: first presence, or priority back from below zero.

    The session's lane waits for the handlers, so what they send comes before anything the client asks next.
    """

    must_be_heard = True

    session: Session
    is_initial: bool
    """Its first presence, or the first after an unavailable one."""


@dataclass(frozen=True, slots=True)
class BecameUnavailable(Event):
    """A session that was available said that it is no more, or ended. `presence` is what its contacts are sent."""

    session: Session
    presence: bytes


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A session is gone; it is no longer in the table, and its contacts have been told."""

    session: Session


@dataclass(frozen=True, slots=True)
class ConnectionLost(Event):
    """A session has no connection any more, and is kept for a while, as if it had one (XEP-0198 §5)."""

    session: Session


@dataclass(frozen=True, slots=True)
class ConnectionRegained(Event):
    """Its client resumes such a session, and is about to be sent what it did not acknowledge."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionKept(Event):
    """The server stops, and the session is kept so that it can be resumed afterwards (XEP-0198), or other nodes
    are told of it.

    Put what must be known of it then into `notes`, under a name that begins with the plugin's.
    """

    session: Session
    notes: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class SessionRestored(Event):
    """A session that was kept is there again, with what was noted of it. It follows `SessionStarted`."""

    session: Session
    notes: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class SessionElsewhere(Event):
    """A session of another node is in the table, or is known better than before; `notes` as of `SessionKept`.

    It gets stanzas like any other one. Its own node does the rest, and nothing is to be said to its client from here.
    """

    session: Session
    notes: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class ToldByNode(Event):
    """Another node said something by `Services.tell_nodes`; what it wrote before is in the database."""

    topic: str
    data: str


@dataclass(frozen=True, slots=True)
class AccountRemoved(Event):
    """An account was deleted or disabled; its sessions have ended. Drop what is remembered about it.

    It may be told twice.
    """

    must_be_heard = True

    company_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class Changed(Event):
    """An administrative write, of this server or of another process, was applied to what is in memory.

    It may be told twice.
    """

    must_be_heard = True

    change: Change


Listener = Callable[[Event], Awaitable[None] | None]


class Events:
    """Who listens to what."""

    def __init__(self) -> None:
        self._listeners: dict[type[Event], list[tuple[str, Listener]]] = {}

    def add(self, owner: str, event: type[Event], listener: Listener) -> Callable[[], None]:
        """Call this with every such event; returns what undoes it."""
        entry = (owner, listener)
        listeners = self._listeners.setdefault(event, [])
        listeners.append(entry)
        return lambda: listeners.remove(entry)

    def owners(self) -> set[str]:
        """Who listens to anything."""
        return {owner for listeners in self._listeners.values() for owner, _ in listeners}

    def tell(self, event: Event) -> Awaitable[None] | None:
        """Call every listener; what is returned, if anything, must be awaited. Failures are logged.

        Awaiting it raises what the database raises, when it is away and the event must be heard and has no session.
        """
        waiting: list[tuple[str, Awaitable[None]]] = []
        for owner, listener in self._listeners.get(type(event), ()):
            try:
                pending = listener(event)
            except Exception:
                log.exception("a plugin failed on %s", type(event).__name__, extra={"plugin": owner})
                continue
            if pending is not None:
                waiting.append((owner, pending))
        return _all(waiting, event) if waiting else None


@runtime_checkable
class Closable(Protocol):
    def close(self) -> None:
        """It will not be awaited."""


async def _all(waiting: list[tuple[str, Awaitable[None]]], event: Event) -> None:
    what, outage, left = type(event).__name__, None, iter(waiting)
    try:
        for owner, pending in left:
            outage = await _heard(owner, pending, what) or outage
    finally:
        for _, pending in left:  # cancelled: they are not begun
            if isinstance(pending, Closable):
                pending.close()
    if outage is not None and event.must_be_heard:
        _was_not_heard(event, outage)


async def _heard(owner: str, pending: Awaitable[None], what: str) -> Exception | None:
    """The outage that a plugin could not hear of it for, if there was one."""
    try:
        await pending
    except Exception as error:
        if is_outage(error):
            told = what, type(error).__name__
            log.warning(
                "no %s for a plugin: the database does not answer (%s)", *told, extra={"plugin": owner}
            )
            return error
        log.exception("a plugin failed on %s", what, extra={"plugin": owner})
    return None


def _was_not_heard(event: Event, outage: Exception) -> None:
    session: Session | None = getattr(event, "session", None)
    if session is None:
        raise outage
    log.warning("a session ends, to be begun anew", extra={"stream": session.wire.number})
    session.wire.fail(PeerViolation(StreamCondition.RESOURCE_CONSTRAINT, "the database does not answer"))
