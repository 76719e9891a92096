"""Fixtures of the interop tests: two people, a peer to talk to, a line that can be cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.interop.client import SLIXMPP, Client, running
from tests.interop.relay import Relay, relay
from tests.process import ChatServer, Person


@pytest.fixture
def people(server: ChatServer) -> tuple[Person, Person]:
    """The person with the client under test, and the friend."""
    return server.new_person(), server.new_person()


@pytest.fixture
async def peer(server: ChatServer, people: tuple[Person, Person], tmp_path: Path) -> AsyncIterator[Client]:
    """The friend's slixmpp, online, for the client under test to talk to."""
    async with running(SLIXMPP, server.endpoint, tmp_path) as client:
        await client.login(people[1], server.endpoint)
        yield client


@pytest.fixture
async def line(server: ChatServer) -> AsyncIterator[Relay]:
    """The network between the client under test and the server."""
    async with relay(server.endpoint.host, server.endpoint.port) as made:
        yield made
