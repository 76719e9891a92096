"""Plays on a `TestServer`: no sockets, a scene takes milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from rainbow_xmpp.plugin import Plugin, PluginOptions
from rainbow_xmpp.plugin.discovery import find_plugins
from rainbow_xmpp.testing.client import Client
from rainbow_xmpp.testing.play.script import Device, Member, Scene
from rainbow_xmpp.testing.server import TestServer
from rainbow_xmpp.xml import NO_LIMITS, Element, parse


class MemorySeat:
    """A resource of a `TestServer`; see `Seat`."""

    def __init__(self, server: TestServer, client: Client) -> None:
        self._server = server
        self._client = client

    @property
    def jid(self) -> str:
        return self._client.jid

    async def send(self, stanza: str) -> None:
        self._client.send(stanza)

    async def settle(self) -> None:
        await self._server.settle()

    async def next(self) -> Element | None:
        wire = self._client.wire
        if not wire.unread:
            await self._something_or_nothing()
        return parse(wire.unread.pop(0), limits=NO_LIMITS) if wire.unread else None

    async def _something_or_nothing(self) -> None:
        """Wait for a stanza, but no longer than the server has something to do; that may be to wait for an answer."""
        both = [asyncio.ensure_future(wait) for wait in (self._client.wire.arrival(), self._server.settle())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def rest(self) -> list[Element]:
        return await self._client.rest()

    async def close(self) -> None:
        await self._client.leave()

    async def cut(self) -> None:
        await self._client.leave()


class MemoryVenue:
    """A `TestServer` as the place of plays; see `Venue`."""

    def __init__(self, server: TestServer) -> None:
        self._server = server
        self._people: dict[str, str] = {}

    @property
    def domain(self) -> str:
        return self._server.domain

    async def admit(self, member: Member) -> str:
        name = f"{member.name}@{member.company.lower()}"
        self._people[member.name] = name
        return (await self._server.person(name)).bare

    async def log_in(self, device: Device) -> MemorySeat:
        client = await self._server.login(self._people[device.person], resource=device.name, available=False)
        return MemorySeat(self._server, client)


@asynccontextmanager
async def memory_venue(
    scene: Scene, plugins: Iterable[type[Plugin]] | Mapping[type[Plugin], PluginOptions] = ()
) -> AsyncIterator[MemoryVenue]:
    """A server of the scene's own, with these plugins (as `TestServer` takes them) and those that it needs."""
    chosen = dict(plugins) if isinstance(plugins, Mapping) else {cls: cls.Options() for cls in plugins}
    missing = set(scene.needs) - {cls.name for cls in chosen}
    if missing:
        found = find_plugins()
        chosen |= {found[name]: found[name].Options() for name in missing}
    async with TestServer(chosen) as server:
        yield MemoryVenue(server)
