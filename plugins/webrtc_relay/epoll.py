"""The event loop of the relay's process: one epoll, one closure for each file descriptor, nothing between.

Level-triggered: a handler may stop early and is called again. `now` is taken once a turn.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

Handler = Callable[[int], None]
"""Called with the events (`select.EPOLLIN`, …) of its file descriptor."""

IN, OUT = select.EPOLLIN, select.EPOLLOUT
MOST_EVENTS = 256
TICK_S = 1.0


class Loop:
    """Runs until `stop`."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        """Monotonic seconds, of this turn."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._is_running = True
        self._turn: list[Callable[[], None]] = []

    def add(self, fd: int, handler: Handler, events: int = IN) -> None:
        """Call this whenever the descriptor is ready."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Wait for other events from now on."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """To be called before it is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def each_turn(self, work: Callable[[], None]) -> None:
        """Call this after each turn: for what is done a little at a time."""
        self._turn.append(work)

    def stop(self) -> None:
        """After this turn."""
        self._is_running = False

    def run(self, tick: Callable[[float], None], turn_s: Callable[[], float]) -> None:
        """Serve; `tick` is called about once a second with the time, and waits are at most `turn_s`."""
        poll, handlers, clock = self._epoll.poll, self._handlers, time.monotonic
        self.now = clock()
        due = self.now + TICK_S
        while self._is_running:
            events = poll(min(max(due - self.now, 0.0), turn_s()), MOST_EVENTS)
            self.now = clock()
            for fd, event in events:
                handler = handlers.get(fd)
                if handler is not None:
                    try:
                        handler(event)
                    except Exception:  # around one descriptor: everyone else is served on
                        log.exception("something of the relay failed; it goes on")
            for work in self._turn:
                work()
            if self.now >= due:
                due = self.now + TICK_S
                tick(self.now)

    def close(self) -> None:
        """Free what it took."""
        self._epoll.close()
