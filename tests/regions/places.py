"""Servers of several regions in this process, each with a database and a port of its own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rainbow_xmpp.auth.tokens import new_signing_key
from rainbow_xmpp.border.seal import Seals, new_key, public_key
from rainbow_xmpp.config import Auth, Config, ElsewhereConfig, Listen, Origin, Region, Secret, Storage, Tls
from rainbow_xmpp.config.limits import Limits
from rainbow_xmpp.config.regions import RegionKind
from rainbow_xmpp.config.schema import PluginTable
from rainbow_xmpp.config.sections import Sections
from rainbow_xmpp.edge import EdgeServer
from rainbow_xmpp.regions.homes import Away
from rainbow_xmpp.server import Abroad, Server
from rainbow_xmpp.store.values import NewAccount
from rainbow_xmpp.testing.database import fresh_database
from tests.certificates import make_certificates
from tests.conformance.wire import Endpoint
from tests.process import free_port

DOMAIN = "chat.test"
DATA = ("emea", "na")
EDGES = ("uk", "au")
PASSWORD = "Correct-Horse-7"
ANSWER_MS = 60


class Finder:
    """Knows where people are, as far as a test says."""

    def __init__(self) -> None:
        self.homes: dict[str, str] = {}
        self.is_down = False
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    async def home_of(self, name: str) -> str | None:
        self.asked.append(name)
        if self.is_down:
            raise Away("na")
        return self.homes.get(name)

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


class Place:
    """The server of one region; `server` runs between `start` and `stop`."""

    def __init__(self, world: World, name: str, config: Config) -> None:
        self.world = world
        self.name = name
        self.config = config
        self.has_border = True
        self._server: Server | None = None
        self._edge: EdgeServer | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.config.listen.port, self.world.files.ca, DOMAIN)

    @property
    def server(self) -> Server:
        assert self._server is not None, f"{self.name} does not run"
        return self._server

    @property
    def edge(self) -> EdgeServer:
        assert self._edge is not None, f"{self.name} does not run"
        return self._edge

    async def start(self) -> Place:
        folder = self.world.folder / self.name
        if not folder.exists() and self.name in DATA:
            folder.mkdir()
            await fresh_database(folder)
        seals = Seals(self.name, [self.world.keys[self.name]], self.world.public)
        abroad = Abroad(seals, self.world.finder) if self.has_border else None
        if self.config.is_edge:
            self._edge = await EdgeServer.start(self.config, abroad)
        else:
            self._server = await Server.start(self.config, abroad)
        return self

    async def stop(self) -> None:
        server, self._server, self._edge = self._server or self._edge, None, None
        if server is not None:
            await server.stop()

    async def person(self, localpart: str) -> str:
        """Somebody of this region; gives the bare JID."""
        node = self.server.node
        if await node.store.companies.by_name("Acme") is None:
            await node.store.companies.add("Acme", region=self.name)
        new = NewAccount(company="Acme", email=f"{localpart}@acme.example", localpart=localpart)
        await node.people.add(new, PASSWORD, actor="test")
        self.world.finder.homes |= {localpart: self.name, new.email: self.name}
        return f"{localpart}@{DOMAIN}"


class World:
    """`regions` and their settings, in one folder."""

    def __init__(self, folder: Path, **elsewhere: Any) -> None:
        self.folder = folder
        self.finder = Finder()
        hosts = [f"{name}.{DOMAIN}" for name in (*DATA, *EDGES)]
        self.files = make_certificates(folder, DOMAIN, *hosts)
        self.keys = {name: new_key() for name in (*DATA, *EDGES)}
        self.public = {name: [public_key(key)] for name, key in self.keys.items()}
        self.ports = {name: free_port() for name in (*DATA, *EDGES)}
        self.regions = Sections(
            {
                name: Region(
                    country="FR" if name in DATA else "GB",
                    kind=RegionKind.DATA if name in DATA else RegionKind.EDGE,
                    hosts=(f"{name}.{DOMAIN}",),
                    upstreams=(f"127.0.0.1:{port}",),
                )
                for name, port in self.ports.items()
            }
        )
        self._elsewhere = {"log_in": True, "answer_ms": ANSWER_MS, "ca": str(self.files.ca), **elsewhere}
        self.places: list[Place] = []

    def place(self, name: str, *, limits: Mapping[str, Any] = {}, **elsewhere: Any) -> Place:
        """A server of this region, not started."""
        folder = self.folder / name
        config = Config(
            domain=DOMAIN,
            region=name,
            default_region="emea",
            regions=self.regions,
            listen=Listen(port=self.ports[name], redirect_port=0, public_url=f"https://{name}.{DOMAIN}"),
            tls=Tls(certificate=str(self.files.certificate), key=str(self.files.key)),
            storage=Storage(url=f"sqlite+aiosqlite:///{folder / 'rainbow.db'}"),
            auth=Auth(
                sealing_key=Secret(secrets.token_hex(32)),
                token_key=Secret(new_signing_key()),
                scram_iterations=4096,
            ),
            limits=replace(Limits(), logins_per_address_per_minute=0, **limits),
            elsewhere=ElsewhereConfig(**{**self._elsewhere, **elsewhere}),
            plugins={
                "webrtc_relay": PluginTable("webrtc_relay", enabled=False, origins={"": Origin("test")})
            },
        )
        place = Place(self, name, config)
        self.places.append(place)
        return place

    async def another(self, first: Place) -> Place:
        """One more server of the same region, on the same database."""
        listen = replace(first.config.listen, port=free_port())
        place = Place(self, first.name, replace(first.config, listen=listen))
        self.places.append(place)
        return await place.start()

    async def stop(self) -> None:
        for place in reversed(self.places):
            await place.stop()
