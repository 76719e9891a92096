"""What regions say to each other: questions with answers, from region to region, sealed on the way.

A border loses what it is given when a link is down, and says so: who asks hears `Unreachable` and asks again, so
whoever serves must bear the same request twice. Nothing of it is kept on the way. Services are named by what they do,
never by whom they concern: names are seen in logs and monitoring.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from rainbow_xmpp.errors import RainbowError

Serve = Callable[[str, bytes], Awaitable[bytes]]
"""Answers a request of a region: (the region that asks, which is proven, its request) -> the answer.

Whatever it raises, the asking region hears `Refused`, and no reason.
"""

ANSWER_S = 2.0
"""So long an answer may take, where nothing else is said."""
MOST_BYTES = 1_000_000
"""More a request cannot have, nor an answer: what is larger is cut by whoever sends it."""
SERVICE_NAME = r"[a-z][a-z0-9-]{1,31}(?:\.[a-z0-9-]{1,32})?"
"""What a service may be called: one or two words of a subject."""
EDGE_SERVICE = "edge"
"""What edges may ask for, this or `edge.` and another word; all other services refuse them."""


def is_for_edges(service: str) -> bool:
    """Whether an edge may ask for it."""
    return service.partition(".")[0] == EDGE_SERVICE


class Unreachable(RainbowError):
    """A region did not answer in time, or there is no way to it at the moment: perhaps it has the request."""


class Refused(RainbowError):
    """A region answered that it will not, or cannot, do this."""


class TooLarge(Refused):
    """A request has more than MOST_BYTES; nothing was sent."""


class Border(Protocol):
    """This region's way to the others."""

    @property
    def here(self) -> str:
        """The region that speaks; an edge's name at an edge."""

    @property
    def others(self) -> Sequence[str]:
        """The other regions that keep data."""

    async def ask(self, region: str, service: str, request: bytes, *, within_s: float = ANSWER_S) -> bytes:
        """What a service of a region, or of an edge, answers. Raises Unreachable and Refused."""

    async def serve(self, service: str, handler: Serve) -> None:
        """Answer what other regions ask of this service from now on.

        Where several nodes of a region serve it, each request reaches one of them.
        """

    async def close(self) -> None:
        """Finish what is being answered, and be gone."""
