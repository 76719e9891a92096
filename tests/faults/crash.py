"""Nothing acknowledged is lost, nothing comes twice, whatever the server dies of.

    python -m tests.faults.crash --clients 100 --kills 100 --seed 1

Clients chat in pairs while the server process is killed at random moments (now and then it is asked to stop instead),
starts again, and is met again: by a resumption, or by a new session that catches up from the archive.
"""

import argparse
import asyncio
import itertools
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import sqlalchemy as sa

from rainbow_xmpp.plugins.archive import tables
from rainbow_xmpp.store import Store
from rainbow_xmpp.xml import scan_again
from tests.faults.crash_client import CrashClient, Tally
from tests.process import RainbowServer


@dataclass
class Report:
    """What was counted. Everything but `happened` must be empty."""

    kills: int = 0
    stops: int = 0
    seconds: float = 0.0
    happened: Tally = field(default_factory=Tally)
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    not_as_in_the_archive: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return not (
            self.lost or self.twice or self.out_of_order or self.not_as_in_the_archive or self.happened.faults
        )

    def __str__(self) -> str:
        happened = self.happened
        return (
            f"{self.kills} kills and {self.stops} stops in {self.seconds:.0f} s; {happened.sent:,} messages said, "
            f"{happened.acknowledged:,} acknowledged, {happened.sent_again:,} said again, "
            f"{happened.refused:,} refused; "
            f"{happened.resumed:,} sessions resumed, {happened.began_anew:,} begun, {happened.vanished:,} clients "
            f"vanished, {happened.caught_up:,} messages caught up with.\n"
            f"Acknowledged and lost: {len(self.lost)}. Shown twice: {len(self.twice)}. "
            f"Out of order: {len(self.out_of_order)}. Other than in the archive: {len(self.not_as_in_the_archive)}. "
            f"Other faults: {len(happened.faults)}."
        )


async def crash(
    server: RainbowServer, clients: int, kills: int, seed: int, *, is_loud: bool = False
) -> Report:
    """Let them chat while a started server is killed so often; it runs when this returns."""
    chance, report, began = random.Random(seed), Report(), time.monotonic()
    talkers = [CrashClient(server, server.new_person(), seed + n, report.happened) for n in range(clients)]
    for one, other in zip(talkers[::2], talkers[1::2], strict=True):
        one.peer, other.peer = other, one
    running = [asyncio.create_task(talker.run()) for talker in talkers]
    for round_ in range(kills):
        await asyncio.sleep(chance.uniform(0.3, 2.0))
        is_kill = chance.random() < 0.8
        report.kills += is_kill
        report.stops += not is_kill
        server.process.send_signal(signal.SIGKILL if is_kill else signal.SIGTERM)
        await asyncio.to_thread(server.process.wait)
        await asyncio.to_thread(server.start)
        if is_loud:
            print(f"{round_ + 1} of {kills}: {report.happened.acknowledged:,} acknowledged", flush=True)
    await asyncio.sleep(1.0)
    for talker in talkers:
        talker.is_talking = False
    await asyncio.gather(*running)
    for talker in talkers:
        await talker.catch_up_at_last()
    report.seconds = time.monotonic() - began
    logs = await _received(server)
    for talker in talkers:
        _judge(talker, logs.get(talker.person.localpart, {}), report)
    return report


def _judge(reader: CrashClient, log: dict[int, tuple[str, int]], report: Report) -> None:
    """Hold what the application was shown against what was acknowledged, and against the log."""
    name, writer = reader.person.localpart, reader.peer
    shown = {stanza_id: said for stanza_id, said in reader.seen.items() if said[0]}
    said = [number for _, number in shown.values()]
    report.lost += [
        f"{name} lacks {n} of its peer" for n in sorted(writer.acknowledged - set(said) - writer.refused)
    ]
    report.twice += [f"{name} was shown {n} {times} times" for n, times in Counter(said).items() if times > 1]
    for earlier, later in itertools.pairwise(said):
        if later < earlier:
            at = next(i for i, (_, number) in enumerate(reader.trace) if number == later)
            around = " ".join(f"{how}:{number}" for how, number in reader.trace[max(0, at - 12) : at + 5])
            report.out_of_order.append(f"{name} was shown {later} behind {earlier}: {around}")
    for stanza_id in sorted(shown.keys() | log.keys()):
        if shown.get(stanza_id) != log.get(stanza_id):
            report.not_as_in_the_archive.append(
                f"{name}, {stanza_id}: shown {shown.get(stanza_id)}, kept {log.get(stanza_id)}"
            )


async def _received(server: RainbowServer) -> dict[str, dict[int, tuple[str, int]]]:
    """What stands in everybody's log as received: sender and number by stanza-id."""
    statement = (
        sa.select(sa.column("localpart"), tables.messages.c.key, tables.messages.c.stanza)
        .select_from(
            tables.messages.join(tables.owners, tables.owners.c.number == tables.messages.c.owner).join(
                sa.table("users", sa.column("id"), sa.column("localpart")),
                sa.literal_column("users.id") == tables.owners.c.account_id,
            )
        )
        .where(tables.messages.c.key % 2 == 1)
    )
    store = await Store.open(f"sqlite+aiosqlite:///{server.database_file}")
    try:
        async with store.read() as connection:
            rows = list(await connection.execute(statement))
    finally:
        await store.close()
    found: dict[str, dict[int, tuple[str, int]]] = {}
    for localpart, key, stanza in rows:
        view = scan_again(bytes(stanza))
        number = int(view.text_of("body") or 0)
        found.setdefault(localpart, {})[key >> 1] = (view.attrs["from"].partition("/")[0], number)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=100, help="an even number")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--json", action="store_true", help="the counts as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = RainbowServer(Path(folder))
        server.start()
        try:
            report = asyncio.run(
                crash(server, given.clients, given.kills, given.seed, is_loud=not given.json)
            )
        finally:
            server.process.kill()
            server.process.wait()
    if given.json:
        print(json.dumps({"seed": given.seed, "is_well": report.is_well, **asdict(report)}, indent=2))
    else:
        print(report)
        for fault in [*report.lost, *report.twice, *report.out_of_order][:20]:
            print("  ", fault)
        for fault in [*report.not_as_in_the_archive, *report.happened.faults][:20]:
            print("  ", fault)
        print(f"seed {given.seed}: {'well' if report.is_well else 'NOT WELL'}")
    return 0 if report.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
