"""Chat servers as real processes on free ports, each with its own folder, CA and accounts."""

import asyncio
import csv
import fcntl
import io
import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import SystemRandom
from typing import Any

from rainbow_xmpp.auth.tokens import new_signing_key
from rainbow_xmpp.observe.control import ask
from tests.certificates import make_certificates
from tests.conformance.wire import Endpoint

ROOT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
CLI_TIMEOUT_S = 120.0
COMPANIES = ("Acme", "Globex")
_PEOPLE_PER_IMPORT = 200
_PEOPLE_AT_FIRST = {"Acme": 12, "Globex": 6}
"""Who is in a new server's database already: as many as most tests need that start a server of their own."""
_SIGNS_OF_A_FAULT = re.compile(
    r"Traceback \(most recent call last\)|was never (retrieved|awaited)|Unclosed |stack traceback:"
)
_numbers = itertools.count(1)
_ports: set[int] = set()
"""Those that this process has been given."""
_SEALING_KEY = secrets.token_hex(32)
"""The same for all servers of a process: one audit log begins in the database that they copy."""


class ServerFault(AssertionError):
    """The server did not start, did not stop in time, or wrote a traceback into its log."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account on the test server."""

    localpart: str
    email: str
    company: str
    password: str
    domain: str

    @property
    def jid(self) -> str:
        """The bare JID."""
        return f"{self.localpart}@{self.domain}"


def free_port() -> int:
    """A port that nobody has, TCP or UDP, outside the range the kernel gives to outgoing connections.

    No other test that runs is given it while this process lives: a server may be stopped and started again.
    """
    for _ in range(100):
        port = SystemRandom().randrange(15_000, 32_000)
        if not _is_ours_alone(port):
            continue
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerFault("no free port found")


def _is_ours_alone(port: int) -> bool:
    """Each port is a byte of a file, which one process may lock."""
    if port in _ports:
        return False
    try:
        fcntl.lockf(_port_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _ports.add(port)
    return True


@cache
def _port_file() -> int:
    path = Path(tempfile.gettempdir(), f"rainbow-test-ports-{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class ChatServer(ABC):
    """A server process: started by `start()`, ended by `stop()`, which checks that it ended well."""

    endpoint: Endpoint
    offers_email_login: bool
    offers_channel_binding: bool

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ready_timeout_s = READY_TIMEOUT_S
        self.log_file = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._people: dict[str, deque[Person]] = {}

    @abstractmethod
    def start(self) -> None:
        """Starts the process and returns when clients can connect; raises `ServerFault`."""

    @abstractmethod
    def add_people(self, people: Sequence[Person]) -> None:
        """Makes these accounts."""

    async def carried(self) -> None:
        """Returns when no contact request is on its way any more that was handled by now."""
        return

    def offers(self, mechanism: str | None) -> bool:
        """Whether a client can log in with this SASL mechanism; None is the client's own choice."""
        return self.offers_channel_binding or not (mechanism or "").endswith("-PLUS")

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process is not None
        return self._process

    def new_person(self, company: str = COMPANIES[0]) -> Person:
        """An account that no other test has. They are made in batches: a run of the CLI costs more than they do."""
        pool = self._people.setdefault(company, deque())
        if not pool:
            people = self._invented(company, _PEOPLE_PER_IMPORT)
            self.add_people(people)
            pool.extend(people)
        return pool.popleft()

    def _invented(self, company: str, number: int) -> list[Person]:
        return [_invent_person(company, self.endpoint.domain) for _ in range(number)]

    def log_text(self, since: int = 0) -> str:
        """What the process has written to stderr and stdout, from this byte on."""
        return self.log_file.read_bytes()[since:].decode(errors="replace") if self.log_file.exists() else ""

    def assert_no_fault(self, since: int = 0) -> None:
        """Raises `ServerFault` if the log shows a traceback or a lost task."""
        text = self.log_text(since)
        if found := _SIGNS_OF_A_FAULT.search(text):
            around = text[max(0, found.start() - 1000) : found.end() + 4000]
            raise ServerFault(f"in {self.log_file}:\n{around}")

    def stop(self) -> None:
        """Ends the process with SIGTERM; raises `ServerFault` if it lingers or its log is not clean."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFault(f"still running {STOP_TIMEOUT_S} s after SIGTERM:\n{self.log_text()}") from None
        if code != 0:
            raise ServerFault(f"ended with {code}:\n{self.log_text()}")
        self.assert_no_fault()

    def _launch(self, command: Sequence[str], environ: Mapping[str, str], ready: str) -> None:
        """Starts the process and waits for a log line that matches the pattern `ready`."""
        since = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + self.ready_timeout_s
        while not re.search(ready, self.log_text(since), re.MULTILINE):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self._process.send_signal(signal.SIGABRT)  # says where it stands
                self._process.wait()
                raise ServerFault(f"did not get ready:\n{self.log_text()}")
            time.sleep(0.02)


class RainbowServer(ChatServer):
    """Our own server, set up and started only by its command line.

    `settings` are tables and keys of the configuration that replace the ones a test server has: those of
    conf/examples/bench.toml (no limits per address) with free ports.
    """

    offers_email_login = True
    offers_channel_binding = True

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        origins: Sequence[str] = (),
        storage_url: str = "sqlite+aiosqlite:///data/rainbow.db",
        shares: "RainbowServer | None" = None,
    ) -> None:
        """`shares`: another node, whose database this one finds set up."""
        super().__init__(folder)
        self._shares = shares
        folder.mkdir(exist_ok=True)
        self._storage_url = storage_url
        files = make_certificates(folder)
        self.endpoint = Endpoint(free_port(), files.ca, starttls_port=free_port())
        self.redirect_port = free_port()
        self.metrics_port = free_port()
        self.config_file = folder / "rainbow.toml"
        (folder / "sealing.key").write_text(_SEALING_KEY)
        (folder / "token.key").write_text(new_signing_key())
        (folder / "relay.secret").write_text(secrets.token_hex(16))
        (folder / "data").mkdir()
        config = tomllib.loads((ROOT / "conf/examples/bench.toml").read_text())
        own: dict[str, Any] = {
            "domain": self.endpoint.domain,
            "listen": {
                "address": self.endpoint.host,
                "port": self.endpoint.port,
                "redirect_port": self.redirect_port,
                "starttls_port": self.endpoint.starttls_port,
            },
            "tls": {"certificate": str(files.certificate), "key": str(files.key)},
            "storage": {"url": storage_url},
            "metrics": {"address": self.endpoint.host, "port": self.metrics_port},
            "websocket": {"origins": list(origins)},
            # The least that is allowed: most of what a login costs a test is its own hashing.
            "auth": {
                "sealing_key": {"file": str(folder / "sealing.key")},
                "token_key": {"file": str(folder / "token.key")},
                "scram_iterations": 4096,
            },
            # People whom one test makes are nobody's business in another; who wants it switches it on.
            "plugins": {
                "company_roster": {"enabled": False},
                "webrtc_relay": {"enabled": False, "secret": {"file": str(folder / "relay.secret")}},
            },
        }
        self.config_file.write_text(_toml(_merged(_merged(config, own), settings or {})))

    def start(self) -> None:
        if self._process is None and not (self.folder / ".set-up").exists():
            self._set_up()
            (self.folder / ".set-up").touch()
        self._launch([*self._command(), "run"], self._environ(), r"\bready\b")

    def _set_up(self) -> None:
        """A database with companies and people; the command line makes the first, which further servers copy."""
        if self._shares is not None:
            self._people = self._shares._people
            return
        made = _databases_made.get(self._storage_url)
        if made is None:
            made = self._make_database()
            if self.database_file.exists():
                _databases_made[self._storage_url] = made
        else:
            self.database_file.write_bytes(made.file)
        self._people = {company: deque(people) for company, people in made.people.items()}

    def _make_database(self) -> "_Database":
        self.cli("db", "upgrade")
        for company in COMPANIES:
            self.cli("company", "add", company)
        people = {company: self._invented(company, number) for company, number in _PEOPLE_AT_FIRST.items()}
        self.add_people(list(itertools.chain(*people.values())))
        file = self.database_file.read_bytes() if self.database_file.exists() else b""
        return _Database(file, people)

    @property
    def storage_url(self) -> str:
        """Its database, as others open it."""
        return self._storage_url.replace(":///data/", f":///{self.run_folder}/")

    @property
    def run_folder(self) -> Path:
        """Where the running server answers its command line."""
        return self.folder / "data"

    async def carried(self) -> None:
        while await asyncio.to_thread(self._on_their_way):
            await asyncio.sleep(0.005)

    def _on_their_way(self) -> int:
        told: Any = ask(self.run_folder, "status")
        return int(told["queues"]["contact_requests"])

    @property
    def database_file(self) -> Path:
        """The SQLite database of a server that was not told to use another."""
        return self.run_folder / "rainbow.db"

    def cli(self, *arguments: str, stdin: str = "") -> str:
        """Runs `rainbow-xmpp --config FILE ARGUMENTS` and returns its stdout; raises `ServerFault`."""
        done = subprocess.run(
            [*self._command(), *arguments],
            cwd=self.folder,
            env=self._environ(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CLI_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise ServerFault(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def add_people(self, people: Sequence[Person]) -> None:
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(("email", "company", "localpart", "password"))
        rows.writerows((p.email, p.company, p.localpart, p.password) for p in people)
        table = self.folder / f"people-{secrets.token_hex(4)}.csv"
        table.write_text(text.getvalue())
        self.cli("user", "import", str(table))
        table.unlink()

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "rainbow_xmpp", "--config", str(self.config_file)]

    def _environ(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
        return environ | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}


@dataclass(frozen=True, slots=True)
class _Database:
    """A SQLite file as the command line made it, and who is in it."""

    file: bytes
    people: Mapping[str, Sequence[Person]]


_databases_made: dict[str, _Database] = {}
"""By storage URL, which is relative to its server's folder."""


def _invent_person(company: str, domain: str) -> Person:
    localpart = f"p{next(_numbers)}-{secrets.token_hex(4)}"
    email = f"{localpart}@{company.lower()}.example"
    return Person(localpart, email, company, f"Aa1!{secrets.token_hex(12)}", domain)  # no word may be in it


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`, table by table."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged


def _toml(table: Mapping[str, Any]) -> str:
    """A configuration as TOML; tables inside tables are written inline, which says the same."""
    lines = [_toml_line(key, value) for key, value in table.items() if not isinstance(value, Mapping)]
    for name, section in table.items():
        if isinstance(section, Mapping):
            lines += [f"[{name}]", *(_toml_line(key, value) for key, value in section.items())]
    return "\n".join(lines) + "\n"


def _toml_line(key: str, value: Any) -> str:
    return f"{key} = {_toml_value(value)}"


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_toml_line(key, item) for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
