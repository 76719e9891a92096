"""What hooks cost: CPU time of one chat message between two sessions, without sockets, with and without plugins.

    python -m benchmarks.hooks                      # this checkout
    python -m benchmarks.hooks --against FOLDER     # beside another checkout, in turns

Each figure is the smallest of many short runs, each in a process of its own: what else the machine does can only add.
The other checkout must have its compiled scanner too (`python setup.py build_ext --inplace`).
"""

import argparse
import asyncio
import gc
import importlib
import os
import pkgutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parents[1]
MESSAGES = 2_000
WARM_UP = 2_000
ROUNDS = 15
"""Measured runs within one process."""
KINDS = ("none", "shipped", "one of each")
MESSAGE = (
    "<message to='{to}' type='chat' id='m1'><body>{body}</body><active "
    "xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>"
)


async def cost_us(kind: str) -> float:
    """Microseconds of CPU time for one message on its way from one session to the other."""
    from rainbow_xmpp.testing import TestServer

    async with TestServer(_plugins(kind)) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        data = MESSAGE.format(to=bob.jid, body="x" * 200).encode()
        receive = ann.session.receive
        receive(data)
        await bob.rest()  # what gates had to look up for these two is at hand now
        unread = bob.wire.unread
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


def _plugins(kind: str) -> Iterable[type]:
    import rainbow_xmpp.plugins
    from rainbow_xmpp.plugin import Plugin, Stage, hook

    for info in pkgutil.iter_modules(rainbow_xmpp.plugins.__path__):
        importlib.import_module(f"rainbow_xmpp.plugins.{info.name}")
    shipped = Plugin.__subclasses__()

    class OneOfEach(Plugin, name="one_of_each"):
        """A handler in each stage that does nothing."""

        @hook(Stage.ADMIT)
        def admit(self, p: object) -> None: ...

        @hook(Stage.GATE)
        def gate(self, p: object) -> None: ...

        @hook(Stage.REWRITE)
        def rewrite(self, p: object) -> object:
            return p

        @hook(Stage.RECORD)
        def record(self, p: object) -> None: ...

        @hook(Stage.OBSERVE)
        def observe(self, p: object, outcome: object) -> None: ...

    return {"none": [], "shipped": shipped, "one of each": [OneOfEach]}[kind]


def measured(sources: Path, kind: str) -> float:
    """`cost_us` of a checkout, in a process of its own."""
    command = (sys.executable, str(Path(__file__)), "--one", kind)
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(sources)}, cwd=sources, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{sources}: {done.stderr}")
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hooks", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout to compare with")
    parser.add_argument("--runs", type=int, default=7, help="processes for each figure (%(default)s)")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(asyncio.run(cost_us(options.one)))
        return
    checkouts = {"here": HERE} | ({"there": options.against.resolve()} if options.against else {})
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.runs):
        for kind in KINDS:
            for name, sources in checkouts.items():
                found.setdefault((kind, name), []).append(measured(sources, kind))
    print(f"{'µs CPU a message':<18}" + "".join(f"{name:>8}{'±':>6}" for name in checkouts))
    for kind in KINDS:
        cells = ((min(found[kind, name]), statistics.pstdev(found[kind, name])) for name in checkouts)
        print(f"{kind:<18}" + "".join(f"{least:>8.2f}{spread:>6.2f}" for least, spread in cells))


if __name__ == "__main__":
    main()
