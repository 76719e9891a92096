"""The strict server under attack, and two people who chat there meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest_asyncio

from tests.plugins.conftest import quick_pins
from tests.process import RainbowServer
from tests.security.bystanders import Bystanders, Holdings
from tests.security.raw import Streams
from tests.strict_server import new_address

__all__ = ["quick_pins"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bystanders(strict_process: RainbowServer) -> AsyncIterator[Bystanders]:
    """They chat through all tests of this file; at the end the server holds no more than it did before."""
    holdings = Holdings(strict_process.pid)
    pair = Bystanders(strict_process, new_address())
    pair.arrive()
    sockets, resident_kib = holdings.sockets, holdings.resident_kib
    try:
        yield pair
        await holdings.until_sockets(sockets)
        assert holdings.resident_kib < resident_kib + 40_000
    finally:
        pair.leave()


@pytest_asyncio.fixture(loop_scope="module")
async def target(strict_process: RainbowServer, bystanders: Bystanders) -> AsyncIterator[RainbowServer]:
    """The server under attack; afterwards everybody else must be well and its log clean."""
    since = strict_process.log_file.stat().st_size
    bystanders.start()
    yield strict_process
    await bystanders.assert_well()
    strict_process.assert_no_fault(since)


@pytest_asyncio.fixture(loop_scope="module")
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def raw(target: RainbowServer, stack: AsyncExitStack, source: str) -> Callable[..., Awaitable[Streams]]:
    """Opens TLS connections (or plain ones, `tls=False`) on which nothing is said."""

    async def open_one(
        *, tls: bool = True, alpn: tuple[str, ...] = (), port: int = 0, at: str = ""
    ) -> Streams:
        endpoint = target.endpoint
        options = {"ssl": endpoint.tls_context(alpn), "server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection(
            endpoint.host,
            port or endpoint.port,
            local_addr=(at or source, 0),
            **options,  # type: ignore[arg-type]
        )
        stack.callback(writer.transport.abort)
        return reader, writer

    return open_one
