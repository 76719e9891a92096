"""Edges and other regions find out where somebody logs in, and nothing more."""

import time

import pytest

from rainbow_xmpp.config import Secret
from rainbow_xmpp.regions.finding import LOGIN_HOMES, HomeFinder
from rainbow_xmpp.regions.homes import Away
from rainbow_xmpp.regions.names import names_keys
from rainbow_xmpp.testing.server import NAMES_KEY
from tests.between_regions.conftest import World


async def test_an_edge_finds_homes_by_address_and_by_localpart(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    await world.emea.person("ann@acme")
    await world.na.person("bob@acme")
    await world.settle()
    edge = world.borders.border("uk", keeps_data=False)
    finder = HomeFinder(edge, names_keys(Secret(NAMES_KEY)), clock=time.monotonic)
    assert await finder.home_of("ann") == "emea"
    assert await finder.home_of("bob@acme.example") == "na"
    assert await finder.home_of("nobody") is None
    asked = [crossed for crossed in world.borders.crossed if crossed[2] == LOGIN_HOMES]
    assert not any(name in crossed[3] for crossed in asked for name in (b"ann", b"bob", b"nobody"))
    assert all(len(crossed[3]) < 40 for crossed in asked)
    before = len(asked)
    assert (await finder.home_of("ann"), await finder.home_of("nobody")) == ("emea", None)
    assert len([crossed for crossed in world.borders.crossed if crossed[2] == LOGIN_HOMES]) == before


async def test_nobody_is_said_to_be_nowhere_while_a_region_is_away(world: World) -> None:
    await world.company("acme", world.emea)
    await world.emea.person("ann@acme")
    await world.settle()
    edge = world.borders.border("uk", keeps_data=False)
    finder = HomeFinder(edge, names_keys(Secret(NAMES_KEY)), clock=time.monotonic)
    world.borders.cut.add(frozenset(("uk", "na")))
    assert await finder.home_of("ann") == "emea"
    with pytest.raises(Away):
        await finder.home_of("nobody")
    world.borders.cut.clear()
    assert await finder.home_of("nobody") is None
