"""Opens what the configuration names, and nothing else."""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
from typing import Any

import aiofastnet

from rainbow_xmpp.auth.throttle import source_of
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.transport.direct_tls import TcpLink
from rainbow_xmpp.transport.port import Mux, PortShared
from rainbow_xmpp.transport.quick_tls import MEMORY_BIO_BYTES
from rainbow_xmpp.transport.redirect import redirect_factory

log = logging.getLogger(__name__)

BACKLOG = 2048


class CannotListen(RainbowError):
    """A port cannot be opened; says which, and why."""


class Listeners:
    """All listening sockets of a node."""

    def __init__(self) -> None:
        self._servers: list[Any] = []

    async def open(
        self, config: Config, port: PortShared, context: ssl.SSLContext, *, quick: bool, counters: Counters
    ) -> None:
        """Open every configured port; CannotListen when one of them is taken or not allowed."""
        listen, loop = config.listen, asyncio.get_running_loop()
        timeouts = {"ssl_handshake_timeout": config.limits.handshake_timeout_s, "backlog": BACKLOG}
        create: Any = functools.partial(aiofastnet.create_server, loop) if quick else loop.create_server
        await self._open(
            "listen.port",
            listen.port,
            create(lambda: Mux(port), listen.address, listen.port, ssl=context, **timeouts),
        )
        if listen.redirect_port:
            redirect = loop.create_server(
                redirect_factory(config.public_url), listen.address, listen.redirect_port
            )
            await self._open("listen.redirect_port", listen.redirect_port, redirect)
        if listen.starttls_port:
            plain = aiofastnet.create_server(
                loop, lambda: _Plain(port, context), listen.address, listen.starttls_port, backlog=BACKLOG
            )
            await self._open("listen.starttls_port", listen.starttls_port, plain)

    async def _open(self, key: str, number: int, opening: Any) -> None:
        try:
            self._servers.append(await opening)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotListen(f"port {number} ({key}) cannot be opened: {reason.lower()}") from None

    async def close(self) -> None:
        """Accept nothing more; connections go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()


class _Plain(asyncio.Protocol):
    """A connection to the STARTTLS port: counted, then a stream that must begin with TLS (RFC 6120 §5)."""

    def __init__(self, port: PortShared, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        source = source_of(peer[0] if peer else "")
        links = self._port.links
        if not links.entered(source):
            self._transport.abort()
            return
        link = TcpLink(links, source, upgrade=self._upgrade)
        self._transport.set_protocol(link)
        link.connection_made(transport)

    def _upgrade(self, link: TcpLink) -> None:
        self._port.links.entrance.spawn(self._start_tls(link))

    async def _start_tls(self, link: TcpLink) -> None:
        try:
            secure = await aiofastnet.start_tls(
                asyncio.get_running_loop(),
                self._transport,
                link,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._port.handshake_timeout_s,
                ssl_incoming_bio_size=MEMORY_BIO_BYTES,
                ssl_outgoing_bio_size=MEMORY_BIO_BYTES,
            )
        except (OSError, ssl.SSLError) as error:
            log.debug("STARTTLS failed: %s", type(error).__name__)
            return
        link.connection_made(secure)
