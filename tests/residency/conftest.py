"""Two regions in this process: a database and a server each, and a border that does what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from rainbow_xmpp.border import Refused
from rainbow_xmpp.config import ClusterConfig
from rainbow_xmpp.config.regions import Region, RegionKind
from rainbow_xmpp.moving import words
from rainbow_xmpp.moving.keys import RegionKeys
from rainbow_xmpp.moving.mover import Mover
from rainbow_xmpp.moving.words import SERVICE
from rainbow_xmpp.plugin.discovery import find_plugins
from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.last_activity import LastActivity
from rainbow_xmpp.plugins.pep import Pep
from rainbow_xmpp.plugins.private_xml import PrivateXml
from rainbow_xmpp.plugins.vcard_temp import VCardTemp
from rainbow_xmpp.store.values import CompanySettings, Visibility
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.border import FakeBorders

find_plugins()  # every table that ours declare, as a server that serves regions has them

REGIONS = MappingProxyType(
    {
        "emea": Region(country="FR", hosts=("emea.chat.test",)),
        "na": Region(country="CA", hosts=("na.chat.test",)),
        "health": Region(country="FR", kind=RegionKind.RESTRICTED, hosts=("health.chat.test",)),
    }
)


PLUGINS = (Archive, CompanyIsolation, LastActivity, Pep, PrivateXml, VCardTemp)


@dataclass
class World:
    """What a test has."""

    emea: TestServer
    na: TestServer
    borders: FakeBorders

    def close(self) -> None:
        """Nothing that is sent comes to the other region, for the moment; what asks it beforehand does."""
        served = self._served = self.borders._serving["na", SERVICE]

        async def nothing_arrives(origin: str, request: bytes) -> bytes:
            if not isinstance(words.words(request), words.Begin):
                raise Refused(origin)
            return await served(origin, request)

        self.borders._serving["na", SERVICE] = nothing_arrives

    def open(self) -> None:
        """It does so again."""
        self.borders._serving["na", SERVICE] = self._served

    async def tell_of_companies(self) -> None:
        """Companies are known in all regions."""
        assert self.emea.node.neighbours.reach is not None
        await self.emea.node.neighbours.reach.companies.tell()

    def mover(self, server: TestServer) -> Mover:
        """The part that moves people from there."""
        assert server.node.neighbours.mover is not None
        return server.node.neighbours.mover

    def keys(self, server: TestServer) -> RegionKeys:
        """The keys of a region."""
        return RegionKeys(server.node.sealer)

    async def go(self, server: TestServer) -> None:
        """Go on with moves from there, until they are over or wait for something."""
        await self.mover(server).look()
        await self.emea.settle()
        await self.na.settle()

    async def erase(self, server: TestServer) -> None:
        """The jobs that delete what removed accounts left in the logs."""
        archive = server.plugin(Archive)
        for _ in range(3):
            await archive.keeping.erase()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    borders = FakeBorders()
    ends = {region: borders.border(region) for region in ("emea", "na")}
    async with AsyncExitStack() as running:
        servers = []
        # Nodes of all regions have numbers of their own: messages keep their ids wherever their owner goes.
        for number, border in enumerate(ends.values(), 1):
            server = TestServer(PLUGINS, regions=REGIONS, border=border, cluster=ClusterConfig(number=number))
            await running.enter_async_context(server)
            servers.append(server)
        made = World(*servers, borders)
        await made.emea.store.companies.add(
            "acme", "emea", Visibility.PRIVATE, settings=CompanySettings(regions=("na",))
        )
        yield made
