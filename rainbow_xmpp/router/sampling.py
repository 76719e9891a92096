"""Every so many stanzas one is looked at closely; all others take the way as it is.

`Inbound` counts down and hands the one over; it is then handled by a twin of `Inbound`, which a sampler may have
changed as it likes.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from rainbow_xmpp.observe.histogram import Histogram
from rainbow_xmpp.session import Session

if TYPE_CHECKING:
    from rainbow_xmpp.router.traced import Span

EVERY = 64


class Handles(Protocol):
    """What handles a stanza."""

    def handle(self, session: Session, data: bytes) -> Awaitable[None] | None: ...


class Twin(Handles, Protocol):
    """The twin of `Inbound`."""

    def leave_trace(self, root: Span) -> None:
        """Let what this twin handles leave a trace."""


class Sampler(Protocol):
    """Looks at sampled stanzas."""

    def unseen(self) -> int:
        """How many stanzas pass before the next one that is looked at."""

    def handle(self, twin: Twin, session: Session, data: bytes) -> Awaitable[None] | None:
        """Let the twin handle this one. What it raises is raised."""


class StanzaTimer:
    """Measures how long a stanza takes from being read to being handed on, its waiting included."""

    def __init__(self, times: Histogram, every: int = EVERY) -> None:
        self._times = times
        self._unseen = every - 1

    def unseen(self) -> int:
        return self._unseen

    def handle(self, twin: Handles, session: Session, data: bytes) -> Awaitable[None] | None:
        began = perf_counter()
        pending = twin.handle(session, data)
        if pending is None:
            self._times.observe(perf_counter() - began)
            return None
        return self._later(pending, began)

    async def _later(self, pending: Awaitable[None], began: float) -> None:
        try:
            await pending
        finally:
            self._times.observe(perf_counter() - began)
