"""The event loop of the relay's process: one epoll, one closure for each file descriptor, nothing between.

Level-triggered: a handler may stop early and is called again. `now` is taken once a turn. Work that is not of a
descriptor is asked for when there is some (`soon`, `at`): a turn for one packet is made of little else than itself.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import select
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

Handler = Callable[[int], None]
"""Called with the events (`select.EPOLLIN`, …) of its file descriptor."""

Work = Callable[[], None]

IN, OUT = select.EPOLLIN, select.EPOLLOUT
MOST_EVENTS = 256
TICK_S = 1.0


class Loop:
    """Runs until `stop`."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        """Monotonic seconds, of this turn."""
        self.turn = 0
        """Which turn this is."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._is_running = False
        self._soon: list[Work] = []
        self._at: list[tuple[float, int, Work]] = []
        self._numbers = itertools.count()

    def add(self, fd: int, handler: Handler, events: int = IN) -> None:
        """Call this whenever the descriptor is ready."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def use(self, fd: int, handler: Handler) -> None:
        """Call another handler from now on; a descriptor that is not watched stays so."""
        if fd in self._handlers:
            self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Wait for other events from now on."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """To be called before it is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def soon(self, work: Work) -> None:
        """Call this once, when this turn is over."""
        self._soon.append(work)

    def at(self, when: float, work: Work) -> None:
        """Call this once, at this time or soon after."""
        heapq.heappush(self._at, (when, next(self._numbers), work))

    def stop(self) -> None:
        """After this turn."""
        self._is_running = False

    def run(self, tick: Callable[[float], None]) -> None:
        """Serve; `tick` is called about once a second with the time."""
        self._is_running, self.now = True, time.monotonic()
        due = self.now + TICK_S
        while self._is_running:
            self._turns(due)
            if self.now >= due:
                due = self.now + TICK_S
                tick(self.now)

    def _turns(self, due: float) -> None:
        """Until something is to be done that no descriptor asks for, which is done then."""
        poll, handlers, clock, timers = self._epoll.poll, self._handlers, time.monotonic, self._at
        while True:
            until = min(due, timers[0][0]) if timers else due
            events = poll(0 if self._soon else max(until - self.now, 0.0), MOST_EVENTS)
            self.now = now = clock()
            self.turn += 1
            for fd, event in events:
                handler = handlers.get(fd)
                if handler is not None:
                    try:
                        handler(event)
                    except Exception:  # around one descriptor: everyone else is served on
                        log.exception("something of the relay failed; it goes on")
            if self._soon or now >= until or not self._is_running:
                break
        work, self._soon = self._soon, []
        while timers and timers[0][0] <= now:
            work.append(heapq.heappop(timers)[2])
        for each in work:
            each()

    def close(self) -> None:
        """Free what it took."""
        self._epoll.close()
