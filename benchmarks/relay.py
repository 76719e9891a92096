"""The relay of calls, beside Debian's coturn: CPU for each relayed packet and each allocation.

    python -m benchmarks.relay              # about three minutes
    python -m benchmarks.relay --quick      # half a minute: does it work

Channel data over UDP on loopback, 172 bytes (a 20 ms frame of Opus is less, with SRTP about that). Both servers get the
same load in turn, several times; of each figure the best run counts, since what else runs on the machine only adds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.build import build
from benchmarks.errors import BenchError
from benchmarks.measure import cpu_of, load_average
from benchmarks.plan import CLIENT_CORE, SERVER_CORE
from rainbow_xmpp.plugins.webrtc_relay import wire
from rainbow_xmpp.plugins.webrtc_relay.credentials import issue
from rainbow_xmpp.plugins.webrtc_relay.sockets import RelaySockets
from rainbow_xmpp.plugins.webrtc_relay.supervisor import start_child

SOURCE = Path(__file__).parent / "relay_client"
SECRET = "a secret of sixteen bytes and more"
PAYLOAD = 172
NO_LIMIT = 60_000
START_S = 10.0


class Load(NamedTuple):
    """One kind of load; `rate` is relayed packets a second, 0 = as fast as it goes; `alloc`: how many ask at a time."""

    name: str
    mode: str
    flows: int
    rate: int


LOADS = (
    Load("saturation", "echo", 50, 0),
    Load("paced 40,000/s", "echo", 400, 40_000),
    Load("pair, saturation", "pair", 50, 0),
    Load("pair, paced 40,000/s", "pair", 400, 40_000),
    Load("allocations, 1 by 1", "alloc", 1000, 1),
    Load("allocations, 32 a time", "alloc", 1000, 32),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run has shown. `us` is CPU microseconds for each relayed packet, or each allocation."""

    us: float
    per_second: float
    lost: int
    sent: int
    p50_ms: float
    p99_ms: float


class Relay(NamedTuple):
    """A server under load."""

    name: str
    pid: int
    port: int


@contextmanager
def rainbow(folder: Path) -> Iterator[Relay]:
    """Ours: the process that the server starts, without the server."""
    sockets = RelaySockets()
    sockets.open("127.0.0.1", 0)
    line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    door, their_door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    port = sockets.port
    process = start_child(theirs, their_door, sockets)
    sockets.close()
    limits = dict.fromkeys(
        ("allocations", "per_user", "per_company", "per_source", "ports_per_user"), NO_LIMIT
    )
    settings = wire.RelaySettings(
        realm="bench",
        relays=[("127.0.0.1", "127.0.0.1")],
        first_port=20_000,
        last_port=65_535,
        secrets=[SECRET.encode()],
        certificate="",
        key="",
        allow=["127.0.0.0/8"],
        limits=limits | {"unauthenticated_per_second": 1_000_000},
        allocation_rate=1e9,
    )
    try:
        theirs.close()
        their_door.close()
        line.sendall(wire.packed(settings))
        line.settimeout(START_S)
        if not line.recv(4096):
            raise BenchError("the relay has not started")
        yield Relay("rainbow", process.pid, port)
    finally:
        line.close()
        door.close()
        process.wait(START_S)


@contextmanager
def coturn(folder: Path) -> Iterator[Relay]:
    """Debian's, with the same secret; nothing but relaying."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    arguments = [
        "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}",
        "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=bench", "--allow-loopback-peers",
        "--no-tls", "--no-dtls", "--no-cli", "--log-file=/dev/null", "--no-stdout-log", "--relay-threads=1",
        "--min-port=20000", "--max-port=65535", f"--pidfile={folder}/coturn.pid", f"--userdb={folder}/coturn.db",
    ]  # fmt: skip
    process = subprocess.Popen(
        ["turnserver", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for_binding(port, process)
        yield Relay("coturn", process.pid, port)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _wait_for_binding(port: int, process: subprocess.Popen[bytes]) -> None:
    request = b"\0\1\0\0\x21\x12\xa4\x42" + os.urandom(12)
    end = time.monotonic() + START_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.1)
        while time.monotonic() < end and process.poll() is None:
            try:
                sock.send(request)
                sock.recv(2048)
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise BenchError("coturn has not started")


def measured(program: Path, relay: Relay, load: Load, seconds: float) -> Run:
    """One run."""
    credential = issue(SECRET.encode(), "bench-bench", int(time.time()) + 3600)
    command = [program, "127.0.0.1", relay.port, credential.username, credential.password]
    command += [load.mode, load.flows, PAYLOAD, load.rate, seconds]
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None and client.stdout is not None
        try:
            if client.stdout.readline() != "ready\n":
                raise BenchError(f"{relay.name}: the load client has no allocations")
            before = cpu_of(relay.pid)
            print(file=client.stdin, flush=True)
            found: dict[str, Any] = json.loads(client.stdout.readline() or "{}")
            used = cpu_of(relay.pid).since(before)
            print(file=client.stdin, flush=True)
        finally:
            client.stdin.close()
            client.wait(30)
    pieces = load.flows if load.mode == "alloc" else found["relayed"]
    if not pieces:
        raise BenchError(f"{relay.name}: nothing was relayed")
    return Run(
        used.total_s * 1e6 / pieces, pieces / found["seconds"], found["lost"], found["sent"],
        found["p50_ms"], found["p99_ms"],
    )  # fmt: skip


def compare(program: Path, load: Load, rounds: int, seconds: float, folder: Path) -> dict[str, list[Run]]:
    """The same load for each server in turn; each on a fresh start and a port of its own."""
    runs: dict[str, list[Run]] = {"rainbow": [], "coturn": []}
    servers = [rainbow] + ([coturn] if shutil.which("turnserver") else [])
    for _ in range(rounds):
        for server in servers:
            with server(folder) as relay:
                os.sched_setaffinity(relay.pid, {SERVER_CORE})
                for thread in Path(f"/proc/{relay.pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {SERVER_CORE})
                runs[relay.name].append(measured(program, relay, load, seconds))
    return runs


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table; a file with all runs where one is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the name of a load")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    rounds, seconds = (1, 1.0) if options.quick else (5, 3.0)
    rounds = options.rounds or rounds
    program = build("turnload", SOURCE, ("-lcrypto",))
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {CLIENT_CORE})
    results: dict[str, dict[str, list[Run]]] = {}
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        for load in LOADS:
            if options.only in load.name:
                results[load.name] = compare(program, load, rounds, seconds, Path(folder))
                _print(load, results[load.name])
    print(f"load average {load_average():.1f}; best of {rounds} runs, brackets: all of them")
    if options.json:
        plain = {
            name: {
                server: [[getattr(run, field) for field in Run.__slots__] for run in runs]
                for server, runs in of.items()
            }
            for name, of in results.items()
        }
        options.json.write_text(json.dumps({"fields": Run.__slots__, "runs": plain}, indent=1) + "\n")
    return 0


def _print(load: Load, of: dict[str, list[Run]]) -> None:
    best = {name: min(runs, key=lambda run: run.us) for name, runs in of.items() if runs}
    unit = "allocation" if load.mode == "alloc" else "packet"
    for name, run in best.items():
        values = [each.us for each in of[name]]
        print(
            f"{load.name:<22}{name:<9}{run.us:7.2f} us a {unit} [{min(values):.2f}-{max(values):.2f}]  "
            f"{run.per_second:9,.0f}/s  lost {run.lost} of {run.sent}  p50 {run.p50_ms:.2f} p99 {run.p99_ms:.2f} ms"
        )
    if len(best) == 2:
        print(f"{load.name:<22}{'':9}{best['rainbow'].us / best['coturn'].us:7.2f} x coturn", flush=True)


if __name__ == "__main__":
    sys.exit(main())
