"""The sessions of another node in this node's table (RFC 6121 §8.5: a stanza goes to all of an account's resources)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import NamedTuple

from rainbow_xmpp.cluster.items import (
    Changed,
    Down,
    Facts,
    Fail,
    Given,
    Item,
    RosterChanged,
    Snapshot,
    Sought,
    Stanza,
    Told,
    Up,
    Written,
)
from rainbow_xmpp.cluster.moving import Moving, Parcels
from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.router.events import Event, SessionElsewhere, SessionEnded, ToldByNode
from rainbow_xmpp.session import Home, Session, SessionTable
from rainbow_xmpp.session.remote import RemoteWire
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import UserAgent

log = logging.getLogger(__name__)

ON_ITS_WAY_S = 5.0
"""So long what arrives may have been on its way: who came to be here meanwhile was not sent it."""


class Parts(NamedTuple):
    """What of a node the sessions of others touch."""

    sessions: SessionTable
    tell: Callable[[Event], Awaitable[None] | None]
    spawn: Callable[[Awaitable[None]], None]
    load_roster: Callable[[Home], Awaitable[None]]
    hand_back: Callable[[str, bytes, float], Awaitable[None]]
    """What was for a session (by full JID) that is gone, and did not get it."""
    read_changes: Callable[[], Awaitable[None]]
    """Looks into the log of changes now."""
    parcels: Parcels
    leave: Callable[[Session], None]
    """Takes a session out of the table, which goes on elsewhere; its contacts hear nothing."""
    say_here: Callable[[Session], None]
    """Tells the contacts of this node that a session is there."""
    now: Callable[[], float]
    """Unix time in seconds."""
    say_gone: Callable[[Session], None]
    """Tells the contacts of a session that it ended without a word."""


class Mirror:
    """What one other node says of its sessions, and what it wants of ours."""

    def __init__(self, number: int, parts: Parts, moving: Moving, put: Callable[[int, Item], None]) -> None:
        """`put` sends an item to the node of a number."""
        self._moving = moving
        self._number = number
        self._parts = parts
        self._put_to = put
        self._theirs: dict[str, Session] = {}

    def _put(self, item: Item) -> None:
        self._put_to(self._number, item)

    def apply(self, item: Item) -> None:
        """One item of its lane."""
        match item:
            case Stanza(full, data):
                self._stanza(full, data)
            case Changed(full, facts):
                if (session := self._theirs.get(full)) is not None:
                    self._learn(session, facts)
                    if session.presence is not None and not session.home.is_loaded:
                        self._parts.spawn(self._parts.load_roster(session.home))
            case Up(full, account, agent, facts):
                self._up(full, account, agent, facts)
            case Down(full):
                if (session := self._theirs.pop(full, None)) is not None:
                    self._remove(session)
            case Fail(full, condition, text):
                self._fail(full, condition, text)
            case RosterChanged(bare):
                self._reload(bare)
            case Sought():
                self._parts.spawn(self._moving.give(self._number, item))
            case Given():
                self._moving.given(item)
            case Told(topic, data):
                self._tell(ToldByNode(topic, data))
            case Written():
                self._parts.spawn(self._parts.read_changes())
            case Snapshot():
                for session in self._theirs.values():
                    self._remove(session)
                self._theirs.clear()

    def gone(self, *, speaks: bool) -> None:
        """The node died, or stopped: who is on it now waits there for a client that may come back.

        One of those that are left `speaks`: it tells the contacts of everybody who was on it.
        """
        for session in self._theirs.values():
            if speaks and session.presence is not None:
                self._parts.spawn(self._say_gone(session))
            else:
                self._remove(session)
        self._theirs.clear()

    # -- theirs ----------------------------------------------------------------------------------------

    def _up(self, full: str, account: Account, agent: tuple[str, str, str], facts: Facts) -> None:
        sessions = self._parts.sessions
        if full in sessions.by_full and not sessions.by_full[full].is_remote:
            return  # ours came later, and theirs is about to end
        home = sessions.home_for(account, full.partition("/")[0])
        wire = RemoteWire(
            self._number, lambda data: self._put(Stanza(full, data)), lambda v: self._end(full, v)
        )
        session = Session(account, full, home, wire, _never_received, agent=UserAgent(*agent))
        sessions.add(session)
        self._theirs[full] = session
        self._learn(session, facts)
        if session.presence is not None:  # its contacts here may have heard that it was gone, with its node
            self._parts.spawn(self._say_here(session))

    async def _say_here(self, session: Session) -> None:
        await self._parts.load_roster(session.home)
        if self._parts.sessions.by_full.get(session.full) is session:
            self._parts.say_here(session)

    def _learn(self, session: Session, facts: Facts) -> None:
        if session.presence is None and facts.presence is not None:
            session.takes_since = monotonic()
        session.presence, session.priority = facts.presence, facts.priority
        session.is_interested = facts.is_interested
        self._tell(SessionElsewhere(session, facts.notes))

    def _tell(self, event: Event) -> None:
        pending = self._parts.tell(event)
        if pending is not None:
            self._parts.spawn(pending)

    def _end(self, full: str, violation: PeerViolation) -> None:
        self._put(Fail(full, violation.condition, violation.text))

    def _remove(self, session: Session) -> None:
        if not self._parts.sessions.remove(session):
            return
        session.home.let_go()
        session.presence = None
        self._tell(SessionEnded(session))

    async def _say_gone(self, session: Session) -> None:
        await self._parts.load_roster(session.home)
        if self._parts.sessions.remove(session):
            self._parts.say_gone(session)
            session.home.let_go()

    # -- ours ------------------------------------------------------------------------------------------

    def _stanza(self, full: str, data: bytes) -> None:
        session = self._parts.sessions.by_full.get(full)
        is_here = session is not None and not session.is_remote
        if self._moving.hold(full, partial(self._stanza, full, data), is_here=is_here):
            return
        if session is None or session.is_remote:
            node = self._moving.forward(full)
            if node is None:
                self._parts.spawn(self._parts.hand_back(full, data, monotonic() - ON_ITS_WAY_S))
            else:
                self._put_to(node, Stanza(full, data))
            return
        try:
            session.wire.send(data)
        except Exception:  # one connection that is broken costs the others nothing
            log.exception("a stanza of another node could not be handed to its receiver")

    def _fail(self, full: str, condition: str, text: str) -> None:
        session = self._parts.sessions.by_full.get(full)
        if session is not None and not session.is_remote:
            session.wire.fail(PeerViolation(StreamCondition(condition), text))

    def _reload(self, bare: str) -> None:
        home = self._parts.sessions.homes.get(bare)
        if home is not None:
            home.roster_changes += 1
            home.is_loaded = False
            self._parts.spawn(self._parts.load_roster(home))


def _never_received(session: Session, data: bytes) -> None:
    """Another node reads what this session's client says."""
