"""Opens what the configuration names, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from rainbow_xmpp.auth.throttle import source_of
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.http.metrics import MetricsListener, listen_for_scrapes
from rainbow_xmpp.observe.metrics import Exposition
from rainbow_xmpp.plugin.offers_relay import RelayDoor
from rainbow_xmpp.transport.accept import PlainAcceptor, TlsAcceptor, TlsUpgrade, listening_socket
from rainbow_xmpp.transport.client_hello import offers
from rainbow_xmpp.transport.direct_tls import UpgradedLink
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.passing import Passages, ways_elsewhere
from rainbow_xmpp.transport.port import Mux, PortShared
from rainbow_xmpp.transport.proxy_header import Arrival
from rainbow_xmpp.transport.redirect import redirect_factory
from rainbow_xmpp.transport.tls import ALPN_TURN


class CannotListen(RainbowError):
    """A port cannot be opened; says which, and why."""


class Listener(Protocol):
    """A listening socket; `close` accepts nothing more and lets connections go on."""

    def close(self) -> object: ...


class Passing(Protocol):
    """A connection that goes through this server to another region."""

    def abort(self) -> None: ...


class Listeners:
    """All listening sockets of a node."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._metrics: MetricsListener | None = None
        self._passages: Passages | None = None
        self._handshakes: list[TlsAcceptor | TlsUpgrade] = []

    async def open(
        self,
        config: Config,
        port: PortShared,
        context: ssl.SSLContext,
        exposition: Exposition,
        *,
        quick: bool,
    ) -> None:
        """Open every configured port; CannotListen when one of them is taken or not allowed."""
        listen, loop, timeout_s = config.listen, asyncio.get_running_loop(), config.limits.handshake_timeout_s
        links = port.links
        if config.passes_on and (ways := ways_elsewhere(config)):
            self._passages = Passages(ways, links, most=config.elsewhere.passed_connections)
        with _explained("listen.port", listen.port):
            acceptor = TlsAcceptor(
                partial(Mux, port),
                context,
                quick=quick,
                handshake_timeout_s=timeout_s,
                admit=partial(_entered, links),
                failed=partial(_handshake_failed, links),
                diverts=_diversions(port, self._passages),
                proxy_from=listen.proxy_from,
            )
            acceptor.listen(listen.address, listen.port)
            self._listeners.append(acceptor)
            self._handshakes.append(acceptor)
        if listen.plain_port:
            with _explained("listen.plain_port", listen.plain_port):
                behind = PlainAcceptor(
                    partial(Mux, port),
                    admit=partial(_entered, links),
                    failed=partial(_left, links),
                    proxy_from=listen.proxy_from,
                    only_proxies=True,
                )
                behind.listen(listen.plain_address, listen.plain_port)
                self._listeners.append(behind)
        if listen.redirect_port:
            with _explained("listen.redirect_port", listen.redirect_port):
                redirect = redirect_factory(
                    config.public_url,
                    admit=partial(_entered, links),
                    left=partial(_left, links),
                )
                sock = listening_socket(listen.address, listen.redirect_port)
                self._listeners.append(await loop.create_server(redirect, sock=sock))
        if listen.starttls_port:
            upgrade = TlsUpgrade(context, quick=quick, handshake_timeout_s=timeout_s)
            self._handshakes.append(upgrade)
            with _explained("listen.starttls_port", listen.starttls_port):
                before_tls = PlainAcceptor(
                    partial(_Plain, links, upgrade),
                    admit=partial(_entered, links),
                    failed=partial(_left, links),
                    proxy_from=listen.proxy_from,
                )
                before_tls.listen(listen.address, listen.starttls_port)
                self._listeners.append(before_tls)
        if config.metrics.port:
            with _explained("metrics.port", config.metrics.port):
                self._metrics = await listen_for_scrapes(
                    exposition, config.metrics.address, config.metrics.port
                )

    @property
    def passages(self) -> Sequence[Passing]:
        """Connections that are passed on."""
        return [] if self._passages is None else self._passages.all_open

    def set_handshake_timeout(self, timeout_s: float) -> None:
        """For handshakes that begin from now on."""
        for handshakes in self._handshakes:
            handshakes.set_handshake_timeout(timeout_s)

    async def close(self) -> None:
        """Accept nothing more; connections go on, but for those that are passed on: they find another way."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._passages is not None:
            self._passages.close()
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            await metrics.close()


def _entered(links: LinkShared, address: str) -> bool:
    return links.entered(source_of(address))


def _left(links: LinkShared, address: str) -> None:
    links.left(source_of(address), was_half_open=True)


def _handshake_failed(links: LinkShared, address: str) -> None:
    links.counters.handshakes_failed += 1
    _left(links, address)


Divert = Callable[[bytes, socket.socket, Arrival], bool]


def _diversions(port: PortShared, passages: Passages | None) -> Divert | None:
    """Who gets connections by what they begin with."""
    diverts: list[Divert] = []
    if port.relay is not None:
        diverts.append(partial(_to_relay, port.relay, port.links))
    if passages is not None:
        diverts.append(passages.take)
    if not diverts:
        return None
    return lambda first, sock, arrival: any(take(first, sock, arrival) for take in diverts)


def _to_relay(
    relay: RelayDoor, links: LinkShared, first: bytes, sock: socket.socket, arrival: Arrival
) -> bool:
    """A client that offers `stun.turn` and nothing else goes to the relay with its handshake (RFC 7443)."""
    if not relay.is_open or not offers(first, ALPN_TURN.encode()):
        return False
    try:
        server = sock.getsockname()
    except OSError:
        return False
    if not relay.pass_connection(sock, (arrival.address, arrival.port), server[:2], is_clear=False):
        return False
    _left(links, arrival.address)  # the relay has limits of its own
    return True


class _Plain(asyncio.Protocol):
    """A connection to the STARTTLS port: a stream that must begin with TLS (RFC 6120 §5)."""

    def __init__(self, links: LinkShared, upgrade: TlsUpgrade, arrival: Arrival) -> None:
        self._links = links
        self._upgrade = upgrade
        self._source = source_of(arrival.address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain: Any = transport
        link = UpgradedLink(self._links, self._source, upgrade=lambda link: self._upgrade.begin(plain, link))
        plain.set_protocol(link)
        link.connection_made(plain)


@contextmanager
def _explained(key: str, number: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotListen(f"port {number} ({key}) cannot be opened: {reason}") from None
