"""aiohttp behind the one port: one protocol object for each connection, and no trace of what answers.

aiohttp names itself and its version in a `Server` header, and answers what it cannot parse by itself, past
every middleware. Both are mended at the two places every answer comes through: the request object, which is
asked just before the headers are written, and the connection's `handle_error`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import http_exceptions, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from rainbow_xmpp.http.headers import SECURITY_HEADERS, harden
from rainbow_xmpp.observe.metrics import Counters

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
"""How long a connection may wait for the whole head of its next request."""

HANDLER_TIMEOUT_S = 20
"""How long a request may take, its body included."""

MAX_BODY_BYTES = 65_536

_LIMITS: Mapping[str, Any] = {
    "keepalive_timeout": KEEPALIVE_S,
    "max_line_size": 4096,
    "max_field_size": 8190,
    "max_headers": 64,
    # For how long the rest of a body nobody asked for is read and thrown away.
    "lingering_time": 2.0,
    "access_log": None,
    "auto_decompress": False,  # no decompression bombs; a compressed body is refused by whoever reads it
    "logger": log,
}


class HttpHandler:
    """Makes a protocol for each HTTP connection: `handler(address)`, then `connection_made`, then `data_received`.

    Made by `make_handler`; its owner calls `close` at the end.
    """

    def __init__(self, runner: web.AppRunner, headers: Mapping[str, str], counters: Counters) -> None:
        served = runner.server
        assert served is not None
        self._runner = runner
        self._server = _Server(
            served.request_handler,
            request_factory=_request_factory(headers, counters),
            **_LIMITS,
        )

    def __call__(self, address: str = "") -> asyncio.Protocol:
        """The protocol of one new connection from this address."""
        connection = self._server()
        connection.client_address = address
        return connection

    async def close(self, timeout_s: float = 3.0) -> None:
        """End all connections; a request being answered gets this many seconds."""
        self._server.pre_shutdown()
        await self._server.shutdown(timeout_s)
        await self._runner.cleanup()


async def make_handler(
    app: web.Application,
    *,
    headers: Mapping[str, str] = SECURITY_HEADERS,
    counters: Counters | None = None,
) -> HttpHandler:
    """Start `app` and give the factory of its connections; `headers` go out with every answer."""
    # The runner is wanted for starting and stopping the application; it has no listener.
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    return HttpHandler(runner, headers, counters or Counters())


def _request_factory(headers: Mapping[str, str], counters: Counters) -> Callable[..., web.BaseRequest]:
    loop = asyncio.get_running_loop()

    class Request(web.Request):
        """A request whose answer is hardened last of all, whoever made it."""

        async def _prepare_hook(self, response: web.StreamResponse) -> None:
            await super()._prepare_hook(response)
            harden(response.headers, headers)

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        counters.http_requests += 1
        return Request(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)

    return make


class _Connection(web.RequestHandler):
    """One HTTP connection; differs from aiohttp's in what it says about requests it cannot read."""

    __slots__ = ("client_address",)

    client_address: str
    """Where the client is: not where the connection comes from, when a load balancer stands between."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what no handler saw or could answer; the connection ends with it.

        `message` is aiohttp's and would show which parser this is; it goes nowhere.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status < 500:
            log.debug("unreadable HTTP request: %s", type(exc).__name__)
        else:
            log.error("HTTP request failed", exc_info=exc)
        if isinstance(exc, http_exceptions.LineTooLong):
            status = 431
        response = web.Response(status=status, text=_WORDS.get(status, _WORDS[500]))
        response.force_close()
        return response


_WORDS = {
    400: "This is not a request that this server understands.\n",
    431: "This request is too large.\n",
    500: "Something went wrong on this server. The fault is ours and has been noted.\n",
}


class _Server(web.Server):
    """aiohttp's low-level server with our kind of connection."""

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)
