"""The HTTP protocol behind the one port: time limits, and bytes that were read before it was chosen."""

import asyncio

import pytest
from aiohttp import web

from rainbow_xmpp.http import handler as http_handler
from rainbow_xmpp.http.app import make_app
from rainbow_xmpp.http.handler import make_handler
from tests.unit.http_client import exchange, parsed, serving, site


async def test_a_protocol_goes_on_with_bytes_that_another_has_read() -> None:
    handler = await make_handler(make_app(site()))
    loop = asyncio.get_running_loop()

    class Sniffing(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            protocol = handler()
            self.transport.set_protocol(protocol)
            protocol.connection_made(self.transport)
            protocol.data_received(data)

    server = await loop.create_server(Sniffing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    raw = await exchange(port, request + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    server.close()
    await handler.close(0.1)
    assert raw.count(b"HTTP/1.1 200 OK\r\n") == 3


@pytest.mark.parametrize(
    "beginning", [b"", b"GET / HTTP/1.1\r\nHost:", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /"]
)
async def test_a_slow_head_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(http_handler, "_LIMITS", dict(http_handler._LIMITS) | {"keepalive_timeout": 0.2})
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.05)
                writer.write(b"a")

        dripping = asyncio.create_task(drip())
        raw = await asyncio.wait_for(reader.read(), 5)
        dripping.cancel()
        writer.close()
    assert raw.count(b"HTTP/1.1 200") == beginning.count(b"\r\n\r\n")


async def test_closing_ends_idle_connections_at_once() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_closing_ends_a_handler_that_does_not_come_to_an_end() -> None:
    begun = asyncio.Event()

    async def endless(_: web.Request) -> web.Response:
        begun.set()
        await asyncio.Event().wait()
        return web.Response()

    app = make_app(site())
    app.router.add_get("/endless", endless)
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 5)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_body_nobody_reads_does_not_become_the_next_request() -> None:
    inner = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: {len(inner)}\r\n\r\n".encode()
    async with serving() as port:
        raw = await exchange(
            port, head + inner + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    assert raw.count(b"HTTP/1.1 ") == 2
    assert parsed(raw).status == 404
    assert raw.endswith(b"ok\n")
