"""Regions of a test: each a server with a database of its own, with a border in memory between them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.plugin import Plugin
from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.plugins.region_routing import RegionRouting
from rainbow_xmpp.plugins.usage import Usage
from rainbow_xmpp.plugins.vcard_temp import VCardTemp
from rainbow_xmpp.store.values import Company, CompanySettings, Visibility
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.border import FakeBorders
from tests.databases import Databases, _make, databases

__all__ = ["databases"]

REGIONS = {
    "emea": Region(country="FR", hosts=("emea.rainbow.test",)),
    "na": Region(country="CA", hosts=("na.rainbow.test",)),
    "de": Region(country="DE", hosts=("de.rainbow.test",)),
}
PLUGINS: list[type[Plugin]] = [
    Archive, Blocking, Carbons, CompanyIsolation, Disco, ForgeryGuard, Offline, RegionRouting,
    Usage, VCardTemp
]  # fmt: skip


@dataclass
class World:
    """The regions of a test."""

    borders: FakeBorders
    emea: TestServer
    na: TestServer
    de: TestServer

    @property
    def servers(self) -> list[TestServer]:
        return [self.emea, self.na, self.de]

    async def settle(self) -> None:
        """Everything that was said has arrived everywhere."""
        for _ in range(2):
            for server in self.servers:
                await server.node.watch.poll()
            await self.borders.settle(self.servers)
            await asyncio.sleep(0.03)

    async def company(
        self, name: str, home: TestServer, *also: TestServer, visibility: Visibility = Visibility.PRIVATE
    ) -> Company:
        """A company at home in one region that uses others, which know of it."""
        also_there = tuple(server.node.regions.here for server in also)
        made = await home.store.companies.add(
            name, home.node.regions.here, visibility, settings=CompanySettings(regions=also_there)
        )
        await home.node.watch.poll()
        assert home.node.neighbours.reach is not None, "there is a border"
        await home.node.neighbours.reach.companies.tell()
        await self.settle()
        return made


@pytest.fixture
def postgresql(databases: Databases) -> Iterator[str]:
    """Of na; the others have SQLite, so that whatever crosses is written by both."""
    url = _make(databases, "postgresql", migrated=True)
    yield url
    databases.give_back(url)


@pytest.fixture
async def world(postgresql: str) -> AsyncIterator[World]:
    borders = FakeBorders()
    ends = [borders.border(name) for name in REGIONS]
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                TestServer(
                    plugins=PLUGINS,
                    border=end,
                    regions=REGIONS,
                    database=postgresql if end.here == "na" else "",
                )
            )
            for end in ends
        ]
        yield World(borders, *servers)
