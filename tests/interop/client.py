"""A client under test: a real library in a process of its own, told what to do by JSON lines."""

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests import setup_clients
from tests.conformance.wire import Endpoint
from tests.process import ROOT, Person

TIMEOUT_S = 30.0
LOGIN_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

Event = dict[str, Any]


class ClientFailed(AssertionError):
    """A client answered a command with a failure, or its process ended; `reason` is in its own words."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}\n{detail}" if detail else reason)


def _python(script: str) -> list[str]:
    return [sys.executable, str(setup_clients.INTEROP / script)]


def _aioxmpp(*arguments: str) -> list[str]:
    return [str(setup_clients.aioxmpp_python()), str(setup_clients.INTEROP / "aioxmpp_client.py"), *arguments]


def _node(script: str) -> list[str]:
    keep_links = ["--preserve-symlinks", "--preserve-symlinks-main"]
    return [str(setup_clients.node_program()), *keep_links, str(setup_clients.node_drivers() / script)]


@dataclass(frozen=True, slots=True)
class Kind:
    """A library, the transport it takes, and the SASL mechanisms it can be told to use."""

    name: str
    over: Literal["tls", "wss"]
    mechanisms: tuple[str, ...]
    command: Callable[[], list[str]]
    resumes: bool = False
    """It goes on with its session when the connection was lost (XEP-0198)."""

    def __str__(self) -> str:
        return self.name


SLIXMPP = Kind(
    "slixmpp", "tls", ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"), lambda: _python("slixmpp_client.py")
)
AIOXMPP = Kind("aioxmpp", "tls", ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"), _aioxmpp)
XMPP_CLIENT = Kind("xmpp.js", "wss", ("SCRAM-SHA-1", "PLAIN"), lambda: _node("xmpp_client.mjs"), True)
STANZA = Kind("stanza", "wss", ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"), lambda: _node("stanza.mjs"))
STROPHE = Kind("strophe", "wss", ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"), lambda: _node("strophe.mjs"))
CONVERSE = Kind("Converse", "wss", ("SCRAM", "PLAIN"), lambda: _node("converse.mjs"), True)
CONVERSE_ANEW = Kind("Converse-anew", "wss", ("SCRAM",), lambda: [*_node("converse.mjs"), "anew"])
"""Without stream management: it has its history from the archive only."""
RESUMING = (
    Kind(
        "slixmpp-resuming", "tls", ("SCRAM-SHA-256",), lambda: [*_python("slixmpp_client.py"), "resume"], True
    ),
    Kind("aioxmpp-resuming", "tls", ("SCRAM-SHA-256",), lambda: _aioxmpp("resume"), True),
    Kind("stanza-resuming", "wss", ("SCRAM-SHA-256",), lambda: [*_node("stanza.mjs"), "resume"], True),
)
"""With stream management."""
EVENTING = Kind("slixmpp-eventing", "tls", ("SCRAM-SHA-256",), lambda: _python("slixmpp_eventing.py"))
"""With what builds upon personal eventing; for the tests of that."""
HISTORY = Kind("slixmpp-history", "tls", ("SCRAM-SHA-256",), lambda: _python("slixmpp_history.py"))
"""With the archive; for the tests of that."""
HISTORY_RESUMING = Kind(
    "slixmpp-history-resuming",
    "tls",
    ("SCRAM-SHA-256",),
    lambda: [*_python("slixmpp_history.py"), "resume"],
    True,
)
SEVERAL_DEVICES = (HISTORY, HISTORY_RESUMING, STANZA, *RESUMING[1:])
"""With carbons and, but for aioxmpp, which has no archive, with history; for the tests of both."""
PAGES = Kind("pages", "wss", (), lambda: _node("pages.mjs"))
"""The server's own pages in a browser; no XMPP client."""
CALLS = Kind("calls", "wss", (), lambda: _node("calls.mjs"))
"""Peer connections in a browser; no XMPP client."""
IN_CHROMIUM = (CONVERSE, CONVERSE_ANEW, PAGES, CALLS)
KINDS = (SLIXMPP, AIOXMPP, XMPP_CLIENT, STANZA, STROPHE)


@dataclass(eq=False)
class Client:
    """One running client. `pending` holds the events that no wait has taken yet, oldest first."""

    kind: Kind
    process: asyncio.subprocess.Process
    log_file: Path
    pending: deque[Event] = field(default_factory=deque)
    history: list[Event] = field(default_factory=list)
    jid: str = ""

    async def login(
        self,
        person: Person,
        endpoint: Endpoint,
        *,
        port: int | None = None,
        username: str | None = None,
        mechanism: str | None = None,
        resource: str = "interop",
        **more: str,
    ) -> str:
        """Comes online, returns the full JID; raises `ClientFailed`. No `mechanism`: the library chooses."""
        port = port or endpoint.port
        await self.do(
            "login",
            timeout=LOGIN_TIMEOUT_S,
            url=f"wss://{endpoint.domain}:{port}{endpoint.path}",
            port=port,
            ca_file=str(endpoint.ca_file),
            domain=endpoint.domain,
            username=username or person.localpart,
            password=person.password,
            mechanism=mechanism,
            resource=resource,
            **more,
        )
        return await self.wait_online()

    async def wait_online(self) -> str:
        """Returns the full JID when the client has come online, for the first time or again."""
        self.jid = (await self.wait("online", timeout=LOGIN_TIMEOUT_S))["jid"]
        return self.jid

    async def do(self, what: str, *, timeout: float = TIMEOUT_S, **fields: Any) -> None:
        """Gives a command and waits until the library has taken it; raises `ClientFailed`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **fields}).encode() + b"\n")
        await self.process.stdin.drain()
        answer = await self.wait_for(
            lambda e: e["event"] in ("done", "failed") and e["what"] == what, what, timeout
        )
        if answer["event"] == "failed":
            raise ClientFailed(answer["reason"], self._log_tail())

    async def wait(self, event: str, *, timeout: float = TIMEOUT_S, **fields: Any) -> Event:
        """The oldest event with this name and these fields (`from_` is `from`); others stay pending."""
        wanted = {"event": event, **{name.rstrip("_"): value for name, value in fields.items()}}
        return await self.wait_for(lambda e: wanted.items() <= e.items(), str(wanted), timeout)

    async def wait_for(self, fits: Callable[[Event], bool], what: str, timeout: float = TIMEOUT_S) -> Event:
        """The oldest event that fits; raises `ClientFailed` when it does not come."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for event in self.pending:
                        if fits(event):
                            self.pending.remove(event)
                            return event
                    await self._read()
        except TimeoutError:
            raise ClientFailed(f"{self.kind}: no {what} in {timeout} s", self._report()) from None

    async def _read(self) -> None:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise ClientFailed(f"{self.kind}: the process ended", self._report())
        event = json.loads(line)
        self.pending.append(event)
        self.history.append(event)

    def _report(self) -> str:
        return "\n".join([*(json.dumps(event) for event in self.history), self._log_tail()])

    def _log_tail(self) -> str:
        return self.log_file.read_text(errors="replace")[-6000:]


def _environ(kind: Kind, endpoint: Endpoint) -> dict[str, str]:
    environ = os.environ | {"PYTHONPATH": str(ROOT), "NODE_EXTRA_CA_CERTS": str(endpoint.ca_file)}
    return environ | {"CHROMIUM": str(setup_clients.chromium_program())} if kind in IN_CHROMIUM else environ


@asynccontextmanager
async def running(kind: Kind, endpoint: Endpoint, folder: Path) -> AsyncIterator[Client]:
    """Starts a client's process; it is ended however the test ends."""
    log_file = folder / f"{kind.name}-{os.urandom(3).hex()}.log"
    command = await asyncio.to_thread(kind.command)
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env=_environ(kind, endpoint),
            start_new_session=True,
        )
    client = Client(kind, process, log_file)
    try:
        await client.wait("started", timeout=LOGIN_TIMEOUT_S)
        yield client
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        os.killpg(process.pid, 9)
        await process.wait()
