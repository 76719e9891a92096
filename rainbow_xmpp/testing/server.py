"""The server of tests: joined from the same parts as the real one, with memory in place of sockets."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from aiohttp import web

from rainbow_xmpp import ids
from rainbow_xmpp.auth.tokens import new_signing_key
from rainbow_xmpp.border import Border
from rainbow_xmpp.bus import Bus
from rainbow_xmpp.config import Auth, BorderConfig, ClusterConfig, Config, Limits, Secret, Storage
from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.config.sections import Sections
from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.http.app import Readiness, Site, make_app
from rainbow_xmpp.node import Node
from rainbow_xmpp.plugin import Plugin, PluginOptions
from rainbow_xmpp.session import Session
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.audit import Wanted
from rainbow_xmpp.store.audit_chain import Record
from rainbow_xmpp.store.values import Account, Company, NewAccount, Role, RosterItem, Subscription, Visibility
from rainbow_xmpp.testing.client import PATIENCE_S, Client
from rainbow_xmpp.testing.clock import Clock
from rainbow_xmpp.testing.database import fresh_database
from rainbow_xmpp.testing.mailbox import Mailbox
from rainbow_xmpp.testing.visitor import Visitor
from rainbow_xmpp.testing.web import Answer, exchange
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import scan_again

P = TypeVar("P", bound=Plugin)
LOOK_AGAIN_S = 0.002
NAMES_KEY = "of the regions of a test, which all have the same"
ROOM_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, online or not."""

    account: Account
    bare: str


class TestServer:
    """`async with TestServer(plugins=[Mine]) as server`, with only these plugins and a database of its own.

    `plugins` are classes, or classes and their options; the core is always there. People are written
    "ann@acme": localpart and company, both made when they are met for the first time.
    """

    __test__ = False  # not a test, whatever its name

    def __init__(
        self,
        plugins: Iterable[type[Plugin]] | Mapping[type[Plugin], PluginOptions] = (),
        *,
        domain: str = "rainbow.test",
        limits: Limits | None = None,
        plugin_paths: Iterable[Path] = (),
        token_key: str | None = None,
        database: str = "",
        cluster: ClusterConfig = ClusterConfig(),  # noqa: B008  # a value
        bus: Bus | None = None,
        border: Border | None = None,
        regions: Mapping[str, Region] = MappingProxyType({}),
    ) -> None:
        """`token_key` signs the tokens of the API; None makes one, "" has no API.

        `database` is the URL of one that is there, with all its tables; by itself the server makes a fresh one. With
        a `bus` it is a node of a cluster, with a `border` a server of one of these `regions`.
        """
        self._border = border
        self._regions = regions
        self._database = database
        self._cluster = cluster
        self._bus = bus
        self._token_key = new_signing_key() if token_key is None else token_key
        self.domain = domain
        self.clock = Clock()
        self.mailbox = Mailbox()
        """The letters that were sent."""
        self._chosen = (
            dict(plugins)
            if isinstance(plugins, Mapping)
            else {plugin: plugin.Options() for plugin in plugins}
        )
        self._limits = limits or Limits()
        self._plugin_paths = tuple(dict.fromkeys((*plugin_paths, *_with_tables(self._chosen))))
        self._folder = tempfile.TemporaryDirectory(prefix="rainbow-test-", dir=_quick_folder())
        self._node: Node | None = None

    async def __aenter__(self) -> Self:
        try:
            url = self._database or await fresh_database(Path(self._folder.name), self._plugin_paths)
            store = await Store.open(url, require_schema=False, now=self.clock)
            config = Config(
                domain=self.domain,
                storage=Storage(url=url),
                cluster=self._cluster,
                auth=Auth(
                    sealing_key=Secret(secrets.token_hex(32)),
                    token_key=Secret(self._token_key),
                    scram_iterations=4096,
                ),
                limits=self._limits,
                border=BorderConfig(
                    key=Secret("" if self._border is None else "of a test"), names_key=Secret(NAMES_KEY)
                ),
                regions=Sections(self._regions),
                region=self._border.here if self._border is not None else "",
                default_region=next(iter(self._regions), ""),
            )
            self._node = Node(config, store)
            self._node.mail.transport = self.mailbox
            await self._node.start(self._chosen)
            if self._bus is not None:
                await self._node.neighbours.join(self._bus)
            if self._border is not None:
                await self._node.neighbours.join_border(self._border)
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End every session, stop the plugins, close the database and remove it."""
        try:
            if self._node is not None:
                for session in self._node.sessions:
                    session.wire.abort()
                await asyncio.sleep(0)
                await self._node.stop(PATIENCE_S)
        finally:
            self._node = None
            self._folder.cleanup()

    @property
    def node(self) -> Node:
        """What the server consists of, for looking into it."""
        if self._node is None:
            raise LocalMisuse("a TestServer runs inside `async with`")
        return self._node

    @property
    def store(self) -> Store:
        """The database."""
        return self.node.store

    def plugin(self, cls: type[P]) -> P:
        """The running plugin of this class."""
        return next(plugin for plugin in self.node.plugins if isinstance(plugin, cls))

    # -- people ----------------------------------------------------------------------------------------

    async def company(self, name: str, visibility: Visibility = Visibility.PRIVATE) -> Company:
        """The company of this name, made when there is none."""
        found = await self.store.companies.by_name(name)
        home = self.node.regions.here
        return found or await self.store.companies.add(name, home, visibility)

    async def person(
        self,
        name: str,
        *,
        visibility: Visibility = Visibility.SAME_THAN_COMPANY,
        role: Role | None = None,
    ) -> Person:
        """The person "localpart@company"; account and company are made when there are none."""
        localpart, _, company = name.partition("@")
        account = await self.store.accounts.by_localpart(localpart)
        if account is None:
            await self.company(company)
            account = await self.store.accounts.add(
                NewAccount(
                    company=company,
                    email=f"{localpart}@{company}.example",
                    localpart=localpart,
                    visibility=visibility,
                )
            )
            await self.node.watch.poll()
        elif account.company.name != company:
            raise LocalMisuse(f"{localpart} is of {account.company.name} already")
        if role is not None and account.role is not role:
            await self.store.accounts.set_role(account.company.id, account.id, role)
            await self.node.watch.poll()
            account = await self.store.accounts.by_localpart(localpart) or account
        return Person(account, f"{localpart}@{self.domain}")

    async def login(
        self, name: str, *, resource: str = "", available: bool = True, role: Role | None = None
    ) -> Client:
        """Let somebody in, past authentication; with `available` the client has sent its first presence."""
        person = await self.person(name, role=role)
        sessions = self.node.sessions
        home = sessions.home_for(person.account, person.bare)
        full = f"{person.bare}/{resource or ids.new_resource_suffix()}"
        wire = MemoryWire(
            lambda: self.node.connection_over(session, wire, False),
            lambda: self.node.connection_over(session, wire, True),
        )
        session = Session(person.account, full, home, wire, self.node.inbound.handle)
        replaced = sessions.add(session)
        if replaced is not None:
            replaced.replace_with_conflict()
        self.node.session_started(session)
        client = Client(session, wire, self.settle)
        if available:
            client.send("<presence/>")
            await self.settle()
            wire.unread = [data for data in wire.unread if not _is_presence_of(data, full)]
        return client

    def knock(
        self,
        *,
        source: str = "192.0.2.1",
        lang: str = "",
        sender: str = "",
        bindings: Mapping[str, bytes] | None = None,
    ) -> Visitor:
        """Somebody who has TLS and has not logged in; `lang` and `sender` are the stream's `xml:lang` and `from`.

        `bindings` are the channels that can be bound, by type; none on a WebSocket.
        """
        return Visitor(
            self.node.entrance(), source, lang, lambda: None, sender=sender, bindings=bindings or {}
        )

    async def subscribe(self, viewer: str, *, to: Person) -> None:
        """Let the bare JID `viewer` see a person's presence from their next login on ("from" in their roster)."""
        item = RosterItem(contact=viewer, subscription=Subscription.FROM)
        owner = to.account
        await self.store.rosters.apply(owner.company.id, owner.id, viewer, lambda _: item)

    # -- what else happens on a server -----------------------------------------------------------------

    async def http(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """A request to the HTTPS side, with the plugins' paths and the server's own; no socket is opened."""
        return await exchange(self.web_app(), method, path, headers or {}, body)

    def web_app(self) -> web.Application:
        """The HTTPS side as it is with the plugins that run now; for those who make many requests."""
        config = self.node.config
        site = Site(
            domain=self.domain,
            public_url=config.public_url,
            websocket_url=config.websocket_url,
            direct_tls_host=self.domain,
            direct_tls_port=config.listen.port,
            readiness=Readiness,
            links=self.node.page_links,
        )
        return make_app(site, self.node.plugins.registries.routes)

    async def run_job(self, job: Callable[[P], Awaitable[None]]) -> None:
        """Run a job of a plugin now: `await server.run_job(Offline.expire)`. What it raises is raised."""
        name = getattr(job, "__name__", "")
        owners = {p.name for p in self.node.plugins if getattr(type(p), name, None) is job}
        for each in self.node.plugins.registries.jobs:
            if each.name == name and each.owner in owners:
                return await each.work()
        raise LocalMisuse(f"{name} is no job of a plugin that runs here")

    def reconfigure(self, options: Mapping[type[Plugin], PluginOptions]) -> list[str]:
        """Give plugins other options, as a reload does; returns the keys that would need a restart."""
        running = {plugin.name: plugin.options for plugin in self.node.plugins}
        return self.node.plugins.reconfigure(running | {cls.name: given for cls, given in options.items()})

    async def audit(self, kind: str = "") -> list[Record]:
        """What was recorded of this kind, or of all kinds: `record.entry.actor`, `record.facts`."""
        return [record async for record in self.store.audit.each(Wanted(kind=kind or None))]

    # -- time ------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until the server has nothing left to do but to wait for clients: no stanza, nothing beside."""
        node = self.node
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(0)
            while (
                (busy := node.background.tasks - node.questions.waiting)
                or node.store.uncommitted
                or any(session.is_busy for session in node.sessions)
            ):
                await node.store.committed()
                if busy:  # one of them may come to ask a client, which nothing tells
                    await asyncio.wait(busy, timeout=LOOK_AGAIN_S)
                for session in node.sessions:
                    await session.idle()
                await asyncio.sleep(0)


def _with_tables(plugins: Iterable[type[Plugin]]) -> Iterator[Path]:
    """The folders of those plugins that have migrations beside them; of ours they are found anyway."""
    for plugin in plugins:
        folder = Path(inspect.getfile(plugin)).parent
        if not plugin.__module__.startswith("rainbow_xmpp.") and (folder / "migrations").is_dir():
            yield folder


def _quick_folder() -> str | None:
    """Memory where the system has it as a folder: what is committed there waits for no disk."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of its own is made in it
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_BYTES
    return str(memory) if has_room else None


def _is_presence_of(data: bytes, full: str) -> bool:
    view = scan_again(data)
    return view.name == "presence" and view.attrs.get("from") == full
