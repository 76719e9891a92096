"""From messages on their way to what devices are to be told; nothing waits on the way of a message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from itertools import islice
from typing import Protocol

from rainbow_xmpp.plugin import Passage, Services, Session, Waker, unacknowledged
from rainbow_xmpp.plugins.push.queue import Queue, Told
from rainbow_xmpp.plugins.push.reach import Reach, receiving
from rainbow_xmpp.plugins.push.sealing import Seals
from rainbow_xmpp.plugins.push.values import (
    DAY_S,
    LONGEST_WAIT_S,
    Key,
    LastMessage,
    News,
    Registered,
    Shows,
    Urgency,
)
from rainbow_xmpp.plugins.push.worth import last_message, urgency_of
from rainbow_xmpp.xml import scan_again

AT_ONCE = 100
"""Devices whose news are written in one transaction."""
PAUSE_S = 0.1
"""Between two transactions."""
MOST_DEVICES = 10_000
"""Beyond so many devices with news that are not written down yet, those of others are left out: the database is away,
and what is lost is a hint."""


class Settings(Protocol):
    """What an operator decides."""

    @property
    def wait_s(self) -> int: ...
    @property
    def pause_s(self) -> int: ...
    @property
    def keep_hours(self) -> int: ...
    @property
    def may_show(self) -> Shows: ...


class Desk:
    """Gathers what is new, and writes it down beside everything else, that of many devices in one transaction."""

    def __init__(
        self,
        services: Services,
        queue: Queue,
        seals: Seals,
        reach: Reach,
        settings: Callable[[], Settings],
        due: Callable[[int], None],
    ) -> None:
        """`due` is told when something is to be told to a device, Unix time in seconds."""
        self._services = services
        self._queue = queue
        self._seals = seals
        self._reach = reach
        self._settings = settings
        self._due = due
        self._news: dict[Key, News] = {}
        self._seen: set[Key] = set()
        self._open: set[Key] = set()
        """Devices that have not been there since something came for them."""
        self._told_up_to: dict[Session, int] = {}
        """Of sessions that are not here: how many stanzas of theirs have been looked at."""
        self._waker = Waker(self.write, services.spawn)

    async def start(self) -> None:
        """Whose news are in the database."""
        self._open = await self._queue.open()

    def wake(self) -> None:
        """Write down what could not be written."""
        if self._news or self._seen:
            self._waker.wake()

    def forget(self, keys: Collection[Key]) -> None:
        """These devices are not to be told any more."""
        self._open.difference_update(keys)
        for key in keys:
            self._news.pop(key, None)
            self._seen.discard(key)

    # -- what comes ------------------------------------------------------------------------------------

    def message(self, p: Passage, registered: Collection[Registered]) -> None:
        """A message was delivered to an account with these devices, or waits for it."""
        urgency = urgency_of(p.view, p.type)
        if urgency is None or p.sender_jid.partition("/")[0] == p.to.partition("/")[0]:
            return
        sessions = [] if p.home is None else receiving(p.home.sessions)
        if p.target is not None and p.target not in sessions:
            sessions.append(p.target)
        for session in sessions:
            self._looked_at(session)
        for each in self._reach.away(registered, sessions):
            shows = each.shows.at_most(self._settings().may_show)
            self._add(each.key, urgency, 1, last_message(p, shows))

    def lost(self, session: Session, registered: Collection[Registered], wait_s: int | None = None) -> None:
        """A session has lost its connection: what it has not acknowledged may never have been there.

        With `wait_s` it is given so long to come back, after which a call is over.
        """
        up_to = self._told_up_to.get(session, 0)
        self._looked_at(session)
        unread = [sent.stanza for sent in unacknowledged(session) or () if sent.number >= up_to]
        found = [self._urgency(stanza, session) for stanza in unread]
        messages, is_call = found.count(Urgency.MESSAGE), wait_s is None and Urgency.CALL in found
        if not (messages or is_call):
            return
        for each in self._reach.away(registered, receiving(session.home.sessions)):
            if is_call:
                self._add(each.key, Urgency.CALL, 0, None)
            if messages:
                self._add(each.key, Urgency.MESSAGE, messages, None, wait_s)

    def _urgency(self, stanza: bytes, session: Session) -> Urgency | None:
        if not stanza.startswith(b"<message"):
            return None
        view = scan_again(stanza)
        if view.attrs.get("from", "").partition("/")[0] == session.bare:
            return None
        return urgency_of(view, view.attrs.get("type", "normal"))

    def _looked_at(self, session: Session) -> None:
        if session.is_adrift or not self._reach.is_here(session):
            unread = unacknowledged(session)
            if unread is not None:
                self._told_up_to[session] = unread.sent

    def back(self, session: Session, registered: Collection[Registered]) -> None:
        """A session is here, or here again: its device needs no telling."""
        keys = [each.key for each in self._reach.back(registered, session) if each.key in self._open]
        if not keys:
            return
        for key in keys:
            self._news.pop(key, None)
        self._open.difference_update(keys)
        self._seen.update(keys)
        self._waker.wake()

    def ended(self, session: Session) -> None:
        """It is no more."""
        self._told_up_to.pop(session, None)

    def looked_at(self, session: Session) -> int:
        """How many stanzas of this session need no look any more."""
        return self._told_up_to.get(session, 0)

    def restored(self, session: Session, looked_at: int, registered: Collection[Registered]) -> None:
        """A session is there again after a restart, without its connection; so many of its stanzas were looked at."""
        self._told_up_to[session] = looked_at
        self.lost(session, registered, LONGEST_WAIT_S)

    def _add(
        self, key: Key, urgency: Urgency, messages: int, last: LastMessage | None, wait_s: int | None = None
    ) -> None:
        news = self._news.get(key)
        if news is None:
            if len(self._news) >= MOST_DEVICES:
                return
            news = self._news[key] = News()
        news.add(urgency, messages, last, self._settings().wait_s if wait_s is None else wait_s)
        self._open.add(key)
        self._waker.wake()

    # -- what is written -------------------------------------------------------------------------------

    async def write(self) -> None:
        """Write down what is new, a little at a time: the database is everybody's. What cannot be written now is tried
        again with what comes next, or in a while."""
        while self._seen or self._news:
            await self._write_some()
            if self._news:
                await asyncio.sleep(PAUSE_S)

    async def _write_some(self) -> None:
        seen, self._seen = self._seen, set()
        news = {key: self._news.pop(key) for key in list(islice(self._news, AT_ONCE))}
        settings = self._settings()
        try:
            if seen:
                await self._queue.seen(seen)
                seen = set()
            if news:
                first = await self._queue.add(
                    {key: self._told(key, each) for key, each in news.items()},
                    int(self._services.now()),
                    pause_s=settings.pause_s,
                    keep_s=settings.keep_hours * DAY_S // 24,
                )
                if first is not None:
                    self._due(first)
        except BaseException:
            self._seen |= seen
            for key, each in news.items():
                self._put_back(key, each)
            raise

    def _put_back(self, key: Key, earlier: News) -> None:
        if key in self._seen:
            return
        later = self._news.get(key)
        if later is not None:
            earlier.messages += later.messages
            earlier.is_call |= later.is_call
            earlier.last = later.last or earlier.last
            earlier.wait_s = min(earlier.wait_s, later.wait_s)
        self._news[key] = earlier

    def _told(self, key: Key, news: News) -> Told:
        return Told(news.messages, news.is_call, news.wait_s, self._seals.seal_last(key, news.last))
