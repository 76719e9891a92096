"""Nothing acknowledged is lost, nothing comes twice, whatever the server dies of.

    python -m tests.faults.crash --clients 100 --kills 100 --full 20 --seed 1
    python -m tests.faults.crash --clients 100 --kills 50 --gone 20 --seed 1

Clients chat in pairs while the server process is killed at random moments (one time in five it is asked to stop
instead), its disk is full (as root a small one of its own, otherwise no file may grow) or its PostgreSQL is stopped
and started. They are always slow readers, some of them, and vanish now and then: cut off, or with a connection that
nobody closes. They come back by a resumption, or by a new session that catches up from the archive.
"""

import argparse
import asyncio
import itertools
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Generic

from tests.faults.crash_client import CrashClient
from tests.faults.crash_judge import Report, judge, received
from tests.faults.troubles import (
    Death,
    DiskFull,
    FilesMayNotGrow,
    Outage,
    PostgresGone,
    R,
    SmallDisk,
    Trouble,
    TroubleFault,
    can_mount,
)
from tests.postgres import Postgres, PrivatePostgres
from tests.process import RainbowServer

PACE = 600.0
"""Messages in a second, of all clients together, unless told otherwise."""
STOP_CHANCE = 0.2
QUIET_S = 1.0
LARGE_MB = 1024
"""What a long run writes fits on its disk many times, while nothing else is on it."""
BUSY_READY_S = 120.0
"""So long a start may take while clients by the hundred try to connect from the same processors."""
SETTINGS = {"limits": {"idle_ping_s": 10, "ping_timeout_s": 10}, "stream_management": {"resume_s": 20}}
"""Whoever is gone without a word is given up while the run lasts, so that what it did not get goes elsewhere."""


class Crash(Generic[R]):
    """One run."""

    def __init__(self, server: R, clients: int, seed: int, pace: float = PACE) -> None:
        """`clients` is an even number; `pace` is in messages per second, of all together."""
        self.server = server
        self.chance = random.Random(seed)
        self.report = Report()
        each = pace / clients
        self.talkers = [
            CrashClient(server, server.new_person(), seed + n, self.report.happened, each)
            for n in range(clients)
        ]
        for one, other in zip(self.talkers[::2], self.talkers[1::2], strict=True):
            one.peer, other.peer = other, one

    def death(self) -> Death:
        """The end of the process, in one way or the other."""
        return Death("stops" if self.chance.random() < STOP_CHANCE else "kills", self._ended)

    def _ended(self) -> None:
        for talker in self.talkers:
            talker.down_at = time.monotonic()

    async def run(
        self, troubles: Iterable[Trouble[R]], *, most_s: float = math.inf, is_loud: bool = False
    ) -> Report:
        """Let them chat while a started server is in these troubles; it runs when this returns.

        No trouble begins later than after `most_s` seconds.
        """
        report, began = self.report, time.monotonic()
        running = [asyncio.create_task(talker.run()) for talker in self.talkers]
        for trouble in itertools.takewhile(lambda _: time.monotonic() - began < most_s, troubles):
            await asyncio.sleep(self.chance.uniform(0.3, 2.0 + len(self.talkers) / 50))
            await self._strike(trouble)
            if is_loud:
                print(f"{report.troubles.total()}: {report.happened.acknowledged:,} acknowledged", flush=True)
        await asyncio.sleep(QUIET_S)
        for talker in self.talkers:
            talker.is_talking = False
        await asyncio.gather(*running)
        for talker in self.talkers:
            await talker.catch_up_at_last()
        report.seconds = time.monotonic() - began
        logs = await received(self.server.storage_url)
        for talker in self.talkers:
            judge(talker, logs.get(talker.person.localpart, {}), report)
        return report

    async def _strike(self, trouble: Trouble[R]) -> None:
        report = self.report
        report.troubles[trouble.kind] += 1
        began = time.monotonic()
        try:
            seconds = await trouble.strike(self.server, self.chance)
        except TroubleFault as fault:
            report.happened.faults.append(f"{trouble.kind}: {fault}")
        else:
            report.serving_s.setdefault(trouble.kind, []).append(seconds)
        if isinstance(trouble, Outage):
            report.outages.append((began, time.monotonic()))
            report.is_readable = report.is_readable and trouble.is_readable


@contextmanager
def an_outage(server: RainbowServer) -> Iterator[Outage]:
    """The disk of this server, which does not run yet, can be full: a real one where one can be mounted."""
    if not can_mount(server.run_folder):
        yield FilesMayNotGrow()
        return
    disk = SmallDisk(server.run_folder, LARGE_MB)
    try:
        yield DiskFull(disk)
    finally:
        disk.unmount()


@contextmanager
def own_postgres() -> Iterator[PrivatePostgres]:
    """One that keeps what it committed, whatever becomes of its process."""
    postgres = PrivatePostgres(synchronous_commit="on")
    try:
        postgres.start()
        Postgres(postgres.folder).create_database("rainbow")
        yield postgres
    finally:
        postgres.remove()


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=100, help="an even number")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--full", type=int, default=0, help="so often the disk is full")
    parser.add_argument("--gone", type=int, default=0, help="so often PostgreSQL is gone, which is used then")
    parser.add_argument("--pace", type=float, default=PACE, help="messages in a second, of all clients")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no more troubles afterwards")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", action="store_true", help="the counts as JSON")
    given = parser.parse_args()
    if given.full and given.gone:
        parser.error("--full fills the disk of a SQLite database, --gone stops a PostgreSQL: not in one run")
    return given


def _run(given: argparse.Namespace, stack: ExitStack) -> Report:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    outage: Sequence[Trouble[RainbowServer]] = ()
    if given.gone:
        postgres = stack.enter_context(own_postgres())
        server = RainbowServer(
            folder, settings=SETTINGS, storage_url=Postgres(postgres.folder).url("rainbow")
        )
        outage = [PostgresGone(postgres)] * given.gone
    else:
        server = RainbowServer(folder, settings=SETTINGS)
        if given.full:
            outage = [stack.enter_context(an_outage(server))] * given.full
    server.ready_timeout_s = BUSY_READY_S
    server.start()
    stack.callback(server.process.wait)
    stack.callback(lambda: server.process.kill())
    run = Crash(server, given.clients, given.seed, given.pace)
    troubles = [*(run.death() for _ in range(given.kills)), *outage]
    run.chance.shuffle(troubles)
    return asyncio.run(run.run(troubles, most_s=60 * given.minutes, is_loud=not given.json))


def main() -> int:
    given = _given()
    with ExitStack() as stack:
        report = _run(given, stack)
    if given.json:
        print(json.dumps({"seed": given.seed, "is_well": report.is_well, **asdict(report)}, indent=2))
    else:
        print(report)
        for violation in report.violations[:40]:
            print("  ", violation)
        print(f"seed {given.seed}: {'well' if report.is_well else 'NOT WELL'}")
    return 0 if report.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
