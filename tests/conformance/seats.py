"""Bound resources that a test reads from in one way, whether they are in memory or behind a socket."""

from typing import Protocol
from xml.etree.ElementTree import Element

from rainbow_xmpp.testing import Client
from tests.conformance.wire import Wire


class Seat(Protocol):
    """One bound resource."""

    @property
    def jid(self) -> str:
        """The full JID."""

    async def say(self, stanza: str) -> None:
        """Send a stanza and wait until the server has done with it."""

    async def take(self) -> list[Element]:
        """Everything that has come and was not taken yet."""


class MemorySeat:
    """A resource of a `TestServer`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def jid(self) -> str:
        return self._client.jid

    async def say(self, stanza: str) -> None:
        self._client.send(stanza)

    async def take(self) -> list[Element]:
        return await self._client.rest()


class WireSeat:
    """A resource behind a connection."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def jid(self) -> str:
        return self._wire.jid

    async def say(self, stanza: str) -> None:
        await self._wire.send(stanza)
        await self._wire.settle()

    async def take(self) -> list[Element]:
        await self._wire.settle()
        taken = list(self._wire.inbox)
        self._wire.inbox.clear()
        return taken
