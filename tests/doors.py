"""Ways into running servers over both transports, and people who are logged in over them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from rainbow_xmpp.store import Store
from tests.conformance.wire import Over, Wire, connect
from tests.process import ChatServer, Person, RainbowServer
from tests.strict_server import source, strict, strict_process

__all__ = [
    "Door",
    "door",
    "over",
    "server_store",
    "source",
    "strict",
    "strict_door",
    "strict_process",
    "tcp",
    "wss",
]


class Door:
    """The way into a running server over one transport; whoever comes in is cut off at the end of the test."""

    def __init__(self, server: ChatServer, over: Over, stack: AsyncExitStack, *, source: str = "") -> None:
        self.server = server
        self.over = over
        self.source = source
        self._stack = stack

    async def connect(self, over: Over | None = None, **options: Any) -> Wire:
        """A connection on which nothing has been said."""
        options = {"source": self.source, **options}
        wire = await connect(self.server.endpoint, over or self.over, **options)
        return await self._stack.enter_async_context(wire)

    async def opened(self, over: Over | None = None) -> Wire:
        """A connection whose stream is open, before authentication."""
        wire = await self.connect(over)
        await wire.open()
        return wire

    async def authenticated(self, person: Person | None = None, over: Over | None = None) -> Wire:
        """A stream that was restarted after authentication: resource binding is what comes next."""
        person = person or self.server.new_person()
        wire = await self.opened(over)
        await wire.authenticate(person.localpart, person.password)
        await wire.open()
        return wire

    async def log_in(
        self,
        person: Person | None = None,
        *,
        presence: str = "<presence/>",
        resource: str = "",
        over: Over | None = None,
    ) -> Wire:
        """A bound resource that has sent this presence ("" = none) and has nothing unread."""
        wire = await self.authenticated(person, over)
        await wire.bind(resource)
        if presence:
            await wire.send(presence)
            await wire.expect(lambda e: e.tag.endswith("}presence") and e.get("from") == wire.jid)
        return wire


@pytest.fixture(params=["wss", "tls"])
def over(request: pytest.FixtureRequest) -> Over:
    """The transport; a test that uses it runs once over each."""
    chosen: Over = request.param
    return chosen


@pytest.fixture
async def door(server: ChatServer, over: Over) -> AsyncIterator[Door]:
    """The shared server's door, over each transport in turn."""
    async with AsyncExitStack() as stack:
        yield Door(server, over, stack)


@pytest.fixture
async def tcp(server: ChatServer) -> AsyncIterator[Door]:
    """The door of direct TLS, for rules that only TCP streams have."""
    async with AsyncExitStack() as stack:
        yield Door(server, "tls", stack)


@pytest.fixture
async def wss(server: ChatServer) -> AsyncIterator[Door]:
    """The door of WebSockets, for rules that only they have."""
    async with AsyncExitStack() as stack:
        yield Door(server, "wss", stack)


@pytest.fixture
async def server_store(server: ChatServer) -> AsyncIterator[Store]:
    """The running server's database, opened as another node would open it."""
    assert isinstance(server, RainbowServer)
    store = await Store.open(f"sqlite+aiosqlite:///{server.database_file}")
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def strict_door(strict: RainbowServer, over: Over, source: str) -> AsyncIterator[Door]:
    """The strict server's door, over each transport in turn, from an address of the test's own."""
    async with AsyncExitStack() as stack:
        yield Door(strict, over, stack, source=source)
