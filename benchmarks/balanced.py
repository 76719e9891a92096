"""What a message costs that goes to another node of the region, and what a load balancer costs logins.

    python -m benchmarks.balanced [--quick]

Two nodes on one PostgreSQL, NATS between them and HAProxy in front share core 0, the load client has core 1. Needs
Debian's `postgresql` and `haproxy`. No archive: what is compared is the way, not the disk.

HAProxy's checks, five a second for each node, are in the figures of the nodes.

`hop`: the open loop of chat, every pair on one node, and one of each pair on the other node, in turns. `storm`: full
logins as fast as they go, at one node, at two, and at two through HAProxy.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accounts import COMPANY, make_accounts, write_csv, write_for_client
from benchmarks.build import build_client
from benchmarks.errors import BenchError
from benchmarks.loadclient import LoadClient, Result
from benchmarks.measure import cpu_of, load_average
from benchmarks.plan import CLIENT_CORE, SERVER_CORE
from tests.balanced import BalancedRegion, balanced_region
from tests.faults.crash import own_postgres
from tests.postgres import Postgres

BALANCER = "127.0.0.9"
"""The load client comes from another address, and so reaches the nodes also without HAProxy."""
PEOPLE, SESSIONS, RATE = 200, 200, 500
LIMIT_MS = 300_000
SETTINGS = {"plugins": {"archive": {"enabled": False}}}


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked."""

    messages: int = 5_000
    rounds: int = 3
    logins: int = 5_000
    at_once: int = 100


class Bench:
    """A region that runs, and its client."""

    def __init__(self, region: BalancedRegion, client: LoadClient, load: Load) -> None:
        self._client = client
        self._load = load
        self._ports = [node.endpoint.port for node in region.nodes]
        self._balanced = region.endpoint.port
        self._processes = {
            **{f"node {number}": node.pid for number, node in enumerate(region.nodes, 1)},
            "NATS": region.nats.pid,
            "HAProxy": region.balancer.pid,
        }

    def hops(self) -> Iterator[str]:
        """Each placing in its turn."""
        one, two = self._ports
        for _ in range(self._load.rounds):
            for kind, other in (("one node", one), ("two nodes", two)):
                self._client.run("target", "tls", one, other)
                self._client.must("login", 0, SESSIONS, 50, LIMIT_MS)
                self._client.run("settle", 300, 20_000)
                self._client.run("open", RATE, RATE, 10_000)
                result, cpu = self._measured("open", self._load.messages, RATE, LIMIT_MS)
                self._client.run("logout", 10_000)
                yield _line(f"hop, {kind}", result, cpu, "us", 1e6)

    def storm(self) -> Iterator[str]:
        """Logins at one node, at two, and at two through HAProxy."""
        one, two = self._ports
        ways = (("one node", one, one), ("two nodes", one, two), ("HAProxy", self._balanced, self._balanced))
        for kind, port, other in ways:
            self._client.run("target", "tls", port, other)
            self._client.must("churn", PEOPLE, 50, PEOPLE, LIMIT_MS)
            load = self._load
            result, cpu = self._measured("churn", load.logins, load.at_once, PEOPLE, LIMIT_MS)
            yield _line(f"storm, {kind}", result, cpu, "ms", 1e3)

    def _measured(self, command: str, *arguments: object) -> tuple[Result, Mapping[str, float]]:
        """What came of it, and the CPU seconds that each process took for it."""
        before = {name: cpu_of(pid) for name, pid in self._processes.items()}
        result = self._client.run(command, *arguments)
        time.sleep(0.2)
        return result, {
            name: cpu_of(pid).since(before[name]).total_s for name, pid in self._processes.items()
        }


def _line(what: str, result: Result, cpu: Mapping[str, float], unit: str, factor: float) -> str:
    done = max(int(result["done"]), 1)
    if result["failed"] or result["done"] < result["target"]:
        raise BenchError(
            f"{what}: {result['done']} of {result['target']}, {result['failed']} failed ({result['why']})"
        )
    shares = ", ".join(f"{name} {each / done * factor:.1f}" for name, each in cpu.items())
    total = sum(cpu.values()) / done * factor
    return (
        f"{what:<18} p50 {result['p50_ms']:.2f} p99 {result['p99_ms']:.2f} ms, "
        f"{done / result['seconds']:,.0f} a second, {total:.1f} {unit} CPU each ({shares}), load {load_average():.1f}"
    )


def main() -> int:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shows that it works, not how fast")
    parser.add_argument("--logins", type=int, default=Load().logins, help="of the storm")
    given = parser.parse_args()
    load = Load(messages=500, rounds=1, logins=200, at_once=20) if given.quick else Load(logins=given.logins)
    with tempfile.TemporaryDirectory(prefix="region-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        people = make_accounts(PEOPLE)
        write_for_client(people, folder / "accounts")
        write_csv(people, folder / "people.csv")
        client = LoadClient(build_client(), folder / "accounts", 20260101, lambda text: None)
        stack.enter_context(client)
        if CLIENT_CORE in os.sched_getaffinity(0):
            os.sched_setaffinity(0, {SERVER_CORE})  # and so do all that are started from here
        url = Postgres(stack.enter_context(own_postgres()).folder).url("rainbow")
        region = stack.enter_context(balanced_region(folder, url, settings=SETTINGS, source=BALANCER))
        region.nodes[0].cli("company", "add", COMPANY)
        region.nodes[0].cli("user", "import", str(folder / "people.csv"))
        bench = Bench(region, client, load)
        for lines in (bench.hops(), bench.storm()):
            for line in lines:
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
