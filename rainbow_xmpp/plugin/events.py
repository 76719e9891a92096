"""Things that happen beside the pipeline and that a plugin may listen to with `@on(EventClass)`."""

from __future__ import annotations

from dataclasses import dataclass

from rainbow_xmpp.session import Session


class Event:
    """The base of all events."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class BecameAvailable(Event):
    """A session can take messages for the bare JID from now on: first presence, or priority back from below zero.

    The session's lane waits for the handlers, so what they send comes before anything the client asks next.
    """

    session: Session
    is_initial: bool
    """Its first presence, or the first after an unavailable one."""


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A session is gone; it is no longer in the table, and its contacts have been told."""

    session: Session


@dataclass(frozen=True, slots=True)
class AccountRemoved(Event):
    """An account was deleted or disabled; its sessions have ended. Drop what is remembered about it."""

    company_id: str
    account_id: str
