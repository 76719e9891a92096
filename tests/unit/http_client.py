"""A raw HTTP client for tests: what stands on the wire, byte for byte, with nothing put right by a library."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from rainbow_xmpp.http.app import Readiness, Site, make_app
from rainbow_xmpp.http.handler import make_handler
from rainbow_xmpp.observe.metrics import Counters


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


WELL = Readiness({"storage": True})


def site(*, readiness: Readiness = WELL, domain: str = "chat.example.com") -> Site:
    """What the web side is told in tests."""
    return Site(
        domain=domain,
        public_url=f"https://{domain}:8443",
        websocket_url=f"wss://{domain}:8443/xmpp-websocket",
        direct_tls_host=domain,
        direct_tls_port=8443,
        readiness=lambda: readiness,
    )


@asynccontextmanager
async def serving(app: web.Application | None = None, counters: Counters | None = None) -> AsyncIterator[int]:
    """The web application on a plain port of its own; TLS is another test's."""
    handler = await make_handler(app or make_app(site()), counters=counters)
    server = await asyncio.get_running_loop().create_server(handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await handler.close(0.1)


async def exchange(port: int, request: bytes) -> bytes:
    """Send this and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def parsed(raw: bytes) -> Answer:
    """The first answer in these bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(status_line.split(" ")[1]), headers, body)


async def ask(port: int, path: str, *, method: str = "GET", accept: str = "*/*") -> Answer:
    """One request on a connection of its own."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: chat.example.com\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )
    return parsed(await exchange(port, head.encode()))
