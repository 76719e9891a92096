"""What happens once a second: deadlines, silent clients, changes made elsewhere, the database's health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rainbow_xmpp.config import Limits
from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.session import SessionTable
from rainbow_xmpp.transport.deadlines import Deadlines

log = logging.getLogger(__name__)

_SWEEPS_PER_IDLE = 12
_MOST_BETWEEN_SWEEPS_S = 15
_ASK_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Chore:
    """Something to be asked of the database every so many seconds; 0 is each time it is looked after."""

    every_s: float
    run: Callable[[], Awaitable[None]]
    due: float = 0.0


class Housekeeping:
    """One task for the whole node, in place of timers for each session."""

    def __init__(
        self,
        sessions: SessionTable,
        deadlines: Deadlines,
        check_store: Callable[[], Awaitable[None]],
        chores: Sequence[Chore],
        each_second: Callable[[], None],
        limits: Limits,
        counters: Counters,
    ) -> None:
        self._sessions = sessions
        self._deadlines = deadlines
        self._check_store = check_store
        self._chores = chores
        self._each_second = each_second
        self._counters = counters
        self._tasks: list[asyncio.Task[None]] = []
        self.store_is_well = True
        self.use(limits)

    def use(self, limits: Limits) -> None:
        """These are looked at from the next sweep on."""
        self._idle_s = limits.idle_ping_s
        self._answer_s = limits.ping_timeout_s
        self._sweep_every_s = max(1, min(limits.idle_ping_s // _SWEEPS_PER_IDLE, _MOST_BETWEEN_SWEEPS_S))

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tick()), loop.create_task(self._watch_store())]

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            try:
                self._deadlines.sweep()
                self._each_second()
                if self._deadlines.tick % self._sweep_every_s == 0:
                    self.sweep_silent()
            except Exception:
                log.exception("housekeeping failed")

    def sweep_silent(self) -> None:
        """Ask those who have been silent for long; let go of those who did not answer (RFC 6120 §4.6)."""
        now = self._deadlines.tick
        for session in self._sessions:
            silent_s = now - session.last_heard
            if session.is_adrift:
                continue  # it is not asked whether it is there
            if silent_s >= self._idle_s + self._answer_s + self._sweep_every_s:
                self._counters.limit_silence += 1
                session.wire.fail(PeerViolation(StreamCondition.CONNECTION_TIMEOUT))
            elif silent_s >= self._idle_s:
                session.wire.ping()

    async def _watch_store(self) -> None:
        """What the database is asked for regularly; and, since it is asked, whether it is well."""
        now = asyncio.get_running_loop().time
        for chore in self._chores:
            chore.due = now() + chore.every_s
        while True:
            await asyncio.sleep(1)
            try:
                async with asyncio.timeout(_ASK_TIMEOUT_S):
                    await self._check_store()
                    for chore in self._chores:
                        if now() >= chore.due:
                            chore.due = now() + chore.every_s
                            await chore.run()
            except Exception as error:  # the database is away; we go on serving and try again
                if self.store_is_well:
                    log.error("the database does not answer: %s", str(error) or type(error).__name__)
                self.store_is_well = False
            else:
                if not self.store_is_well:
                    log.info("the database answers again")
                self.store_is_well = True
