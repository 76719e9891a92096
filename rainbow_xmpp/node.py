"""A node without its doors: database, pipeline, rosters, presence and plugins, joined.

`server` adds the listeners; `rainbow_xmpp.testing` adds sessions that have no socket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING

from rainbow_xmpp.auth.app_passwords import AppPasswords
from rainbow_xmpp.auth.authenticator import Attempts, Authenticator, Guards
from rainbow_xmpp.auth.people import People
from rainbow_xmpp.auth.pool import HashPool
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.auth.throttle import Throttle
from rainbow_xmpp.auth.token_logins import token_logins
from rainbow_xmpp.auth.verified import VerifiedPasswords
from rainbow_xmpp.company.agreements import Agreements
from rainbow_xmpp.company.by_address import invite_by_address
from rainbow_xmpp.company.desk import CompanyDesk
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.company.regions import Regions
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.mail import Mail
from rainbow_xmpp.moving.frozen import Frozen
from rainbow_xmpp.neighbours import Neighbours
from rainbow_xmpp.observe.audit import AuditLog, chain_keys
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.observe.timings import Timings
from rainbow_xmpp.observe.trail import Trail
from rainbow_xmpp.plugin.base import Plugin, PluginOptions
from rainbow_xmpp.plugin.manager import PluginManager
from rainbow_xmpp.plugin.offers_pages import PageLink, PageLinks
from rainbow_xmpp.plugin.registries import Registries
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.presence import PresenceService
from rainbow_xmpp.roster.courier import Courier, Ways
from rainbow_xmpp.roster.departed import Departed
from rainbow_xmpp.roster.service import STREAM_FEATURES, RosterService
from rainbow_xmpp.router.events import (
    AccountRemoved,
    BecameAvailable,
    ConnectionLost,
    ConnectionRegained,
    Event,
    Events,
    SessionStarted,
)
from rainbow_xmpp.router.inbound import Inbound
from rainbow_xmpp.router.iq import IqRegistry, IqRequest, IqService, Target
from rainbow_xmpp.router.listeners import PresenceListeners, ServerMessages
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.router.questions import Questions
from rainbow_xmpp.router.sampling import StanzaTimer
from rainbow_xmpp.router.spreading import Spreader
from rainbow_xmpp.router.traced import TraceSampler
from rainbow_xmpp.session import Session, SessionTable, Wire
from rainbow_xmpp.session.background import Background
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.session.entrance import Elsewhere, Entrance
from rainbow_xmpp.session.layer import Nowhere
from rainbow_xmpp.session.limits import Pace, xml_limits
from rainbow_xmpp.session.resources import Resources
from rainbow_xmpp.session.watch import ChangeWatch
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import StreamSettings, UserAgent
from rainbow_xmpp.stream_management import StreamManagement
from rainbow_xmpp.stream_management.elements import FEATURE as SM_FEATURE
from rainbow_xmpp.stream_management.handing_back import HandingBack, note_arrival
from rainbow_xmpp.stream_management.restart import Restart
from rainbow_xmpp.stream_management.service import OWNER as SM_OWNER
from rainbow_xmpp.xml import names

if TYPE_CHECKING:
    from rainbow_xmpp.observe.tracing import Tracing

log = logging.getLogger(__name__)


LEAST_SAVING_S = 2.0
"""So long keeping sessions over a restart may take, however little of the time for a stop is left."""


class Node:
    """The parts of a server that know no socket: `start`, let sessions in, `stop`. It owns the store."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store
        self.neighbours = Neighbours(self)
        self.counters = Counters()
        self.timings = Timings()
        self.sessions = SessionTable()
        self.background = Background()
        self.pool = HashPool()
        self.sealer = Sealer.from_text(
            config.auth.sealing_key.reveal(), [key.reveal() for key in config.auth.old_sealing_keys]
        )
        self.audit = AuditLog(store.audit, chain_keys(self.sealer), now=store.now)
        self.trail = Trail(self.audit, config.audit, self.counters, self.background.spawn)
        self.mail = Mail(config, store, self.sealer, self.counters)
        self.levels = ServiceLevels(config.service_levels)
        self.regions = Regions.of(config)
        self.agreements = Agreements(store, self.audit, config.domain, store.now)
        self.authenticator = _authenticator(config, store, self.sealer, self.pool, self.counters)
        self.directory = AccountDirectory(store.accounts)
        self.pipeline = Pipeline(config.domain, self.sessions, self.directory)
        self.spreader = Spreader(self.pipeline, self.sessions)
        self.token_logins = token_logins(config, store, self.authenticator)
        """None without a key for tokens: then there is no API."""
        self.iqs = IqRegistry()
        self.events = Events()
        self.questions = Questions(config.domain)
        presence_listeners, server_messages = PresenceListeners(), ServerMessages()
        self.plugins = PluginManager(
            Registries(self.pipeline, self.iqs, self.events, presence_listeners, server_messages, self.audit)
        )
        self.streams = StreamManagement(
            config.stream_management,
            config.limits.ping_timeout_s,
            self.counters,
            store.now,
            self.session_ended,
            lost=lambda session: self.tell_beside(ConnectionLost(session)),
            regained=lambda session: self.tell_beside(ConnectionRegained(session)),
            region=config.home_region if config.regions else "",
        )
        self.streams.register(self.plugins.registries.nonzas, self.plugins.registries.inline)
        self.handing_back = HandingBack(config.domain, self.pipeline, self.sessions)
        self.events.add(SM_OWNER, BecameAvailable, note_arrival)
        self.courier = Courier(
            store,
            self.agreements,
            config.domain,
            Ways(self.pipeline.route, self._invite, lambda: self.watch.catch_up()),
            self.background.spawn,
        )
        self.roster = RosterService(
            store.rosters,
            self.sessions,
            self.pipeline,
            lambda: self.presence,
            self.courier,
            max_items=config.limits.roster_items,
        )
        self.departed = Departed(
            store.rosters,
            self.roster.forget_contact,
            config.domain,
            self.neighbours.lives_elsewhere,
            self.background.spawn,
        )
        self.presence = PresenceService(
            self.sessions, self.pipeline, self.roster, self.events.tell, self.background.spawn
        )
        iq_service = IqService(self.iqs, self.questions)
        self.pipeline.account_iq = iq_service.for_account
        self.pipeline.subscription = self.presence.for_account
        self.roster.register(self.iqs)
        self.iqs.add("session", "set", f"{{{names.SESSION}}}session", _session, (Target.SELF, Target.SERVER))
        self.iqs.add("session", "set", f"{{{names.BIND}}}bind", _bind_again, (Target.SELF, Target.SERVER))
        self.inbound = Inbound(
            config.domain,
            self.sessions,
            self.pipeline,
            iq_service,
            self.presence,
            self.counters,
            presence_listeners,
            server_messages,
            self.plugins.registries.nonzas,
            xml_limits(config.limits.xml, config.limits.stanza_bytes),
            config.limits.presence_bytes,
        )
        self.tracing = _tracing(config)
        timer = StanzaTimer(self.timings.stanza)
        self.inbound.sample(
            TraceSampler(self.tracing.begin, config.tracing.sample, timer) if self.tracing else timer
        )
        self.restart = Restart(
            store,
            self.sealer.box_for("sessions"),
            self.streams,
            self.sessions,
            load_roster=self.roster.load,
            tell=self.events.tell,
            listeners=presence_listeners,
            new_session=self._without_connection,
        )
        self.frozen = Frozen(store.moves, self.pipeline, self.sessions, config.regions)
        self.inbound.frozen = self.frozen.ids
        self.watch = ChangeWatch(
            store.changes,
            store.accounts,
            self.directory,
            self.sessions,
            self.authenticator,
            store.refresh_tokens,
            self._tell_of_change,
            self.frozen,
        )
        self.people = People(
            store,
            self.audit,
            self.sealer,
            config.auth,
            self.levels,
            self.regions,
            hashing=self.pool.run,
            changed=self.watch.catch_up,
        )
        self.app_passwords = AppPasswords(store, self.sealer, self.pool.run, self.watch.catch_up)
        self.companies = CompanyDesk(store, self.audit, self.levels, self.regions, self.watch.catch_up)

    async def start(self, chosen: Mapping[type[Plugin], PluginOptions]) -> None:
        """Start these plugins with these options. Raises RainbowError with a message for administrators."""
        await self._look_at_seals()
        if renamed := await self.regions.name_what_is_kept(self.store):
            log.info(
                "what is kept here is of the region %s from now on (%d rows)", self.regions.here, renamed
            )
        await self.watch.start()
        await self.plugins.start(
            chosen, {cls.name: options for cls, options in chosen.items()}, self.services()
        )
        await self.restart.load()
        self.departed.look()
        await self.courier.look()
        self.mail.start()

    async def _invite(self, inviter: Account, to: str, note: str, expires_at: int | None) -> None:
        services, abroad = self.services(), self.neighbours.find_abroad
        await invite_by_address(services, inviter, to, note=note, expires_at=expires_at, abroad=abroad)

    def _tell_of_change(self, event: Event) -> Awaitable[None] | None:
        if isinstance(event, AccountRemoved):
            self.departed.look()
        return self.events.tell(event)

    def tell_beside(self, event: Event) -> None:
        """Tell of what happens in the middle of something that cannot wait."""
        pending = self.events.tell(event)
        if pending is not None:
            self.background.spawn(pending)

    def use(self, config: Config) -> None:
        """What of another configuration, which has been judged, can count at once."""
        self.config = config
        limits = config.limits
        self.authenticator.use(limits, config.auth.scram_iterations)
        self.roster.max_items = limits.roster_items
        self.inbound.limits = xml_limits(limits.xml, limits.stanza_bytes)
        self.inbound.presence_bytes = limits.presence_bytes
        self.streams.settings, self.streams.answer_s = config.stream_management, limits.ping_timeout_s
        self.trail.config = config.audit
        self.people.settings = config.auth
        self.levels.configured = config.service_levels

    def stream_settings(self) -> StreamSettings:
        """What new streams announce; to be called again when plugins have new options."""
        inline, early = self.plugins.registries.inline, self.plugins.registries.early
        return StreamSettings(
            self.config.domain,
            bound_features=STREAM_FEATURES + SM_FEATURE + self.plugins.stream_features(),
            inline_features=inline.announcement,
            inline_mechanisms=inline.mechanisms,
            early_features=self.plugins.early_features(),
            early_requests=early.names,
        )

    def entrance(self) -> Entrance:
        """What logins share. To be called once the plugins have started, since streams announce what they do."""
        config, inline = self.config, self.plugins.registries.inline
        return Entrance(
            settings=self.stream_settings(),
            mechanisms=config.auth.offered_mechanisms,
            token_logins=self.token_logins,
            authenticator=self.authenticator,
            changes=self.watch,
            sessions=self.sessions,
            handle=self.inbound.handle,
            counters=self.counters,
            login_times=self.timings.login,
            spawn=self.background.spawn,
            started=self.session_started,
            succeeded=self.trail.logged_in,
            resources_per_account=config.limits.resources_per_account,
            pace=Pace.of(config.limits),
            resources=Resources(self.sealer.secret_for("resources")),
            inline=inline,
            resume=self.streams.find,
            early=self.plugins.registries.early,
            tasks=self.plugins.registries.tasks,
            elsewhere=Elsewhere.of(config),
        )

    async def _look_at_seals(self) -> None:
        """A wrong sealing key is told at once, and not only when people complain."""
        others = {row.key_id for row in await self.store.credentials.sealed_otherwise(self.sealer.key_id)}
        missing = sorted(key_id for key_id in others if not self.sealer.knows(key_id))
        if missing:
            log.error(
                "people whose credentials are sealed under the key %s cannot log in: "
                "it is neither auth.sealing_key nor among auth.old_sealing_keys",
                ", ".join(missing),
            )

    def services(self) -> Services:
        """What plugins are given."""
        return Services(
            domain=self.config.domain,
            public_url=self.config.public_url,
            relays_of=self.neighbours.relays_of,
            has_regions=len(self.config.regions) > 1,
            store=self.store,
            node=self.config.cluster.number,
            sessions=self.sessions,
            route=self.pipeline.route,
            may_pass=self.pipeline.may_pass,
            spread=self.spreader.spread,
            find_account=self.pipeline.account_at,
            presence=self.presence,
            counters=self.counters,
            now=self.store.now,
            spawn=self.background.spawn,
            tell=self.events.tell,
            plugins=self.plugins,
            questions=self.questions,
            rosters=self.roster,
            agreements=self.agreements,
            invite=self.courier.invite,
            apply_changes=self.watch.catch_up,
            tell_nodes=self.neighbours.tell_nodes,
            people=self.people,
            companies=self.companies,
            levels=self.levels,
            mail=self.mail,
            confirm_password=self.authenticator.confirm,
            hashing=self.pool,
            leaving=self.neighbours.leaving,
            secret_for=self.sealer.secret_for,
            box_for=self.sealer.box_for,
            app_passwords=self.app_passwords,
            token_logins=self.token_logins,
            tls_files=lambda: (str(self.config.tls.certificate), str(self.config.tls.key)),
            audit=self.audit.record,
        )

    def page_links(self) -> Sequence[PageLink]:
        """Pages for people that a plugin brings, as they are now."""
        offer = self.plugins.offered(PageLinks, None)
        return () if offer is None else offer.page_links()

    async def tidy(self) -> None:
        """Drop what is kept for a time only; called now and then."""
        await self.watch.tidy(self.store.now())
        await self.store.moves.forget_old()
        self.trail.tidy()

    def _without_connection(self, account: Account, full: str, agent: UserAgent) -> Session:
        home = self.sessions.home_for(account, full.partition("/")[0])
        pace = Pace.of(self.config.limits)
        session = Session(account, full, home, Nowhere(), self.inbound.handle, pace, agent=agent)
        self.counters.sessions += 1
        self.sessions.add(session)
        return session

    def session_started(self, session: Session) -> None:
        """A resource was bound; its stanzas wait until everybody who must know has been told."""
        pending = self.events.tell(SessionStarted(session))
        if pending is not None:
            session.wait_for(pending)

    @property
    def connected(self) -> bool:
        """Some session has a connection."""
        return len(self.sessions) > self.streams.adrift

    def connection_over(self, session: Session, link: Wire, is_lost: bool) -> None:
        """A connection that carried this session is closed, or lost; the session ends unless another one has it."""
        if session.link is link and not (is_lost and self.streams.keep(session)):
            self.session_ended(session)

    def session_ended(self, session: Session) -> None:
        """A bound session is over: its place in the table, and its contacts' view of it.

        A stanza of its that waits for the database is finished; it finds the session gone.
        """
        self.counters.sessions -= 1
        gone = self.streams.ended(session)
        self.questions.ended(session)
        pending = session.close()
        if self.sessions.remove(session) or session.presence is not None:
            ended = self.presence.ended(session)
            if ended is not None:
                self.background.spawn(ended)
            session.home.let_go()
        if pending is not None:
            self.background.spawn(pending)
        if gone is not None and gone.queue.stanzas:
            self.background.spawn(self.handing_back.hand_back(gone, list(gone.queue)))

    async def stop(self, settle_s: float) -> None:
        """Finish what runs beside, at most this long, stop the plugins, close the database."""
        await self.background.settle(settle_s)
        await self.neighbours.stop()
        try:
            async with asyncio.timeout(max(settle_s, LEAST_SAVING_S)):
                await self.restart.save()
        except Exception:
            log.exception("sessions cannot be resumed after the restart")
        await self.mail.stop()
        await self.plugins.stop()
        self.pool.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        await self.trail.close()
        await self.store.close()


def _tracing(config: Config) -> Tracing | None:
    """Imported only where it is wanted: its packages are an extra, and no light ones."""
    if not config.tracing.enabled:
        return None
    from rainbow_xmpp.observe.tracing import Tracing

    return Tracing(config.tracing)


def _authenticator(
    config: Config, store: Store, sealer: Sealer, pool: HashPool, counters: Counters
) -> Authenticator:
    limits = config.limits
    guards = Guards(
        throttle=Throttle(
            per_account=limits.login_failures_per_account_per_minute,
            per_source=limits.login_failures_per_address_per_minute,
        ),
        attempts=Attempts(limits.logins_per_address_per_minute),
        pool=pool,
        verified=VerifiedPasswords(),
        counters=counters,
    )
    return Authenticator(
        store.accounts,
        store.credentials,
        sealer,
        guards,
        iterations=config.auth.scram_iterations,
        clock=time.monotonic,
    )


def _bind_again(request: IqRequest) -> None:
    """A stream has one resource (RFC 6120 §7.6.2.2)."""
    raise StanzaError(Condition.NOT_ALLOWED)


def _session(request: IqRequest) -> None:
    """The legacy session of RFC 3921 §3, which needs nothing any more."""
