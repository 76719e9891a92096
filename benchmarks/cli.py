"""The command line: which scenarios on which servers, the order of work, results on screen and in a file."""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.accounts import make_accounts, write_for_client
from benchmarks.build import build_client
from benchmarks.certs import make_certificate
from benchmarks.errors import BenchError
from benchmarks.loadclient import LoadClient
from benchmarks.measure import cpu_model, load_average
from benchmarks.plan import CLIENT_CORE, FULL, QUICK, SERVER_CORE, Plan
from benchmarks.report import render
from benchmarks.scenarios import HISTORY, SCENARIOS, Row, Turn, as_json
from benchmarks.servers import SERVERS, Server, Site

RESULTS = Path(__file__).parent / "results"
PROGRESS_EVERY_S = 5.0


class Bench:
    """One run: prepares the servers, asks each scenario of each, and keeps rows and signs of noise."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.rows: list[Row] = []
        self.noise: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._directory = directory
        self._where = ""
        self._next_progress = 0.0

    def run(self, scenarios: Sequence[str], kinds: Sequence[type[Server]]) -> bool:
        """Whether it was interrupted; by then, as always, every process it started has ended.

        Each scenario is asked of all servers in turn: a slow drift of the machine hits all alike.
        """
        try:
            with ExitStack() as stack:
                ready = self._prepare(kinds, stack)
                for name in scenarios:
                    for server, client in ready:
                        if server.is_for_history and name not in HISTORY:
                            continue
                        if time.monotonic() - self._began < self.plan.overall_s:
                            self._one(name, server, client)
                        else:
                            self.rows.append(Row(name, server.label, "-", notes=["left out, out of time"]))
        except KeyboardInterrupt:
            self.say("interrupted; every server is stopped")
            return True
        return False

    def _prepare(self, kinds: Sequence[type[Server]], stack: ExitStack) -> list[tuple[Server, LoadClient]]:
        """A client for each server that could be provisioned."""
        program = build_client()
        accounts = make_accounts(self.plan.accounts, storm=self.plan.storm_people)
        write_for_client(accounts, self._directory / "accounts")
        certificate, key = make_certificate(self._directory)
        ready: list[tuple[Server, LoadClient]] = []
        for kind in kinds:
            self.say(f"preparing {kind.label} with {len(accounts):,} accounts")
            site = Site(self._directory / kind.__name__, certificate, key)
            site.directory.mkdir()
            server = kind(site)
            stack.callback(server.stop)
            try:
                server.prepare(accounts)
            except BenchError as error:
                self._fail(server, "prepare", error)
                continue
            client = LoadClient(program, self._directory / "accounts", self.plan.seed, self._progress)
            ready.append((server, stack.enter_context(client)))
        return ready

    def _one(self, name: str, server: Server, client: LoadClient) -> None:
        self._where = f"{name}, {server.label}"
        self._calibrate(client)
        try:
            for row in SCENARIOS[name](Turn(server, client, self.plan)):
                self.rows.append(row)
                figures = ", ".join(f"{key} {value:.2f}" for key, value in list(row.values.items())[:4])
                self.say(f"{self._where}, {row.transport}: {figures}")
        except BenchError as error:
            self._fail(server, name, error)
        self._calibrate(client)

    def _calibrate(self, client: LoadClient) -> None:
        for core in (SERVER_CORE, CLIENT_CORE):
            result = client.run("calibrate", core)
            self.noise.append({"where": self._where, "load_average": load_average(), **result})

    def _fail(self, server: Server, name: str, error: BenchError) -> None:
        self.say(f"FAILED {name}, {server.label}: {error}")
        self.rows.append(Row(name, server.label, "-", failures=[str(error)]))

    def _progress(self, text: str) -> None:
        if time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + PROGRESS_EVERY_S
            self.say(f"{self._where}: {text}")

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:5.0f} s] {text}", flush=True)

    def noise_line(self) -> str:
        """How far the machine's own speed moved during the run, and how much others took of its cores."""
        cpu = [sample["cpu_ms"] for sample in self.noise]
        taken = max(1 - sample["cpu_ms"] / sample["wall_ms"] for sample in self.noise)
        spread = 100 * (max(cpu) / min(cpu) - 1)
        load = max(sample["load_average"] for sample in self.noise)
        return (
            f"Noise: the same piece of work took {min(cpu):.0f} to {max(cpu):.0f} ms CPU (+{spread:.0f} %); "
            f"others took up to {100 * taken:.0f} % of a core; load average up to {load:.1f} "
            f"(1 is the client, 1 the server)."
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when everything was measured and every message arrived once and in order, else 1."""
    options = _options(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kinds = _servers(options.server, options.only)
    if not kinds:
        print("no server to measure", file=sys.stderr)
        return 1
    if (os.cpu_count() or 1) < 2:
        print("one core only: client and server share it, the figures will be poor", file=sys.stderr)
    else:
        os.sched_setaffinity(0, {CLIENT_CORE})
    plan = QUICK if options.quick else FULL
    directory = Path(tempfile.mkdtemp(prefix="xmpp-bench-"))
    directory.chmod(0o755)
    try:
        bench = Bench(plan, directory)
        interrupted = bench.run(options.only, kinds)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if options.keep:
            print(f"kept {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    status = _finish(bench, plan, options)
    return 130 if interrupted else status


def _finish(bench: Bench, plan: Plan, options: argparse.Namespace) -> int:
    now = datetime.datetime.now(datetime.UTC)
    path = options.json or RESULTS / f"{now:%Y-%m-%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "date": now.isoformat(timespec="seconds"),
        "machine": {
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "versions": {kind.label: kind.version() for kind in SERVERS if not kind.missing()},
        "plan": asdict(plan),
        "results": [as_json(row) for row in bench.rows],
        "noise": bench.noise,
    }
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{render(bench.rows)}\n\n{bench.noise_line() if bench.noise else ''}\nWritten to {path}")
    return 1 if any(row.failures for row in bench.rows) else 0


def _servers(names: Sequence[str], scenarios: Sequence[str]) -> list[type[Server]]:
    chosen = []
    for kind in SERVERS:
        if kind.name not in names or (kind.is_for_history and not HISTORY & set(scenarios)):
            continue
        if missing := kind.missing():
            print(f"left out {kind.label}: {missing}")
        else:
            chosen.append(kind)
    return chosen


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    names = list(dict.fromkeys(kind.name for kind in SERVERS))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=_choice(list(SCENARIOS)), default=list(SCENARIOS), metavar="chat,open,…"
    )
    parser.add_argument("--server", type=_choice(names), default=names, metavar=",".join(names))
    parser.add_argument(
        "--quick", action="store_true", help="about a minute: shows that it works, not how fast"
    )
    parser.add_argument("--json", type=Path, help="where the results go (benchmarks/results/<date>.json)")
    parser.add_argument("--keep", action="store_true", help="keep the servers' folders with their logs")
    return parser.parse_args(argv)


def _choice(known: Sequence[str]) -> Any:
    def split(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(known)}")
        return [name for name in known if name in chosen]

    return split
