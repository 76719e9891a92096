"""Every so many stanzas one is looked at closely; all others take the way as it is.

`Inbound` counts down and hands the one over to a sampler, which lets it be handled.
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


class Inbound(Handles, Protocol):
    """The router's."""

    def traced(self, root: Span) -> Handles:
        """A twin, for one stanza, which leaves a trace."""


class Sampler(Protocol):
    """Looks at sampled stanzas."""

    def unseen(self) -> int:
        """How many stanzas pass before the next one that is looked at.

        With 0 every stanza is, and `Inbound` itself must not be asked to handle it: a twin can.
        """

    def handle(self, inbound: Inbound, session: Session, data: bytes) -> Awaitable[None] | None:
        """Let it handle this one. What it raises is raised."""


class StanzaTimer:
    """Measures how long a stanza takes from being read to being handed on, its waiting included."""

    def __init__(self, times: Histogram, every: int = EVERY) -> None:
        self._times = times
        self._unseen = every

    def unseen(self) -> int:
        return self._unseen

    def handle(self, inbound: Handles, session: Session, data: bytes) -> Awaitable[None] | None:
        began = perf_counter()
        pending = inbound.handle(session, data)
        if pending is None:
            self._times.observe(perf_counter() - began)
            return None
        return self._later(pending, began)

    async def _later(self, pending: Awaitable[None], began: float) -> None:
        try:
            await pending
        finally:
            self._times.observe(perf_counter() - began)
