"""The bus between the nodes of a region: small pieces of data to whoever listens to a subject, and no more.

What is published while a connection is down may be lost, and nobody is told; whoever needs more builds it on top
(`rainbow_xmpp.cluster.link`). No subject names a person or a company: subjects are seen in logs and monitoring.
"""

from collections.abc import Callable
from typing import Protocol

Handler = Callable[[bytes], None]


class Bus(Protocol):
    """A connection to it."""

    @property
    def is_connected(self) -> bool:
        """What is published now has a chance to arrive."""

    def publish(self, subject: str, data: bytes) -> None:
        """Hand this to everybody who listens to the subject, the publisher too; never blocks, never fails."""

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call this with what is published on the subject from now on, in the order of each publisher."""

    async def close(self) -> None:
        """Send what was published, and be gone."""
