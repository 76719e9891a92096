"""Where plays and other conversations are performed: a server in memory, ours behind sockets, Debian's Prosody."""

from __future__ import annotations

from typing import Literal
from xml.etree.ElementTree import Element

from rainbow_xmpp.testing.play import Device, Member
from tests.conformance.wire import ConnectionEnded, Wire
from tests.doors import Door
from tests.process import ChatServer, Person

VenueName = Literal["memory", "wss", "tls", "prosody"]


class WireSeat:
    """A resource behind a connection; see `Seat`."""

    def __init__(self, wire: Wire, patience_s: float, server: ChatServer) -> None:
        self._wire = wire
        self._patience_s = patience_s
        self._server = server

    @property
    def jid(self) -> str:
        return self._wire.jid

    async def send(self, stanza: str) -> None:
        await self._wire.send(stanza)

    async def settle(self) -> None:
        await self._wire.settle()
        await self._server.carried()

    async def next(self) -> Element | None:
        try:
            return await self._wire.recv(self._patience_s)
        except (TimeoutError, ConnectionEnded):
            return None

    async def rest(self) -> list[Element]:
        await self._wire.settle()
        taken = list(self._wire.inbox)
        self._wire.inbox.clear()
        return taken

    async def close(self) -> None:
        await self._wire.close()

    async def cut(self) -> None:
        self._wire.abort()


class WireVenue:
    """A server behind sockets; see `Venue`. `patience_s` is how long something expected may take."""

    def __init__(self, door: Door, patience_s: float = 10) -> None:
        self._door = door
        self._patience_s = patience_s
        self._people: dict[str, Person] = {}

    @property
    def domain(self) -> str:
        return self._door.server.endpoint.domain

    async def admit(self, member: Member) -> str:
        person = self._people[member.name] = self._door.server.new_person(member.company)
        return person.jid

    async def log_in(self, device: Device) -> WireSeat:
        person = self._people[device.person]
        wire = await self._door.log_in(person, presence="", resource=device.name)
        return WireSeat(wire, self._patience_s, self._door.server)


PROSODY_HAS = {
    "blocking",
    "disco",
    "entity_time",
    "last_activity",
    "offline",
    "ping",
    "private_xml",
    "software_version",
    "vcard_temp",
}
"""What plays need of our plugins and Prosody has as well."""
