"""A demonstration that runs: NATS servers, a chat server for each place, companies, and people who log in."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from demo.nats import NatsProcess, start_all
from demo.places import DOMAIN, Place, Places
from rainbow_xmpp.cli.devcert import write_private
from rainbow_xmpp.store import Store

if TYPE_CHECKING:
    from tests.postgres import PrivatePostgres

READY_S = 60.0
STOP_S = 20.0
KNOWN_S = 60.0
SETTLE_S = 2.5
"""A server looks every second who was added; who is asked for before that is not there for a while."""
DATABASE = "rainbow"
ROOT = Path(__file__).resolve().parent.parent
PLACES = (
    Place("emea", "Europe, Middle East and Africa", "FR", (27220,), (24220,), 8443),
    Place("de", "Germany", "DE", (27230,), (24230,), 8444),
    Place("na", "North America", "CA", (27240,), (24240,), 8445),
    Place("uk", "United Kingdom", "GB", (), (24250,), 8446, hangs_on="emea"),
)


def with_two_nodes(places: Sequence[Place]) -> list[Place]:
    """The same with two servers in the first region."""
    first, *others = places
    return [replace(first, door_two=first.door + 10), *others]


class DemoFault(RuntimeError):
    """Something did not start or did not work; says where to read more."""


@dataclass(frozen=True, slots=True)
class Company:
    """At home in one region; some of its people may live in others."""

    name: str
    home: str
    also: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Somebody:
    """An account, whose data lies in `region`."""

    localpart: str
    company: str
    region: str

    @property
    def address(self) -> str:
        return f"{self.localpart}@{DOMAIN}"


COMPANIES = (Company("Acme", "emea", ("de", "na")), Company("Globex", "na", ("emea",)))
PEOPLE = (
    Somebody("alice", "Acme", "emea"),
    Somebody("dieter", "Acme", "de"),
    Somebody("nora", "Acme", "na"),
    Somebody("carol", "Globex", "na"),
    Somebody("gus", "Globex", "emea"),
)


class Demonstration:
    """Its files lie in one directory; what was made by an earlier run goes on.

    A region with two nodes has a PostgreSQL of its own, which is gone at the end: such a directory is used once. Its
    second node is called `emea-2`, where the first is `emea`.
    """

    def __init__(
        self, folder: Path, places: Sequence[Place] = PLACES, more: Mapping[str, object] | None = None
    ) -> None:
        """`more`: other settings for the chat servers; see `Places`."""
        self.places = Places(folder, places, more=more)
        self._nats: list[NatsProcess] = []
        self._chat: dict[str, subprocess.Popen[bytes]] = {}
        self._postgres: list[PrivatePostgres] = []
        self.nodes = {
            f"{place.name}-{number}" if number > 1 else place.name: (place, number)
            for place in places
            for number in range(1, len(place.doors) + 1)
        }
        """Each chat server: its place, and its number there."""
        self.password = ""
        """Of everybody."""

    def start(self) -> None:
        """Returns when people can log in everywhere. Raises DemoFault and NatsFault; call `stop` all the same."""
        _require_free(self.places.by_name.values())
        for place, number in self.nodes.values():
            if number > 1:
                self.places.storage[place.name] = self._database()
        self.places.write()
        self.password = self._password()
        self._nats = [server for name in self.places.by_name for server in self.places.nats(name)]
        start_all(self._nats)
        with_data = [place.name for place in self.places.by_name.values() if place.keeps_data]
        self._together((name, ("db", "upgrade")) for name in with_data)
        for name in self.nodes:
            self._launch(name)
        for name in self.nodes:
            self._await_ready(name)
        self._add_companies()
        self._add_people()

    def cli(self, place: str, *arguments: str) -> str:
        """What `rainbow-xmpp` prints for a server of this place. Raises DemoFault."""
        return self._together([(place, arguments)])[0]

    def _together(self, calls: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
        """The same of several calls at once."""
        calls = list(calls)
        running = [
            subprocess.Popen(
                [*self._command(place), *arguments],
                cwd=self._folder(place),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for place, arguments in calls
        ]
        said = [process.communicate()[0] for process in running]
        for (place, arguments), process, text in zip(calls, running, said, strict=True):
            if process.returncode:
                raise DemoFault(f"{place}: {' '.join(arguments)}:\n{text}")
        return said

    def processes(self) -> dict[str, int]:
        """The id of each process: what it is, and of which place."""
        found = {f"{name} server": process.pid for name, process in self._chat.items()}
        return found | {f"{server.log.parent.name} {server.log.stem}": server.pid for server in self._nats}

    def ended(self) -> Iterator[str]:
        """Places whose server has ended by itself."""
        yield from (name for name, process in self._chat.items() if process.poll() is not None)

    def stop(self) -> None:
        """Servers first, then the NATS servers that they talk over."""
        for process in self._chat.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._chat.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._chat.clear()
        for server in self._nats:
            server.stop()
        for postgres in self._postgres:
            postgres.remove()

    def log(self, node: str) -> Path:
        """What a chat server says."""
        return self._cwd(node) / "server.log"

    def _database(self) -> str:
        from tests.postgres import Postgres, PrivatePostgres

        postgres = PrivatePostgres()
        self._postgres.append(postgres)
        postgres.start()
        made = Postgres(postgres.folder)
        made.create_database(DATABASE)
        return made.url(DATABASE)

    def _cwd(self, node: str) -> Path:
        place, number = self.nodes[node]
        return self._folder(place.name) / f"node-{number}" if number > 1 else self._folder(place.name)

    def _folder(self, place: str) -> Path:
        return self.places.folder / place

    def _command(self, place: str) -> list[str]:
        return [sys.executable, "-m", "rainbow_xmpp", "--config", str(self._folder(place) / "rainbow.toml")]

    def _password(self) -> str:
        file = self.places.folder / "password"
        if not file.exists():
            write_private(file, f"Aa1!{secrets.token_urlsafe(9)}".encode())
        return file.read_text()

    def _launch(self, node: str) -> None:
        place, number = self.nodes[node]
        (self._cwd(node) / "data").mkdir(parents=True, exist_ok=True)
        door = place.doors[number - 1]
        own = {
            "RAINBOW_CLUSTER__NUMBER": str(number),
            "RAINBOW_LISTEN__PORT": str(door),
            "RAINBOW_LISTEN__PUBLIC_URL": f"https://{place.host}:{door}",
        }
        with self.log(node).open("wb") as log:
            # Ctrl-C is for who started them, who then stops them.
            self._chat[node] = subprocess.Popen(
                [*self._command(place.name), "run"],
                cwd=self._cwd(node),
                env=_environment() | own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_ready(self, place: str) -> None:
        end, process = time.monotonic() + READY_S, self._chat[place]
        while b"\nready " not in b"\n" + self.log(place).read_bytes():
            if process.poll() is not None or time.monotonic() > end:
                raise DemoFault(f"{self.log(place)}:\n{self.log(place).read_text()[-3000:]}")
            time.sleep(0.05)

    def _people(self, place: str) -> dict[str, set[str]]:
        """Who is there by now: localparts by company."""
        return asyncio.run(_people_in(self.places.config(place).storage.url))

    def _add_companies(self) -> None:
        """Where they are at home; the servers there tell the others."""
        new = []
        for company in COMPANIES:
            if company.name not in self._people(company.home):
                allowed = [option for region in company.also for option in ("--allow-region", region)]
                new.append(
                    (company.home, ("company", "add", company.name, "--region", company.home, *allowed))
                )
        self._together(new)
        end = time.monotonic() + KNOWN_S
        for place in {each.region for each in PEOPLE}:
            wanted = {each.company for each in PEOPLE if each.region == place}
            while missing := wanted - set(self._people(place)):
                if time.monotonic() > end:
                    raise DemoFault(f"{place} was not told of {', '.join(missing)}: see {self.log(place)}")
                time.sleep(0.2)

    def _add_people(self) -> None:
        calls = []
        for place in {each.region for each in PEOPLE}:
            there = self._people(place)
            new = [
                each for each in PEOPLE if each.region == place and each.localpart not in there[each.company]
            ]
            if new:
                table = self._folder(place) / "people.csv"
                write_private(table, _table(new, self.password).encode())
                calls.append((place, ("user", "import", str(table))))
        try:
            self._together(calls)
        finally:
            for _, (*_, table_name) in calls:
                Path(table_name).unlink()
        if calls:
            time.sleep(SETTLE_S)


def _require_free(places: Iterable[Place]) -> None:
    """Raises DemoFault for a port that somebody listens on."""
    for place in places:
        for port in (*place.borders, *place.buses, place.door):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    taken = f"port {port}, which {place.name} is to have, is taken"
                    raise DemoFault(f"{taken}: does another demonstration, or `make run`, run?") from None


async def _people_in(url: str) -> dict[str, set[str]]:
    store = await Store.open(url, require_schema=False)
    try:
        return {
            company.name: {member.account.localpart for member in await store.accounts.list(company.id)}
            for company in await store.companies.list()
        }
    finally:
        await store.close()


def _table(people: Sequence[Somebody], password: str) -> str:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("email", "company", "localpart", "password"))
    for each in people:
        rows.writerow(
            (f"{each.localpart}@{each.company.lower()}.example", each.company, each.localpart, password)
        )
    return text.getvalue()


def _environment() -> dict[str, str]:
    """Nothing of the caller's configuration counts here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
    return kept | {"PYTHONPATH": str(ROOT)}
