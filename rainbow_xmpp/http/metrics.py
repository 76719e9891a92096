"""The metrics listener: `/metrics` for Prometheus, in plain text on an address of its own."""

import asyncio

from aiohttp import web

from rainbow_xmpp.http.handler import HttpHandler, make_handler
from rainbow_xmpp.http.headers import PLAIN_TEXT_HEADERS
from rainbow_xmpp.observe.metrics import CONTENT_TYPE, Exposition


class MetricsListener:
    """A running listener; made by `listen_for_scrapes`."""

    def __init__(self, server: asyncio.Server, handler: HttpHandler) -> None:
        self._server = server
        self._handler = handler

    @property
    def port(self) -> int:
        """The port it really listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end the connections."""
        self._server.close()
        await self._handler.close(timeout_s=1.0)


async def listen_for_scrapes(exposition: Exposition, address: str, port: int) -> MetricsListener:
    """Serve `/metrics` at this address; raises OSError when the port is taken.

    There is neither TLS nor a password: the address belongs inside, and is loopback as shipped.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition.render(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    handler = await make_handler(app, headers=PLAIN_TEXT_HEADERS)
    server = await asyncio.get_running_loop().create_server(handler, address, port)
    return MetricsListener(server, handler)
