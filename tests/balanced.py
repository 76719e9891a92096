"""A region as it stands in production: nodes on one PostgreSQL, NATS between them, Debian's HAProxy in front."""

import asyncio
import csv
import io
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.config.haproxy import Front, haproxy
from tests.conformance.wire import Endpoint
from tests.nats import Nats
from tests.process import Person, RainbowServer, ServerFault, free_port

needs_haproxy = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="HAProxy is not installed: apt-get install haproxy"
)
READY_S = 20.0
DRAIN = {"drain_notice_s": 2, "drain_spread_s": 2}
"""As docs/admin/load-balancer.md advises, for machines that are busy."""


class Haproxy:
    """One process with a written configuration, on loopback and without rights that tests may lack."""

    def __init__(self, folder: Path, front: Front, source: str = "") -> None:
        """`source`: where its connections to the nodes come from; whoever comes from elsewhere reaches them without."""
        self.front = front
        self.file = folder / "haproxy.cfg"
        self._log = folder / "haproxy.log"
        self._socket = folder / "ha.sock"
        text = haproxy(front).replace(":::", "127.0.0.1:").replace(" v4v6", "")
        text = text.replace("/run/haproxy/admin.sock", str(self._socket))
        if source:
            text = text.replace("    balance leastconn", f"    balance leastconn\n    source {source}")
        dropped = ("    user ", "    group ", "    log /dev/log")
        lines = [line for line in text.splitlines() if not line.startswith(dropped)]
        self.file.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when every node is in use."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(["haproxy", "-db", "-f", self.file], stdout=log, stderr=log)
        self.until(lambda: set(self.states().values()) == {"UP"})

    def until(self, true: Any, timeout_s: float = READY_S) -> None:
        end = time.monotonic() + timeout_s
        while not true():
            assert self._process is not None and self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, f"{self._states_or_none()}\n{self._log.read_text()}"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ask(self, command: str) -> str:
        """What it answers on its socket."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(5)
            asking.connect(str(self._socket))
            asking.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: asking.recv(65_536), b"")).decode()

    def states(self) -> Mapping[str, str]:
        """UP, NOLB (who is there stays, nobody new comes), DOWN, with how far a change is; of each node."""
        return self._of_each("status")

    def connections(self) -> Mapping[str, int]:
        """How many there are to each node."""
        return {name: int(number) for name, number in self._of_each("scur").items()}

    def _of_each(self, column: str) -> Mapping[str, str]:
        try:
            rows = csv.DictReader(io.StringIO(self.ask("show stat").lstrip("# ")))
        except OSError:
            return {}
        of_nodes = [row for row in rows if row["pxname"] == "nodes" and row["svname"] != "BACKEND"]
        return {row["svname"]: row[column] for row in of_nodes}

    def _states_or_none(self) -> object:
        return self._process is not None and self._process.poll() is None and self.states()


class BalancedRegion:
    """What clients reach by `endpoint`."""

    def __init__(self, nodes: list[RainbowServer], nats: Nats, balancer: Haproxy, endpoint: Endpoint) -> None:
        self.nodes = nodes
        self.nats = nats
        self.balancer = balancer
        self.endpoint = endpoint

    def new_person(self) -> Person:
        return self.nodes[0].new_person()

    @property
    def storage_url(self) -> str:
        return self.nodes[0].storage_url

    async def restart(self, number: int) -> None:
        """As an upgrade does it, one node: told to stop, started, in use again."""
        node = self.nodes[number]
        try:
            await asyncio.to_thread(node.stop)
        except ServerFault as fault:
            # A handler that was due in the moment of the end is not called any more, which Python tells.
            if "was never awaited" not in str(fault):
                raise
        await asyncio.to_thread(node.start)
        await self.until_up()

    async def until_up(self) -> None:
        await asyncio.to_thread(
            self.balancer.until, lambda: set(self.balancer.states().values()) == {"UP"}, 60.0
        )


@contextmanager
def balanced_region(
    folder: Path,
    storage_url: str,
    *,
    settings: Mapping[str, Any] | None = None,
    ends_tls: bool = False,
    number: int = 2,
    ready_timeout_s: float = 120.0,
    source: str = "",
) -> Iterator[BalancedRegion]:
    """It is started, and stopped at the end; `settings` are tables for every node."""
    with ExitStack() as stopping:
        nats = Nats(folder)
        if number > 1:
            nats.start()
            stopping.callback(nats.kill)
        port = free_port()
        nodes: list[RainbowServer] = []
        for node_number in range(1, number + 1):
            cluster = {"servers": [f"nats://127.0.0.1:{nats.port}"], "number": node_number}
            tables = {"cluster": cluster} if number > 1 else {}
            node = _node(folder, storage_url, nodes, port, tables | dict(settings or {}), ends_tls, source)
            node.ready_timeout_s = ready_timeout_s
            stopping.callback(node.stop)
            node.start()
            nodes.append(node)
        first = nodes[0].endpoint
        front = Front(
            nodes=[f"127.0.0.1:{_port(node, ends_tls)}" for node in nodes],
            domain="localhost",
            public_url=f"https://localhost:{port}",
            silence_s=60,
            port=port,
            redirect_port=free_port(),
            ends_tls=ends_tls,
            ca=str(first.ca_file),
            certificate=str(folder / "balancer.pem"),
        )
        if ends_tls:
            one = nodes[0].folder
            (folder / "balancer.pem").write_bytes(
                (one / "cert.pem").read_bytes() + (one / "key.pem").read_bytes()
            )
        balancer = Haproxy(folder, front, source)
        stopping.callback(balancer.stop)
        balancer.start()
        yield BalancedRegion(nodes, nats, balancer, replace(first, port=port, starttls_port=0))


def _node(
    folder: Path,
    storage_url: str,
    others: list[RainbowServer],
    port: int,
    settings: Mapping[str, Any],
    ends_tls: bool,
    source: str,
) -> RainbowServer:
    """The same keys and certificate as the others."""
    one = others[0].folder if others else folder / "node1"
    own: dict[str, Any] = {
        "listen": {"proxy_from": [source or "127.0.0.1"], "public_url": f"https://localhost:{port}"},
        "tls": {"certificate": str(one / "cert.pem"), "key": str(one / "key.pem")},
        "auth": {"token_key": {"file": str(one / "token.key")}},
        "limits": dict(DRAIN),
    }
    if ends_tls:
        own["listen"]["plain_port"] = free_port()
    for table, keys in settings.items():
        own[table] = {**own.get(table, {}), **keys}
    made = RainbowServer(
        folder / f"node{len(others) + 1}",
        settings=own,
        storage_url=storage_url,
        shares=others[0] if others else None,
    )
    made.plain_port = own["listen"].get("plain_port", 0)  # type: ignore[attr-defined]
    return made


def _port(node: RainbowServer, ends_tls: bool) -> int:
    return int(node.plain_port) if ends_tls else node.endpoint.port  # type: ignore[attr-defined]
