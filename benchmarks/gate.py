"""What the gate between companies costs: CPU time of one chat message, without sockets, with it and without.

    python -m benchmarks.gate

Two people of one company, of linked companies, and two who agreed on their own; what the gate knows of them is at
hand, as it is after the first message. Each figure is the smallest of many short runs, each in a process of its own.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hooks import MESSAGE, MESSAGES, ROUNDS, WARM_UP

RELATIONS = {"colleagues": "bob@acme", "linked": "bob@globex", "agreed": "bob@globex"}
"""What two people are to each other, and who the other one is."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU time for one message."""

    without_us: float
    with_us: float

    @property
    def gate_us(self) -> float:
        return self.with_us - self.without_us


def costs(*, runs: int) -> Iterator[tuple[str, Cost]]:
    """Each relation, measured in turns."""
    for relation in RELATIONS:
        pairs = [(_measured(relation, gated=False), _measured(relation, gated=True)) for _ in range(runs)]
        yield relation, Cost(min(pair[0] for pair in pairs), min(pair[1] for pair in pairs))


async def cost_us(relation: str, *, gated: bool) -> float:
    """Microseconds of CPU time for one message from one session to the other."""
    from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
    from rainbow_xmpp.testing import Person, TestServer

    async with TestServer([CompanyIsolation] if gated else []) as server:
        people: list[Person] = [await server.person(who) for who in ("ann@acme", RELATIONS[relation])]
        ann, bob = (person.account for person in people)
        agreements = server.node.agreements
        if relation == "linked":
            link = await agreements.ask_link(ann.company, bob.company, actor="system")
            await agreements.confirm_link(bob.company, link.id, actor="system")
        elif relation == "agreed":
            await agreements.invite(ann, bob, actor="system")
            await agreements.accept(bob, ann, actor="system")
        await server.node.watch.catch_up()
        writer, reader = await server.login("ann@acme"), await server.login(RELATIONS[relation])
        data = MESSAGE.format(to=reader.jid, body="x" * 200).encode()
        receive = writer.session.receive
        receive(data)
        await reader.rest()  # what the gate had to look up is at hand now
        unread = reader.wire.unread
        gc.collect()
        gc.freeze()
        gc.disable()
        times = []
        for size in (WARM_UP, *(MESSAGES for _ in range(ROUNDS))):
            began = time.thread_time()
            for _ in range(size):
                receive(data)
            times.append((time.thread_time() - began) / size * 1e6)
            assert len(unread) == size, "every message arrived, at once"
            unread.clear()
        return min(times[1:])


def _measured(relation: str, *, gated: bool) -> float:
    command = (sys.executable, "-m", "benchmarks.gate", "--one", relation, *(["--gated"] if gated else []))
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="processes for each figure (%(default)s)")
    parser.add_argument("--one", choices=RELATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--gated", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(asyncio.run(cost_us(options.one, gated=options.gated)))
        return
    print(f"{'µs CPU a message':<18}{'without':>9}{'with':>9}{'gate':>9}")
    for relation, cost in costs(runs=options.runs):
        print(f"{relation:<18}{cost.without_us:>9.2f}{cost.with_us:>9.2f}{cost.gate_us:>9.2f}")


if __name__ == "__main__":
    main()
