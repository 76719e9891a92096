"""The bus over NATS (core NATS; no JetStream, nothing is stored)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from rainbow_xmpp.bus import Handler
from rainbow_xmpp.config.cluster import ClusterConfig
from rainbow_xmpp.errors import RainbowError

log = logging.getLogger(__name__)

CONNECT_S = 5
RECONNECT_S = 0.25
"""Between two tries to get a connection back."""
PING_S = 2
MOST_PINGS = 2
"""So many may be unanswered; then the server is taken for gone."""
MOST_WAITING = 10_000
"""Pieces of data that wait for a connection; what comes on top of them is dropped, oldest first."""


OnError = Callable[[Exception], Awaitable[None]]


class BusUnreachable(RainbowError):
    """No server of the bus answers; the text says which, for administrators."""


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """asyncio warns at the end of each TLS connection of the client, of what makes no difference to it."""
    return "eof_received() has no effect" not in record.getMessage()


async def connect(
    config: ClusterConfig, name: str, *, inbox: str = "_INBOX", on_error: OnError | None = None
) -> Client:
    """A connection to the servers of a region, which comes back by itself whenever it is lost.

    `name` is what their monitoring calls it, `inbox` what the subjects of answers begin with; `on_error` hears what the
    server has against something. Raises BusUnreachable.
    """
    client = Client()
    logging.getLogger("asyncio").addFilter(_is_worth_saying)

    async def on_disconnect() -> None:
        if not client.is_closed:  # it was not we who closed it
            log.warning("the connection to the bus is lost; what other nodes must know waits")

    try:
        connecting = client.connect(
            servers=list(config.servers),
            name=name,
            inbox_prefix=inbox,
            user=config.user or None,
            password=config.password.reveal() or None,
            tls=_tls(config),
            connect_timeout=CONNECT_S,
            reconnect_time_wait=RECONNECT_S,  # type: ignore[arg-type]  # it sleeps so long, fractions too
            max_reconnect_attempts=-1,
            allow_reconnect=True,
            ping_interval=PING_S,
            max_outstanding_pings=MOST_PINGS,
            error_cb=on_error or _on_error,
            disconnected_cb=on_disconnect,
            reconnected_cb=_on_reconnect,
        )
        await asyncio.wait_for(connecting, CONNECT_S)  # by itself it would try for ever
    except (TimeoutError, OSError, NatsError) as error:
        servers = ", ".join(config.servers)
        raise BusUnreachable(
            f"cluster.servers: no NATS server answers at {servers} ({str(error) or type(error).__name__})"
        ) from None
    return client


class NatsBus:
    """Open it with `NatsBus.connect`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MOST_WAITING)
        self._has_more = asyncio.Event()
        self._sender = asyncio.create_task(self._send())

    @classmethod
    async def connect(cls, config: ClusterConfig, name: str) -> Self:
        """Raises BusUnreachable. `name` is what the server's monitoring calls this connection."""
        return cls(await connect(config, name))

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    def publish(self, subject: str, data: bytes) -> None:
        self._waiting.append((subject, data))
        self._has_more.set()

    async def subscribe(self, subject: str, handler: Handler) -> None:
        async def take(message: Msg) -> None:
            handler(message.data)

        await self._client.subscribe(subject, cb=take)
        await in_effect(self._client)

    async def close(self) -> None:
        self._sender.cancel()
        if self._client.is_connected:
            await self._publish_all()
        try:
            await self._client.drain()
        except (NatsError, OSError):  # it is gone already
            await self._client.close()

    async def _send(self) -> None:
        """One task for everything: publishing wants to be awaited, and who publishes must not wait."""
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            await self._publish_all()

    async def _publish_all(self) -> None:
        while self._waiting:
            subject, data = self._waiting.popleft()
            try:
                await self._client.publish(subject, data)
            except (NatsError, OSError) as error:  # lost, as whatever is published without a connection
                log.debug("the bus does not take anything: %s", type(error).__name__)
                return


async def in_effect(client: Client) -> None:
    """Returns when the server knows of what was subscribed.

    nats-py writes its ping past what it still holds back (2.16): the answer to the first one may come before that has
    left, the answer to the second one comes behind it.
    """
    await client.flush()
    await client.flush()


def _tls(config: ClusterConfig) -> ssl.SSLContext | None:
    if not config.ca and not any(server.startswith("tls://") for server in config.servers):
        return None
    context = ssl.create_default_context(cafile=config.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _on_error(error: Exception) -> None:
    """Each try to get a connection that fails comes here, too; that it is lost has been said."""
    log.debug("the bus: %s", error or type(error).__name__)


async def _on_reconnect() -> None:
    log.info("there is a connection to the bus again")
