"""Two nodes of one region, in this process: one database, and a bus that does what a test says."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from rainbow_xmpp.config import ClusterConfig
from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.company_roster import CompanyRoster
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.pep import Pep
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.bus import Hub
from tests.databases import Databases, _make, databases

__all__ = ["databases"]
PLUGINS = (
    Archive,
    Blocking,
    Caps,
    Carbons,
    CompanyIsolation,
    CompanyRoster,
    Disco,
    Pep,
)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def shared_database(databases: Databases) -> str:
    return _make(databases, "postgresql", migrated=True)


@pytest.fixture
async def nodes(shared_database: str, hub: Hub) -> AsyncIterator[list[TestServer]]:
    """Nodes 1 and 2."""
    async with AsyncExitStack() as running:
        yield [
            await running.enter_async_context(
                TestServer(
                    PLUGINS,
                    database=shared_database,
                    cluster=ClusterConfig(servers=("nats://in-memory",), number=number, gone_after_s=2),
                    bus=hub.bus(),
                )
            )
            for number in (1, 2)
        ]
