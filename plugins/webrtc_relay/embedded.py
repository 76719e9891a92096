"""The relay that this server brings along: its process by the options, and what it reports into the accounts."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping

from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.plugin import Services
from rainbow_xmpp.plugins.webrtc_relay.accounting import Accounting
from rainbow_xmpp.plugins.webrtc_relay.options import RelayOptions
from rainbow_xmpp.plugins.webrtc_relay.sockets import CannotRelay, RelaySockets, relay_ips
from rainbow_xmpp.plugins.webrtc_relay.supervisor import Supervisor
from rainbow_xmpp.plugins.webrtc_relay.wire import RelaySettings

log = logging.getLogger(__name__)

BYTES_PER_KBIT = 125
FIRST_REST_S, LONGEST_REST_S = 1.0, 60.0
"""Between two looks whether its port and address are there."""
REFUSED = ("unauthenticated", "credentials", "quota", "capacity", "peer", "rate")
"""Kinds of refusals that are counted by name; the others are `other`."""


class EmbeddedRelay:
    """One relay, from `start` to `stop`."""

    def __init__(
        self, services: Services, options: Callable[[], RelayOptions], accounting: Accounting
    ) -> None:
        self._services = services
        self._options = options
        self._relays: list[tuple[str, str]] = []
        self._revoked: dict[str, float] = {}
        self._trying: asyncio.Task[None] | None = None
        self.sockets = RelaySockets()
        self.supervisor = Supervisor(self.sockets, self._settings, _Reports(services.counters, accounting))

    async def start(self) -> None:
        """Where it cannot be as it is configured, that is logged and tried again: chat needs no relay."""
        self._services.counters.relay_down = 1
        problem = await self._begin()
        if problem:
            log.error("%s. There is no relay for calls until that changes; it is tried again", problem)
            self._trying = asyncio.get_running_loop().create_task(self._try_again(problem), name="relay port")

    async def stop(self) -> None:
        """Calls may go on for a moment."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait([self._trying])
        await self.supervisor.stop(self._options().drain_s)

    async def _begin(self) -> str:
        """What is in the way; "" when nothing is."""
        options = self._options()
        try:
            self._relays = relay_ips(options.relay_address, options.external_address)
            self.sockets.open(options.address, options.port)
        except CannotRelay as error:
            return str(error)
        await self.supervisor.start()
        return ""

    async def _try_again(self, problem: str) -> None:
        rest_s = FIRST_REST_S
        while problem:
            await asyncio.sleep(rest_s)
            rest_s = min(rest_s * 2, LONGEST_REST_S)
            before, problem = problem, await self._begin()
            if problem not in ("", before):
                log.error("%s. There is still no relay for calls", problem)
        log.warning("the relay for calls has begun, later than the server")

    def configure(self) -> None:
        """Options have changed, or what they lead to."""
        self.supervisor.configure()

    def close_user(self, userid: str, revoked_until: int) -> None:
        """End a person's allocations; credentials that end by this Unix time (seconds) are void.

        It is remembered, and told to a process that begins after this one.
        """
        now = self._services.now()
        self._revoked = {each: until for each, until in self._revoked.items() if until > now}
        self._revoked[userid] = revoked_until
        self.supervisor.close_user(userid, revoked_until)

    def pass_connection(
        self, sock: socket.socket, client: tuple[str, int], server: tuple[str, int], *, is_clear: bool
    ) -> bool:
        """See `RelayDoor`."""
        return self.supervisor.pass_connection(sock, client, server, is_clear=is_clear)

    def _settings(self) -> RelaySettings:
        options = self._options()
        certificate, key = self._services.tls_files()
        return RelaySettings(
            realm=options.realm or self._services.domain,
            relays=self._relays,
            first_port=options.first_relay_port,
            last_port=options.last_relay_port,
            secrets=list(options.secrets),
            certificate=certificate,
            key=key,
            allow=list(options.allow_peers),
            deny=list(options.deny_peers),
            limits={
                "allocations": options.allocations,
                "per_user": options.allocations_per_person,
                "per_company": options.allocations_per_company,
                "per_source": options.allocations_per_address,
                "permissions": options.permissions_per_allocation,
                "channels": options.channels_per_allocation,
                "unauthenticated_per_second": options.unauthenticated_per_second,
            },
            allocation_rate=options.kbit_per_allocation * BYTES_PER_KBIT,
            company_rate=options.kbit_per_company * BYTES_PER_KBIT,
            total_rate=options.kbit_total * BYTES_PER_KBIT,
            connections_per_address=options.allocations_per_address,
            revoked=dict(self._revoked),
        )


class _Reports:
    """What the process says, as figures and accounts."""

    def __init__(self, counters: Counters, accounting: Accounting) -> None:
        self._counters = counters
        self._accounting = accounting

    def ready(self) -> None:
        self._counters.relay_down = 0

    def opened(self, userid: str, transport: str) -> None:
        self._counters.relay_opened += 1
        self._accounting.opened(userid)

    def closed(self, userid: str, transport: str, seconds: float, reason: str) -> None:
        self._accounting.closed(userid)

    def moved(self, userid: str, seconds: float, bytes_in: int, bytes_out: int) -> None:
        self._counters.relay_bytes_in += bytes_in
        self._counters.relay_bytes_out += bytes_out
        self._accounting.moved(userid, seconds, bytes_in, bytes_out)

    def figures(self, allocations: int, connections: int, refused: Mapping[str, int]) -> None:
        self._counters.relay_allocations = allocations
        self._counters.relay_connections = connections
        for kind, number in refused.items():
            name = f"relay_refused_{kind if kind in REFUSED else 'other'}"
            setattr(self._counters, name, getattr(self._counters, name) + number)

    def lost(self) -> None:
        self._counters.relay_allocations = self._counters.relay_connections = 0
        self._counters.relay_down = 1
        self._accounting.all_closed()

    def restarted(self) -> None:
        self._counters.relay_restarts += 1
