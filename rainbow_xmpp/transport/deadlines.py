"""One sweep a second instead of a timer for each connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rainbow_xmpp.transport.link import Link

GOODBYE_S = 1
"""So long a peer has to read why its stream is closed."""


class Deadlines:
    """Connections that have not logged in, in the order they came, and those that must be gone soon.

    Times are whole seconds of the server's own tick.
    """

    def __init__(self, login_timeout_s: int) -> None:
        self._login_timeout_s = login_timeout_s
        self._waiting: dict[Link, int] = {}
        self._patient: dict[Link, int] = {}
        self._leaving: dict[Link, int] = {}
        self.tick = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._patient)

    def set_login_timeout(self, login_timeout_s: int) -> None:
        """For connections that come from now on; those that wait have no longer than that from now."""
        self._login_timeout_s = login_timeout_s
        latest = self.tick + login_timeout_s
        self._waiting = {link: min(tick, latest) for link, tick in self._waiting.items()}  # still in order

    @property
    def waiting(self) -> list[Link]:
        """Connections that have not logged in."""
        return [*self._waiting, *self._patient]

    @property
    def leaving(self) -> list[Link]:
        """Connections whose stream has ended, and that are to be gone soon."""
        return list(self._leaving)

    def add(self, link: Link) -> None:
        self._waiting[link] = self.tick + self._login_timeout_s

    def extend(self, link: Link, seconds: int) -> None:
        """Let a connection that waits have so much time from now on to log in; once, however often it is asked for."""
        if self._waiting.pop(link, None) is not None:
            self._patient[link] = self.tick + seconds

    def discard(self, link: Link) -> None:
        self._waiting.pop(link, None)
        self._patient.pop(link, None)
        self._leaving.pop(link, None)

    def abort_soon(self, link: Link) -> None:
        """Cut the connection off unless it is gone by then."""
        self._leaving[link] = self.tick + GOODBYE_S

    def sweep(self) -> None:
        """Call once a second."""
        self.tick += 1
        for link in list(self._due(self._waiting)):
            del self._waiting[link]
            link.timed_out()
        for link in [link for link, tick in self._patient.items() if tick < self.tick]:
            del self._patient[link]
            link.timed_out()
        for link in list(self._due(self._leaving)):
            del self._leaving[link]
            link.abort()

    def _due(self, links: dict[Link, int]) -> Iterable[Link]:
        for link, tick in links.items():
            if tick >= self.tick:
                return
            yield link
