"""Writes once what is sent to a connection within one turn of the event loop.

Each write costs a TLS record, a system call and a wake-up at the other end; several stanzas for one session within
a turn (a burst of chat, presence at login, a roster and what follows it) share them. Nothing is delayed by a
timer: the flush comes after the sockets that were ready have been read, before the loop waits again.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

MOST_PARTS = 128
"""A connection with so much to write does not wait for the end of the turn."""


class Flushed(Protocol):
    def flush(self) -> None:
        """Write what was collected."""


class Outbox:
    """The connections that have something to write in this turn."""

    def __init__(self) -> None:
        self._links: list[Flushed] = []

    def add(self, link: Flushed) -> None:
        """Flush this connection at the end of the turn."""
        if not self._links:
            asyncio.get_running_loop().call_soon(self._flush)
        self._links.append(link)

    def _flush(self) -> None:
        links, self._links = self._links, []
        for link in links:
            link.flush()
