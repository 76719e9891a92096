"""A server that keeps nothing: an edge, near to people, whose homes are elsewhere.

No database, no plugin, nothing written to disk, nobody's name in the log. Connections for hosts of other regions pass
through unread. Whoever comes under the edge's own name is answered by the same login as anywhere, but nobody has an
account here: it goes on at home (`way_home`). What everybody may see, the web pages that say how to connect, is served
here. `server` joins the parts of all other servers.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime

from rainbow_xmpp import process
from rainbow_xmpp.auth.authenticator import Attempts, Authenticator, Guards
from rainbow_xmpp.auth.pool import HashPool
from rainbow_xmpp.auth.seal import KEY_BYTES, Sealer
from rainbow_xmpp.auth.throttle import Throttle
from rainbow_xmpp.auth.verified import VerifiedPasswords
from rainbow_xmpp.config import Config, ConfigProblems, Tls
from rainbow_xmpp.config.changes import changes, merged
from rainbow_xmpp.errors import LocalMisuse, PeerViolation, StreamCondition
from rainbow_xmpp.http.app import HttpHandler, Readiness, Site, make_app, make_handler
from rainbow_xmpp.observe.metrics import Counters, Exposition
from rainbow_xmpp.observe.timings import Timings
from rainbow_xmpp.regions.finding import HomeFinder
from rainbow_xmpp.regions.names import names_keys
from rainbow_xmpp.sasl.exchange import SCRAM_HASHES
from rainbow_xmpp.session import SessionTable
from rainbow_xmpp.session.background import Background
from rainbow_xmpp.session.entrance import Elsewhere, Entrance
from rainbow_xmpp.session.homeward import Homeward
from rainbow_xmpp.session.inline import (
    Attempt,
    BindFeature,
    Enable,
    Granted,
    InlineFeature,
    InlineMechanisms,
    InlineRegistry,
    Newcomer,
    Verdict,
)
from rainbow_xmpp.session.limits import Pace
from rainbow_xmpp.session.resources import Resources
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.store.values import Account, LoginRecord
from rainbow_xmpp.stream import StreamSettings
from rainbow_xmpp.stream_management.elements import FEATURE
from rainbow_xmpp.transport.deadlines import Deadlines
from rainbow_xmpp.transport.draining import let_go
from rainbow_xmpp.transport.gatekeeper import Gatekeeper
from rainbow_xmpp.transport.housekeeping import Housekeeping
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.listeners import Listeners, Passing
from rainbow_xmpp.transport.outbox import Outbox
from rainbow_xmpp.transport.port import PortShared
from rainbow_xmpp.transport.tls import (
    TlsFileError,
    load_or_explain,
    quick_tls_available,
    replace_certificate,
    server_context,
)
from rainbow_xmpp.transport.way_home import Abroad, Ways, ways_home
from rainbow_xmpp.xml import Element, names

log = logging.getLogger(__name__)

TOKENS = "HT-SHA-256-NONE"
"""FAST without a channel: that of an edge is not the home's (XEP-0484)."""
_FAST = f"{{{names.FAST}}}fast"
_WITH_BINDING = (names.SM, "urn:xmpp:carbons:2", "urn:xmpp:csi:0")
"""What a home does when a resource is bound inline (XEP-0386 §3.1)."""


class EdgeServer:
    """One server of an edge. Made by `start`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.counters = Counters()
        self.ways: Ways | None = None
        """None while there is no border: then nobody logs in under the edge's own name."""
        self._border_close: Callable[[], Awaitable[None]] | None = None
        self._background = Background()
        self._pool = HashPool(1)
        self._deadlines = Deadlines(config.limits.login_timeout_s)
        self._listeners = Listeners()
        self._sessions = SessionTable()
        self._housekeeping: Housekeeping | None = None
        self._http: HttpHandler | None = None
        self._context: ssl.SSLContext | None = None
        self._port: PortShared | None = None
        self._is_stopping = False

    @classmethod
    async def start(cls, config: Config, abroad: Abroad | None = None) -> EdgeServer:
        """Listen. Raises RainbowError or OSError with a message for administrators."""
        server = cls(config)
        try:
            if abroad is None and config.border.is_on:
                abroad = await server._open_border()
            await server._listen(abroad)
        except BaseException:
            await server.stop()
            raise
        return server

    async def _open_border(self) -> Abroad:
        from rainbow_xmpp.border.nats import NatsBorder, seals_of

        config = self._config
        border = await NatsBorder.open(config)
        self._border_close = border.close
        keys = names_keys(config.border.names_key)
        return Abroad(seals_of(config), HomeFinder(border, keys, clock=time.monotonic) if keys else None)

    @property
    def addresses(self) -> list[str]:
        """Where clients connect, as URLs."""
        config = self._config
        host = config.public_url.removeprefix("https://").partition(":")[0]
        return [config.websocket_url, f"xmpps://{host}:{config.listen.port}", f"{config.public_url}/"]

    async def _listen(self, abroad: Abroad | None) -> None:
        config = self._config
        self._look_at_certificate(config.tls)
        self._context = server_context(config.tls.certificate, config.tls.key)
        quick, reason = quick_tls_available()
        if not quick:
            log.warning("the quick TLS transport is missing: %s", reason)
        if abroad is not None and abroad.finder is not None:
            self.ways = ways_home(config, abroad.finder, abroad.seals, self.counters, quick=quick)
        self._http = await make_handler(make_app(self._site()), counters=self.counters)
        links = LinkShared(
            entrance=self._entrance(self.ways),
            outbox=Outbox(),
            counters=self.counters,
            gatekeeper=Gatekeeper(),
            deadlines=self._deadlines,
            ended=_no_session,
            bindings=dict,
            limits=config.limits,
        )
        self._port = port = PortShared(
            links=links,
            http=self._http,
            origins=config.websocket.origins,
            public_host=config.public_url.removeprefix("https://"),
        )
        self._housekeeping = Housekeeping(
            self._sessions, self._deadlines, _nothing, [], lambda: None, config.limits, self.counters
        )
        self._housekeeping.start()
        await self._listeners.open(config, port, self._context, Exposition(self.counters, []), quick=quick)

    def _entrance(self, homeward: Homeward | None) -> Entrance:
        config = self._config
        mechanisms = [m for m in config.auth.offered_mechanisms if m in SCRAM_HASHES]
        inline = _announced()
        return Entrance(
            settings=StreamSettings(
                config.domain,
                inline_features=inline.announcement,
                inline_mechanisms=inline.mechanisms,
            ),
            mechanisms=tuple(mechanisms) if homeward is not None else (),
            authenticator=self._authenticator(),
            changes=_NoChanges(),
            sessions=self._sessions,
            handle=_no_stanza,
            counters=self.counters,
            login_times=Timings().login,
            spawn=self._background.spawn,
            started=_no_session,
            succeeded=_no_session,
            resources_per_account=config.limits.resources_per_account,
            pace=Pace.of(config.limits),
            resources=Resources(secrets.token_bytes(KEY_BYTES)),
            inline=inline,
            resume=_no_resumption,
            homeward=homeward,
            elsewhere=Elsewhere.of(config),
        )

    def _authenticator(self) -> Authenticator:
        limits = self._config.limits
        throttle = Throttle(
            per_account=limits.login_failures_per_account_per_minute,
            per_source=limits.login_failures_per_address_per_minute,
        )
        guards = Guards(
            throttle=throttle,
            attempts=Attempts(limits.logins_per_address_per_minute),
            pool=self._pool,
            verified=VerifiedPasswords(),
            counters=self.counters,
        )
        sealer = Sealer(secrets.token_bytes(KEY_BYTES))
        iterations = self._config.auth.scram_iterations
        return Authenticator(Nobody(), Nobody(), sealer, guards, iterations=iterations, clock=time.monotonic)

    def _site(self) -> Site:
        config = self._config
        return Site(
            domain=config.domain,
            public_url=config.public_url,
            websocket_url=config.websocket_url,
            direct_tls_host=config.public_url.removeprefix("https://").partition(":")[0],
            direct_tls_port=config.listen.port,
            readiness=self._readiness,
        )

    def _readiness(self) -> Readiness:
        return Readiness({"serving": not self._is_stopping and not self._config.listen.drain_to})

    def _look_at_certificate(self, tls: Tls) -> None:
        certificate = load_or_explain(tls.certificate, tls.key)
        for concern in certificate.concerns(self._config.certificate_names, datetime.now(UTC)):
            log.warning("clients will refuse the certificate: %s %s", tls.certificate, concern)

    def use(self, wanted: Config) -> None:
        """What of another configuration, which has been judged, can count at once, and the certificate's files."""
        assert self._context is not None and self._port is not None, "it listens"
        found, config = changes(self._config, wanted), merged(self._config, wanted)
        try:
            replace_certificate(self._context, config.tls.certificate, config.tls.key)
        except TlsFileError as error:
            log.error("the configuration was not taken, everything stays as it was: %s", error)
            return
        self._config = config
        self._look_at_certificate(config.tls)
        self._port.origins = config.websocket.origins
        self._port.links.use(config.limits)
        self._port.links.entrance.elsewhere = Elsewhere.of(config)
        self._listeners.set_handshake_timeout(config.limits.handshake_timeout_s)
        if self._housekeeping is not None:
            self._housekeeping.use(config.limits)
        log.info(
            "the configuration was read again; a restart is needed for: %s", ", ".join(found.restart) or "-"
        )

    async def stop(self) -> None:
        """Readiness first, then the connections, a few at a time: they come back by another way, and resume."""
        self._is_stopping = True
        limits = self._config.limits
        if self._port is not None:
            await asyncio.sleep(limits.drain_notice_s)
            await let_go(self._through, _cut_off, limits.drain_spread_s)
            self._port.links.entrance.is_stopping = True
        await self._listeners.close()
        if self._housekeeping is not None:
            self._housekeeping.stop()
        elsewhere = Elsewhere.of(self._config)
        goodbye = elsewhere.violation() if elsewhere else PeerViolation(StreamCondition.SYSTEM_SHUTDOWN)
        for link in self._deadlines.waiting:
            link.fail(goodbye)
        if self.ways is not None:
            self.ways.close()
        await self._background.settle(1)
        if self._http is not None:
            await self._http.close(1.0)
        if self._border_close is not None:
            await self._border_close()
        self._pool.close()

    def _through(self) -> list[Passing]:
        return [*(self.ways.all_open if self.ways is not None else ()), *self._listeners.passages]


async def serve_edge(config: Config, reread: Callable[[], Config]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await EdgeServer.start(config)
    loop.add_signal_handler(signal.SIGHUP, lambda: server._background.spawn(_reload(server, reread)))
    process.tune_gc()
    try:
        print(f"ready {' '.join(server.addresses)}", file=sys.stderr, flush=True)
        await stopping.wait()
        log.info("stopping")
    finally:
        await server.stop()


async def _reload(server: EdgeServer, reread: Callable[[], Config]) -> None:
    try:
        server.use(await asyncio.to_thread(reread))
    except ConfigProblems as wrong:
        for problem in wrong.problems:
            log.error("the configuration was not taken, everything stays as it was: %s", problem)


class Nobody:
    """The accounts of an edge (`Accounts`, `Adopting`)."""

    async def for_login(self, identifier: str) -> LoginRecord | None:
        return None

    async def replace_imported(self, account: Account, sealed: bytes, key_id: str) -> None:
        raise LocalMisuse("nobody has an account at an edge")


class _NoChanges:
    generation = 0

    def is_frozen(self, account_id: str) -> bool:
        return False

    async def is_current(self, account: Account, family: str = "") -> bool:
        return False


def _announced() -> InlineRegistry:
    """What a home does for those who ask for it with their login; an edge says so in its name."""
    registry = InlineRegistry()
    registry.add("edge", InlineFeature(f"{{{names.SM}}}resume", lambda _: FEATURE, _grant_nothing))
    tokens = f"<fast xmlns='{names.FAST}'><mechanism>{TOKENS}</mechanism></fast>".encode()
    registry.add("edge", InlineFeature(_FAST, lambda _: tokens, _grant_nothing))
    registry.add_mechanisms("edge", InlineMechanisms(frozenset((TOKENS,)), _FAST, _judge_nobody, _name_in))
    for feature in _WITH_BINDING:
        registry.add_to_binding("edge", BindFeature(frozenset(), feature, _prepare_nothing))
    return registry


def _name_in(message: bytes) -> str:
    """Whose token this is a proof of: `authcid NUL digest` (draft-schmaus-kitten-sasl-ht-09 §3.1)."""
    name, nul, _ = message.partition(b"\0")
    return name.decode(errors="replace") if nul else ""


async def _judge_nobody(attempt: Attempt) -> Verdict:
    return None


async def _grant_nothing(newcomer: Newcomer, request: Element | None) -> Granted:
    return Granted()


async def _prepare_nothing(newcomer: Newcomer, requests: Collection[Element]) -> Enable | None:
    return None


async def _no_resumption(account: Account, attrs: object) -> bytes:
    raise LocalMisuse("nobody logs in at an edge itself")


async def _no_stanza(session: Session, data: bytes) -> None:
    raise LocalMisuse("nobody has a session at an edge")


def _no_session(*_: object) -> None:
    raise LocalMisuse("nobody has a session at an edge")


def _cut_off(passing: Passing) -> None:
    passing.abort()


async def _nothing() -> None:
    """There is no database to look after."""
