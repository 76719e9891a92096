"""A region of two nodes behind HAProxy, under load: restarted node by node, its nodes and its NATS killed.

    python -m tests.faults.rolling --clients 40 --restarts 10 --nodes 20 --nats 20 --seed 1

Clients chat in pairs as in `tests.faults.crash`, through the load balancer, whatever node they reach. Restarts are
those of an upgrade (SIGTERM, start, the other node), while somebody logs in over and over and is refused never. Before
a node or the NATS server is killed, everybody says so much at once that 500 messages are on their way.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import ssl
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

import aiohttp

from tests.balanced import BalancedRegion, balanced_region
from tests.conformance.wire import Over, connect
from tests.faults.crash import BUSY_READY_S, PACE, SETTINGS, Crash, own_postgres
from tests.faults.troubles import Trouble, until
from tests.postgres import Postgres
from tests.process import Person

IN_FLIGHT = 500
RETURNS_S = 60.0


class RollingRestart(Trouble[BalancedRegion]):
    """Every node is stopped and started, one after the other; nobody who wants to log in meanwhile is refused."""

    kind = "restarts of the region"

    def __init__(self, logins: "Logins") -> None:
        self._logins = logins

    async def strike(self, server: BalancedRegion, chance: random.Random) -> float:
        began = time.monotonic()
        trying = asyncio.create_task(self._logins.go_on(server))
        try:
            for number in range(len(server.nodes)):
                await server.restart(number)
        finally:
            trying.cancel()
            with suppress(asyncio.CancelledError):
                await trying
        return time.monotonic() - began


class Logins:
    """Somebody who logs in and out, over both transports."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.done = 0
        self.refused: list[str] = []
        self.slowest_s = 0.0

    async def go_on(self, region: BalancedRegion) -> None:
        ways: tuple[Over, ...] = ("wss", "tls")
        while True:
            over = ways[self.done % 2]
            began = time.monotonic()
            try:
                async with await connect(region.endpoint, over) as wire:
                    await wire.open()
                    await wire.authenticate(self.person.localpart, self.person.password, "PLAIN")
                    await wire.open()
                    await wire.bind()
            except Exception as error:  # whatever it is, it is told
                self.refused.append(f"over {over}, {time.monotonic() - began:.2f} s: {error!r}")
            self.done += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            await asyncio.sleep(0.02)


class NodeDies(Trouble[BalancedRegion]):
    """One of the nodes is killed under full load, and started again.

    The seconds are those from the kill to the next TLS connection.
    """

    kind = "nodes killed"

    def __init__(self, run: "RegionRun") -> None:
        self._run = run

    async def strike(self, server: BalancedRegion, chance: random.Random) -> float:
        node = server.nodes[chance.randrange(len(server.nodes))]
        await self._run.fill()
        seconds = await kill(server, node.process.pid)
        node.process.wait()
        node._process = None
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        await asyncio.to_thread(node.start)
        await server.until_up()
        return seconds


async def kill(region: BalancedRegion, pid: int) -> float:
    """Kill this process; the seconds until somebody has a TLS connection through the load balancer."""
    context = region.endpoint.tls_context(("http/1.1",))
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    while True:
        try:
            async with asyncio.timeout(RETURNS_S):
                _, writer = await asyncio.open_connection(
                    region.endpoint.host, region.endpoint.port, ssl=context, server_hostname="localhost"
                )
        except (OSError, ssl.SSLError):
            continue
        seconds = time.monotonic() - began
        writer.transport.abort()
        return seconds


class NatsDies(Trouble[BalancedRegion]):
    """The NATS server is killed under full load, and started again. The seconds are those until all nodes have it."""

    kind = "NATS killed"

    def __init__(self, run: "RegionRun") -> None:
        self._run = run

    async def strike(self, server: BalancedRegion, chance: random.Random) -> float:
        await self._run.fill()
        server.nats.kill()
        await asyncio.sleep(chance.uniform(0.1, 3.0))
        await asyncio.to_thread(server.nats.start)
        began = time.monotonic()
        await until(lambda: _are_joined(server), "a node did not come back to its bus")
        return time.monotonic() - began


async def _are_joined(region: BalancedRegion) -> bool:
    async with aiohttp.ClientSession() as asking:
        for node in region.nodes:
            async with asking.get(f"http://127.0.0.1:{node.metrics_port}/metrics") as answer:
                if "\nrainbow_cluster_connected 1" not in await answer.text():
                    return False
    return True


class RegionRun:
    """One run."""

    def __init__(self, region: BalancedRegion, clients: int, seed: int, pace: float = PACE) -> None:
        self.crash = Crash(region, clients, seed, pace)
        self.logins = Logins(region.new_person())
        self.in_flight: list[int] = []
        """Said and not acknowledged when something was killed."""

    async def fill(self) -> None:
        """Have 500 messages on their way."""
        talkers = self.crash.talkers
        for talker in talkers:
            talker.hurry(-(-IN_FLIGHT // len(talkers)))
        for _ in range(40):
            await asyncio.sleep(0.002)
            flying = sum(talker.in_flight for talker in talkers)
            if flying >= IN_FLIGHT:
                break
        self.in_flight.append(flying)

    def restart(self) -> RollingRestart:
        return RollingRestart(self.logins)

    def node_dies(self) -> NodeDies:
        return NodeDies(self)

    def nats_dies(self) -> NatsDies:
        return NatsDies(self)

    @property
    def faults(self) -> list[str]:
        """Whatever must not be, in words."""
        return [
            *self.crash.report.violations,
            *(f"a login was refused {text}" for text in self.logins.refused),
        ]

    def __str__(self) -> str:
        flying = sorted(self.in_flight)
        return (
            f"{self.crash.report}\n{self.logins.done:,} logins during restarts, {len(self.logins.refused)} refused, "
            f"the slowest took {self.logins.slowest_s:.2f} s. On their way when something was killed: "
            + (f"{flying[0]} to {flying[-1]}, median {flying[len(flying) // 2]}." if flying else "-")
        )


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=40, help="an even number")
    parser.add_argument("--restarts", type=int, default=5, help="of the whole region")
    parser.add_argument("--nodes", type=int, default=20, help="so often one is killed")
    parser.add_argument("--nats", type=int, default=20, help="so often it is killed")
    parser.add_argument("--pace", type=float, default=200.0, help="messages in a second, of all clients")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", action="store_true", help="the counts as JSON")
    return parser.parse_args()


def main() -> int:
    given = _given()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(own_postgres())
        region = stack.enter_context(
            balanced_region(
                folder,
                Postgres(postgres.folder).url("rainbow"),
                settings=SETTINGS,
                ready_timeout_s=BUSY_READY_S,
            )
        )
        run = RegionRun(region, given.clients, given.seed, given.pace)
        troubles: list[Trouble[BalancedRegion]] = [
            *(run.restart() for _ in range(given.restarts)),
            *(run.node_dies() for _ in range(given.nodes)),
            *(run.nats_dies() for _ in range(given.nats)),
        ]
        run.crash.chance.shuffle(troubles)
        report = asyncio.run(run.crash.run(troubles, is_loud=not given.json))
    if given.json:
        print(json.dumps({"seed": given.seed, "faults": run.faults, **asdict(report)}, indent=2))
    else:
        print(run)
        for fault in run.faults[:40]:
            print("  ", fault)
        print(f"seed {given.seed}: {'NOT WELL' if run.faults else 'well'}")
    return 1 if run.faults else 0


if __name__ == "__main__":
    sys.exit(main())
