"""Regions that speak with each other, by the fake border and by the real one."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from rainbow_xmpp.border import Border
from rainbow_xmpp.border.nats import NatsBorder
from rainbow_xmpp.border.seal import new_key, public_key
from rainbow_xmpp.config import BorderConfig, ClusterConfig, Config, Region, RegionKind, Secret
from rainbow_xmpp.config.sections import Sections
from rainbow_xmpp.testing.border import FakeBorders
from tests.nats import Nats
from tests.regions.places import World


class Keys:
    """Private keys of regions by name."""

    def __init__(self, *names: str) -> None:
        self.private = {name: new_key() for name in names}

    def config(self, here: str, port: int, *, number: int = 0) -> Config:
        """Of a server of a region, or an edge, whose NATS server is at this port."""
        regions = {name: self._region(name) for name in self.private}
        return Config(
            domain="localhost",
            region=here,
            default_region=next(iter(regions)),
            cluster=ClusterConfig(servers=(f"nats://127.0.0.1:{port}",), number=number),
            border=BorderConfig(key=Secret(self.private[here])),
            regions=Sections(regions),
        )

    def _region(self, name: str) -> Region:
        kind = RegionKind.EDGE if name == "uk" else RegionKind.DATA
        return Region(country="FR", kind=kind, hosts=(f"{name}.example",), key=public_key(self.private[name]))


@pytest.fixture
def keys() -> Keys:
    return Keys("emea", "de", "na", "uk")


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """One server that all regions of a test hang on: it knows no borders."""
    server = Nats(tmp_path)
    server.start()
    yield server
    server.kill()


class Borders:
    """Opens ends of regions, and closes them."""

    def __init__(self, stack: AsyncExitStack, keys: Keys, nats: Nats) -> None:
        self._stack = stack
        self.keys = keys
        self.nats = nats

    async def open(self, here: str, *, clock_s: float = 0.0, private: str = "") -> NatsBorder:
        """`clock_s`: so far its clock is ahead. `private`: another key than its own."""
        config = self.keys.config(here, self.nats.port)
        if private:
            own = replace(config.regions[here], key=public_key(private))
            regions = Sections({**config.regions, here: own})
            config = replace(config, border=BorderConfig(key=Secret(private)), regions=regions)
        border = await NatsBorder.open(config)
        if clock_s:
            right = border._now
            border._now = lambda: right() + clock_s
        self._stack.push_async_callback(border.close)
        return border


@pytest.fixture
async def borders(keys: Keys, nats: Nats) -> AsyncIterator[Borders]:
    async with AsyncExitStack() as stack:
        yield Borders(stack, keys, nats)


@pytest.fixture(params=["fake", "nats"])
async def four(request: pytest.FixtureRequest, borders: Borders) -> list[Border]:
    """emea, de and na, which keep data, and the edge uk."""
    names = ("emea", "de", "na", "uk")
    if request.param == "fake":
        fake = FakeBorders()
        return [fake.border(name, keeps_data=name != "uk") for name in names]
    return [await borders.open(name) for name in names]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        await made.stop()
