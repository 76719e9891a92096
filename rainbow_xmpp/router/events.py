"""Things that happen beside the pipeline and that a plugin may listen to with `@on(EventClass)`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rainbow_xmpp.session import Session
from rainbow_xmpp.store.values import Change

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)


class Event:
    """The base of all events."""

    __slots__ = ()

    @property
    def account(self) -> Account | None:
        """Whom it concerns; None when every plugin hears of it, whatever companies it serves."""
        session: Session | None = getattr(self, "session", None)
        return None if session is None else session.account


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """A resource was bound. The session's lane waits for the handlers: what they fetch is there when it speaks."""

    session: Session


@dataclass(frozen=True, slots=True)
class InitialPresence(Event):
    """A session is available, whatever its priority, and was not before (RFC 6121 §4.2).

    Its contacts have been told, and it of them. The session's lane waits for the handlers.
    """

    session: Session


@dataclass(frozen=True, slots=True)
class BecameAvailable(Event):
    """A session can take messages for the bare JID from now on: first presence, or priority back from below zero.

    The session's lane waits for the handlers, so what they send comes before anything the client asks next.
    """

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
    """An account was deleted or disabled; its sessions have ended. Drop what is remembered about it."""

    company_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class Changed(Event):
    """An administrative write, of this server or of another process, was applied to what is in memory."""

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
        """Call every listener; what is returned, if anything, must be awaited. Failures are logged."""
        waiting: list[tuple[str, Awaitable[None]]] = []
        for owner, listener in self._listeners.get(type(event), ()):
            try:
                pending = listener(event)
            except Exception:
                log.exception("a plugin failed on %s", type(event).__name__, extra={"plugin": owner})
                continue
            if pending is not None:
                waiting.append((owner, pending))
        return _all(waiting, type(event).__name__) if waiting else None


async def _all(waiting: list[tuple[str, Awaitable[None]]], what: str) -> None:
    for owner, pending in waiting:
        try:
            await pending
        except Exception:
            log.exception("a plugin failed on %s", what, extra={"plugin": owner})
