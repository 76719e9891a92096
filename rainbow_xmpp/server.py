"""The only place where the parts are joined: a configuration in, a running node out."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from rainbow_xmpp import process
from rainbow_xmpp.bus import Bus
from rainbow_xmpp.config import ClusterConfig, Config, ConfigProblems, Limits, Tls
from rainbow_xmpp.edge import serve_edge
from rainbow_xmpp.errors import PeerViolation, RainbowError, StreamCondition
from rainbow_xmpp.http.app import HttpHandler, Readiness, Site, make_app, make_handler
from rainbow_xmpp.node import Node
from rainbow_xmpp.observe.accounts import AccountLetters
from rainbow_xmpp.observe.control import ControlSocket
from rainbow_xmpp.observe.figures import Health, NodeFigures
from rainbow_xmpp.observe.log import set_up_log
from rainbow_xmpp.observe.metrics import Exposition, FaultCounter, MetricSource
from rainbow_xmpp.observe.sessions import SessionList
from rainbow_xmpp.observe.stalls import StallWatch
from rainbow_xmpp.observe.status import Status
from rainbow_xmpp.plugin.base import PluginOptions
from rainbow_xmpp.plugin.offers_relay import RelayDoor
from rainbow_xmpp.plugin.select import select_plugins
from rainbow_xmpp.regions.finding import HomeFinder
from rainbow_xmpp.regions.names import names_keys
from rainbow_xmpp.reload import Reloader
from rainbow_xmpp.run_folder import PidFile, run_folder
from rainbow_xmpp.session.entrance import Elsewhere
from rainbow_xmpp.session.limits import Pace
from rainbow_xmpp.session.redirects import Redirects
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.store import Store
from rainbow_xmpp.transport.coming_home import HomeDoor
from rainbow_xmpp.transport.deadlines import Deadlines
from rainbow_xmpp.transport.draining import let_go
from rainbow_xmpp.transport.gatekeeper import Gatekeeper
from rainbow_xmpp.transport.housekeeping import Chore, Housekeeping
from rainbow_xmpp.transport.link import Link
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.listeners import Listeners, Passing
from rainbow_xmpp.transport.outbox import Outbox
from rainbow_xmpp.transport.port import PortShared
from rainbow_xmpp.transport.tls import (
    ALPN_RELAYED,
    Certificate,
    load_or_explain,
    quick_tls_available,
    replace_certificate,
    server_context,
)
from rainbow_xmpp.transport.way_home import Abroad, Ways, ways_home
from rainbow_xmpp.xml import SCANNER

log = logging.getLogger(__name__)

FEW_FILES = 4096
"""Fewer open files than this deserve a word: each connection is one."""


def run(config: Config, reread: Callable[[], Config]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code of the process.

    `reread` reads the configuration again when a reload is asked for (SIGHUP).
    """
    process.tune_allocator()
    set_up_log(config.log.level, config.log.format)
    files = process.raise_file_limit()
    if 0 <= files < FEW_FILES:
        log.warning(
            "only %d files may be open, and each connection is one: raise the limit (LimitNOFILE=)", files
        )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_edge(config, reread) if config.is_edge else _serve(config, reread))
    except ConfigProblems as problems:
        for problem in problems.problems:
            print(problem, file=sys.stderr)
        return 1
    except (RainbowError, OSError) as error:
        print(f"rainbow-xmpp: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: Config, reread: Callable[[], Config]) -> None:
    stopping, hung_up = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    server = await Server.start(config)
    logging.getLogger().addHandler(FaultCounter(server.node.counters, server.node.plugins.registries.figures))
    pid_file = PidFile(run_folder(config))
    pid_file.write()
    reloader = Reloader(server, reread)
    reloading = loop.create_task(reloader.run(hung_up))
    server.control.on("reload", reloader.asked)
    process.tune_gc()
    server.watch_the_loop()  # from now on: what a start takes is no stall
    try:
        print(f"ready {' '.join(server.addresses)} pid {os.getpid()}", file=sys.stderr, flush=True)
        await stopping.wait()
        log.info("stopping")
    finally:
        reloading.cancel()
        await server.stop()
        pid_file.remove()


class Server:
    """One node. Made by `start`."""

    def __init__(self, config: Config, store: Store, abroad: Abroad | None = None) -> None:
        self._config = config
        self._abroad = abroad
        self._ways: Ways | None = None
        self.node = Node(config, store)
        self._deadlines = Deadlines(config.limits.login_timeout_s)
        self._housekeeping: Housekeeping | None = None
        self._listeners = Listeners()
        self._http: HttpHandler | None = None
        self._is_stopping = False
        self._context: ssl.SSLContext | None = None
        self._certificate: Certificate | None = None
        self._port: PortShared | None = None
        self._bindings: dict[str, bytes] = {}
        self._border_figures: list[MetricSource] = []
        self._health = Health(self._is_database_well)
        self._stalls = StallWatch(
            config.observe.stall_ms / 1000, self.node.counters, self.node.timings.loop_lag
        )
        self.control = ControlSocket(run_folder(config))
        """What may be asked of this server from its own machine; `on` adds to it."""
        self.control.on("status", Status(self.node, self._health, self._stalls).asked)
        self.control.on("sessions", SessionList(self.node.sessions).asked)
        letters = AccountLetters(self.node.services)
        self.control.on("invite", letters.invite)
        self.control.on("reset-password", letters.reset)
        self.control.on("second-factor-off", letters.factor_off)

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, as URLs."""
        host, port = self._config.domain, self._config.listen.port
        found = [self._config.websocket_url, f"xmpps://{host}:{port}", f"{self._config.public_url}/"]
        if self._config.listen.starttls_port:
            found.append(f"xmpp://{host}:{self._config.listen.starttls_port}")
        return found

    @classmethod
    async def start(cls, config: Config, abroad: Abroad | None = None) -> Server:
        """Open the database, start plugins, listen. Raises RainbowError or OSError with a message for admins."""
        chosen = select_plugins(config)
        paths = [Path(path) for path in config.plugin_paths]
        bus = await _bus(config.cluster)
        store = await Store.open(config.storage.url, plugin_paths=paths)
        server = cls(config, store, abroad)
        try:
            await server.node.start(chosen)
            if bus is not None:
                await server.node.neighbours.join(bus)
            if config.border.is_on:
                await server._open_border()
            await server._listen()
            await server.control.open()
        except BaseException:
            await server.stop()
            raise
        await server.node.trail.server_started()
        return server

    async def _open_border(self) -> None:
        from rainbow_xmpp.border.nats import NatsBorder, seals_of

        border = await NatsBorder.open(self._config)
        if self._abroad is None:
            keys = names_keys(self._config.border.names_key)
            finder = HomeFinder(border, keys, clock=time.monotonic) if keys else None
            self._abroad = Abroad(seals_of(self._config), finder)
        self._border_figures = [border]
        await self.node.neighbours.join_border(border)

    @property
    def config(self) -> Config:
        """What the server runs with."""
        return self._config

    def watch_the_loop(self) -> None:
        """Tell when something keeps everybody waiting, from now on."""
        self._stalls.start()

    def take_certificate(self, tls: Tls) -> bool:
        """New connections get the certificate that is in these files now; says whether it is another one.

        All other connections go on. Raises TlsFileError, and then nothing has changed.
        """
        assert self._context is not None, "there is a context once the server listens"
        before = self._certificate
        self._certificate = replace_certificate(self._context, tls.certificate, tls.key)
        self._look_at_certificate(tls)
        return self._certificate != before

    def reconfigure_plugins(self, options: Mapping[str, PluginOptions]) -> None:
        """Give plugins their new options; new streams announce what they do then."""
        self.node.plugins.reconfigure(options)
        assert self._port is not None, "there are doors once the server listens"
        self._port.links.entrance.settings = self.node.stream_settings()

    def renew_certificate_of_relay(self) -> None:
        """The relay for calls, if there is one, has the certificate that was taken, too."""
        door = self.node.plugins.offered(RelayDoor)
        if door is not None:
            door.renew_certificate()

    def use(self, config: Config) -> None:
        """What of another configuration, which has been judged, can count at once: for everybody, and new ones."""
        before, self._config = self._config, config
        limits = config.limits
        self.node.use(config)
        assert self._port is not None, "there are doors once the server listens"
        assert self._housekeeping is not None, "it begins once the server listens"
        self._port.origins = config.websocket.origins
        entrance = self._port.links.entrance
        entrance.mechanisms, entrance.elsewhere = config.auth.offered_mechanisms, Elsewhere.of(config)
        self._port.links.use(limits)
        self._stalls.threshold_s = config.observe.stall_ms / 1000
        self._listeners.set_handshake_timeout(limits.handshake_timeout_s)
        self._housekeeping.use(limits)
        pace = Pace.of(limits)
        for session in self.node.sessions:
            if pace != Pace.of(before.limits):
                session.use_pace(pace)
            link = session.link
            if isinstance(link, Link):
                link.set_limit(limits.stanza_bytes)
        for link in self._deadlines.waiting:
            link.set_limit(limits.stanza_bytes_before_login)

    def _look_at_certificate(self, tls: Tls) -> None:
        assert self._certificate is not None, "there is one once the server listens"
        for concern in self._certificate.concerns(self._config.certificate_names, datetime.now(UTC)):
            log.warning("clients will refuse the certificate: %s %s", tls.certificate, concern)
        self._health.certificate_ends = self._certificate.not_after.timestamp()
        bound = self._certificate.endpoint_hash
        self._bindings = {"tls-server-end-point": bound} if bound else {}

    async def _listen(self) -> None:
        config = self._config
        self._certificate = load_or_explain(config.tls.certificate, config.tls.key)
        self._look_at_certificate(config.tls)
        spoken = (ALPN_RELAYED,) if self._abroad is not None else ()
        self._context = context = server_context(config.tls.certificate, config.tls.key, *spoken)
        links = self._links()
        self._http = await make_handler(
            make_app(self._site(), self.node.plugins.registries.routes), counters=self.node.counters
        )
        door = self.node.plugins.offered(RelayDoor)
        self._port = port = PortShared(
            links=links,
            http=self._http,
            origins=config.websocket.origins,
            public_host=config.public_url.removeprefix("https://"),
            relay=door if door is not None and door.opens else None,
        )
        quick, reason = quick_tls_available()
        if self._abroad is not None:
            self._open_ways(self._abroad, port, quick=quick)
        if not quick:
            log.warning("the quick TLS transport is missing: %s", reason)
        if SCANNER != "compiled":
            log.warning(
                "the compiled XML scanner is missing (it needs a C compiler at installation): "
                "each stanza costs more CPU time"
            )
        self._housekeeping = Housekeeping(
            self.node.sessions,
            self._deadlines,
            self._check_store,
            [
                Chore(0, self.node.watch.poll),
                Chore(60, self.node.trail.summarise),
                Chore(60, self.node.courier.look),
                Chore(2, self.node.neighbours.go_on_moving),
                Chore(3600, self.node.tidy),
            ],
            self.node.streams.tick,
            config.limits,
            self.node.counters,
        )
        self._housekeeping.start()
        exposition = Exposition(
            self.node.counters, [NodeFigures(self.node, self._health), *self._border_figures]
        )
        await self._listeners.open(config, port, context, exposition, quick=quick)

    def _open_ways(self, abroad: Abroad, port: PortShared, *, quick: bool) -> None:
        """For people who are here and at home in another region, and for those of this one who are there."""
        config, links = self._config, port.links
        port.home_door = HomeDoor(abroad.seals, links, now=time.time)
        if config.elsewhere.redirect:
            links.entrance.redirects = Redirects(Elsewhere.directly(config).violation, time.monotonic)
        if abroad.finder is None or not config.elsewhere.log_in:
            return
        self._ways = links.entrance.homeward = ways_home(
            config, abroad.finder, abroad.seals, self.node.counters, quick=quick
        )

    def _links(self) -> LinkShared:
        return LinkShared(
            entrance=self.node.entrance(),
            outbox=Outbox(),
            counters=self.node.counters,
            gatekeeper=Gatekeeper(),
            deadlines=self._deadlines,
            ended=self.node.connection_over,
            bindings=lambda: self._bindings,
            limits=self._config.limits,
        )

    def _site(self) -> Site:
        config = self._config
        return Site(
            domain=config.domain,
            public_url=config.public_url,
            websocket_url=config.websocket_url,
            direct_tls_host=config.domain,
            direct_tls_port=config.listen.port,
            readiness=self._readiness,
            links=self.node.page_links,
        )

    def _readiness(self) -> Readiness:
        return Readiness(
            {
                "storage": self._health.database(),
                "serving": not self._is_stopping and not self._config.listen.drain_to,
            }
        )

    def _is_database_well(self) -> bool:
        """It answers, and took what was last written."""
        answers = self._housekeeping is not None and self._housekeeping.store_is_well
        return answers and not any(commits.is_away for commits in self.node.store.group_commits)

    async def _check_store(self) -> None:
        await self.node.store.check()

    async def stop(self) -> None:
        """Drain: no new connections, every stream told why, everything written, the database closed."""
        self._is_stopping = True
        limits = self._config.limits
        deadline = time.monotonic() + limits.drain_timeout_s
        if self._port is not None:
            await self._drain(self._port.links, limits)
        await self.control.close()
        self._stalls.stop()
        await self._listeners.close()
        if self._ways is not None:
            self._ways.close()
        if self._housekeeping is not None:
            self._housekeeping.stop()
        await self._until_gone(min(limits.goodbye_timeout_s, deadline - time.monotonic()))
        for link in self._deadlines.leaving:
            link.abort()
        await self._until_gone(1.0)
        if self._http is not None:
            await self._http.close(1.0)
        await self.node.stop(max(0.5, deadline - time.monotonic() - 1))

    async def _drain(self, links: LinkShared, limits: Limits) -> None:
        """Let everybody go: readiness first, then the connections, and the port last.

        A load balancer that finds the port closed takes this server for dead, and cuts off who is left.
        """
        await asyncio.sleep(limits.drain_notice_s)
        elsewhere = Elsewhere.of(self._config)
        goodbye = elsewhere.violation() if elsewhere else PeerViolation(StreamCondition.SYSTEM_SHUTDOWN)

        def say_goodbye(session: Session | Passing) -> None:
            if not isinstance(session, Session):
                session.abort()  # it resumes by another way
                return
            link = session.link
            # Whoever is sent to another server does not come back to this one.
            if elsewhere is None and self.node.streams.keep_over_restart(session):
                link.fail(goodbye)
            else:
                session.wire.fail(goodbye)

        def connected() -> list[Session | Passing]:
            through = [] if self._ways is None else self._ways.all_open
            own = (session for session in self.node.sessions if not session.is_adrift)
            return [*own, *through, *self._listeners.passages]

        await let_go(
            connected,
            say_goodbye,
            limits.drain_spread_s,
        )
        await self._listeners.close()
        links.entrance.is_stopping = True
        for link in self._deadlines.waiting:
            link.fail(goodbye)

    async def _until_gone(self, timeout_s: float) -> None:
        """Wait until every session has ended and every connection is closed, at most this long."""
        end = time.monotonic() + timeout_s
        while (self.node.connected or self._deadlines.leaving) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _bus(config: ClusterConfig) -> Bus | None:
    """The connection to the other nodes; None for a server that is alone, which loads no packages for it."""
    if not config.is_on:
        return None
    from rainbow_xmpp.bus.nats import NatsBus

    return await NatsBus.connect(config, f"rainbow-{config.number}")
