"""Chat while the relay is saturated: the open loop of chat, with and without a flood of relayed packets, in turn.

    python -m benchmarks.relay_chat

The chat server and its client share core 0, the relay's process and its load core 1: what the relay takes from chat is
then what the two processes share besides a core, as they do on one machine. Only on a machine with nothing else to
do: a flood that is pinned to one core drives what else runs to the other, where chat is. About two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.accounts import make_accounts, write_for_client
from benchmarks.build import build, build_client
from benchmarks.certs import make_certificate
from benchmarks.errors import BenchError
from benchmarks.loadclient import LoadClient
from benchmarks.measure import cpu_of, load_average
from benchmarks.plan import CLIENT_CORE, QUICK, SERVER_CORE
from benchmarks.relay import PAYLOAD, SECRET, SOURCE, rainbow
from benchmarks.scenarios import Turn, open_loop
from benchmarks.servers import Site
from benchmarks.servers.rainbow import Rainbow
from rainbow_xmpp.plugins.webrtc_relay.credentials import issue

ROUNDS = 3
FLOWS, LONGEST_S = 50, 60


@contextmanager
def flood(program: Path, folder: Path) -> Iterator[int]:
    """A relay with as much to do as it can, on the other core; its pid."""
    credential = issue(SECRET.encode(), "bench-bench", int(time.time()) + 3600)
    with rainbow(folder) as relay:
        os.sched_setaffinity(relay.pid, {CLIENT_CORE})
        command = [program, "127.0.0.1", relay.port, credential.username, credential.password]
        command += ["echo", FLOWS, PAYLOAD, 0, LONGEST_S]
        with subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as load:
            assert load.stdin is not None and load.stdout is not None
            os.sched_setaffinity(load.pid, {CLIENT_CORE})
            try:
                if load.stdout.readline() != "ready\n":
                    raise BenchError("the load client has no allocations")
                print(file=load.stdin, flush=True)
                yield relay.pid
            finally:
                load.kill()


def main() -> int:
    """Prints a line for each run."""
    os.sched_setaffinity(0, {SERVER_CORE})
    program, plan = build("turnload", SOURCE, ("-lcrypto",)), replace(QUICK, chat_sessions=200)
    with tempfile.TemporaryDirectory(prefix="relay-chat-") as name, ExitStack() as stack:
        folder = Path(name)
        accounts = make_accounts(plan.accounts, storm=plan.storm_people)
        write_for_client(accounts, folder / "accounts")
        site = Site(folder / "rainbow", *make_certificate(folder))
        site.directory.mkdir()
        server = Rainbow(site)
        stack.callback(server.stop)
        server.prepare(accounts)
        client = stack.enter_context(
            LoadClient(build_client(), folder / "accounts", plan.seed, lambda text: None)
        )
        turn = Turn(server, client, plan)
        for _ in range(ROUNDS):
            _one(turn, "without")
            with flood(program, folder) as pid:
                _one(turn, "with", pid)
    return 0


def _one(turn: Turn, kind: str, pid: int | None = None) -> None:
    began, before = time.monotonic(), cpu_of(pid) if pid else None
    for row in open_loop(turn):
        values = row.values
        share = ""
        if pid and before:
            used = cpu_of(pid).since(before).total_s / (time.monotonic() - began)
            share = f"  relay used {100 * used:.0f} % of its core"
        print(
            f"{kind:<8}{row.transport:<5}p50 {values['p50_ms']:.2f} p99 {values['p99_ms']:.2f} ms  "
            f"{values['cpu_us']:.1f} us a message  failures {row.failures}{share}  load {load_average():.1f}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
