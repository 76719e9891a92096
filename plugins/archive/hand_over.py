"""Messages that wait for a device: handed over when one comes (RFC 6121 §8.5.2.2, XEP-0160)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from functools import partial
from time import monotonic
from weakref import WeakValueDictionary

from rainbow_xmpp.plugin import Services, Session, when_acknowledged
from rainbow_xmpp.plugin.keeping import WAITED, LateGate
from rainbow_xmpp.plugins.archive.behind import Behind
from rainbow_xmpp.plugins.archive.entries import Entry, Mark
from rainbow_xmpp.plugins.archive.log import Log, Logged
from rainbow_xmpp.plugins.archive.numbers import RECEIVED, time_of
from rainbow_xmpp.plugins.archive.owners import Owner, Owners
from rainbow_xmpp.stanza.delay import with_delay
from rainbow_xmpp.store.group_commit import PATIENCE_S, Batch, GroupCommit
from rainbow_xmpp.store.outage import is_outage

log = logging.getLogger(__name__)

PAGE = 10
"""Messages handed over between two looks at the session: even the largest fit into its output budget."""
TOPIC = "archive"
"""What the nodes of a region say to each other of messages that wait."""
HAND_OVER_S = 300.0
"""How long handing over everything may take; what is left then waits for the next session."""
RETRY_S = 0.5
"""Between two looks whether the database is back."""


class HandOver:
    """What waits in people's logs. Nothing is forgotten before a session was given it, and its client has
    acknowledged it, where it does that (XEP-0198)."""

    def __init__(
        self, services: Services, owners: Owners, log: Log, commits: GroupCommit[Entry | Mark]
    ) -> None:
        self._services = services
        self._owners = owners
        self._log = log
        self._commits = commits
        self._expected: set[int] = set()
        """Keys that are being written as waiting; what becomes of them shows when they are written."""
        self._given: dict[Session, set[int]] = {}
        """Keys of what was given to a device that has not said yet that it arrived."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def expect(self, entry: Entry) -> None:
        """This message will be written as waiting: nobody was there when it came."""
        assert entry.commit is not None, "it is on its way to the disk"
        self._expected.add(entry.received_key)
        entry.commit.after(self._settled, entry)

    def _settled(self, entry: Entry) -> None:
        if entry.was_known or (entry.commit is not None and entry.commit.error is not None):
            self._expected.discard(entry.received_key)

    def left_waiting(self, entry: Entry, to: str) -> None:
        """It is written, and nobody is here to take it."""
        self._expected.discard(entry.received_key)
        bare = to.partition("/")[0]
        if entry.waits:
            self._services.tell_nodes(TOPIC, bare)
        else:  # there was somebody when it came
            self._mark(entry, waits=True, bare=bare)

    def taken(self, entry: Entry) -> None:
        """It is written, and somebody has taken it: they came while it was."""
        self._expected.discard(entry.received_key)
        self._mark(entry, waits=False)

    def waits_again(self, owner: Owner, number: int, bare: str) -> None:
        """It was delivered once, and did not arrive."""
        self._put(Mark(owner.number, (number * 2 + RECEIVED,), waits=True), bare)

    def _mark(self, entry: Entry, *, waits: bool, bare: str = "") -> None:
        assert entry.recipient is not None, "it waits in somebody's log"
        self._put(Mark(entry.recipient.number, (entry.received_key,), waits=waits), bare)

    def _put(self, mark: Mark, bare: str = "") -> Batch[Entry | Mark]:
        """Nobody would be told that it was given up: while the database is away it is tried again.

        `bare`: whom something waits for then.
        """
        batch = self._commits.add(mark, 0, anyway=True)
        batch.after(self._unless_kept, batch, mark, bare)
        return batch

    def _unless_kept(self, batch: Batch[Entry | Mark], mark: Mark, bare: str) -> None:
        if is_outage(batch.error) and not self._commits.is_closing:
            self._put(mark, bare)
        elif batch.error is None and bare:
            self._offer(bare)

    def _offer(self, bare: str) -> None:
        """Something waits for this account since just now: whoever came meanwhile, here or elsewhere, gets it."""
        self._services.tell_nodes(TOPIC, bare)
        pending = self.told(bare)
        if pending is not None:
            self._services.spawn(pending)

    def told(self, bare: str) -> Awaitable[None] | None:
        """Something was left waiting for this account; whoever of it is here gets it, before anything newer.

        Whoever became available has looked into the log before that was in it, or hears of it here: there is no moment
        between.
        """
        home = self._services.sessions.homes.get(bare)
        for session in () if home is None else home.with_priority():
            if not session.is_remote:
                session.wire = behind = Behind(session)
                return self.all_to(session, behind)
        return None

    async def all_to(self, session: Session, behind: Behind) -> None:
        """Everything that waits, and then what has come meanwhile and stands in `behind`.

        An outage is waited for as long as the session's next stanzas may wait; raises what the database raises.
        """
        owner: Owner | None = None
        began = monotonic()
        try:
            while True:
                try:
                    if await self._log.misses_any(session.account):
                        owner = await self._owners.find(session.account)
                        if owner is not None:
                            await self._to(session, owner, behind)
                    return
                except Exception as error:
                    if not is_outage(error) or monotonic() - began > PATIENCE_S:
                        raise
                    log.info("messages wait for the database (%s)", type(error).__name__)
                    await asyncio.sleep(RETRY_S)
                if not self._takes_messages(session):
                    return
        finally:
            behind.remove(owner)

    async def _to(self, session: Session, owner: Owner, behind: Behind) -> None:
        """Oldest first; of two sessions that come at once the second gets what the first left.

        What the gate does not let through any more stays in the log and is not handed over: its sender was told
        nothing either.
        """
        gate = LateGate(self._services, session.account)
        turn = self._turns.setdefault(session.account.id, asyncio.Lock())
        after = 0
        async with turn:
            given = self._expected.union(
                *(keys for other, keys in self._given.items() if other.bare == session.bare)
            )
            while found := await self._log.waiting(owner.number, after=after, most=PAGE):
                after = found[-1].key
                ours = [message for message in found if message.key not in given | self._expected]
                passing = [message for message in ours if await gate.lets(message.stanza)]
                if not self._takes_messages(session):
                    return
                for message in passing:
                    behind.hand_over(self._late(owner, message), message.number)
                keys = [message.key for message in ours]
                self._given.setdefault(session, set()).update(keys)
                when_acknowledged(session, partial(self._arrived, session, owner, keys))

    def _arrived(self, session: Session, owner: Owner, keys: Sequence[int]) -> None:
        """The device has them, as far as it says so: they wait for nobody any more."""
        if keys:
            batch = self._put(Mark(owner.number, keys, waits=False))
            batch.after(self._settle, session, keys, batch)

    def _settle(self, session: Session, keys: Sequence[int], batch: Batch[Entry | Mark]) -> None:
        given = self._given.get(session)
        if given is not None and batch.error is None:
            given.difference_update(keys)
            if not given:
                del self._given[session]

    def ended(self, session: Session) -> None:
        """What it did not acknowledge waits for the next device."""
        self._given.pop(session, None)

    def _late(self, owner: Owner, message: Logged) -> bytes:
        """The message as it is handed over: with its id, and when it came (XEP-0203)."""
        marked = owner.marked(message.stanza, message.number)
        return with_delay(marked, self._services.domain, time_of(message.number), WAITED)

    def _takes_messages(self, session: Session) -> bool:
        is_here = self._services.sessions.by_full.get(session.full) is session
        return is_here and session.presence is not None and session.priority >= 0
