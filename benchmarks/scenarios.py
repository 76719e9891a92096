"""The questions, each asked of one server at a time: what the client does and what is counted.

Every figure is CPU time or memory of the server's processes; the client only makes the load and
checks that each message arrived once and in order.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import gate as gate_costs
from benchmarks.errors import BenchError
from benchmarks.history import costs as page_costs
from benchmarks.loadclient import LoadClient, Result
from benchmarks.measure import Cpu, cpu_of, memory_of
from benchmarks.plan import Plan
from benchmarks.servers import Rainbow, Server

TRANSPORTS = ("wss", "tls")
LOGIN_LIMIT_MS = 120_000
CLIENT_BUSY = 0.9
OUT_OF_TIME = "out of time"
"""The load client's word for what had not arrived when it gave up waiting."""


@dataclass(slots=True)
class Row:
    """One line of a table. A failure makes the run fail; a note only explains."""

    scenario: str
    server: str
    transport: str
    values: dict[str, float] = field(default_factory=dict)
    runs: list[Result] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def judge(self, result: Result) -> None:
        """Keeps a measured run, and says what was wrong with it."""
        self.runs.append(result)
        is_late = result["why"] == OUT_OF_TIME and self.server != Rainbow.label
        for kind in ("lost", "gaps", "repeats", "errors", "failed"):
            if result[kind]:
                said = self.notes if is_late and kind == "lost" else self.failures
                said.append(f"{result['work']}: {result[kind]} {kind} {result['why']}".rstrip())
        if result["started"] < result["target"]:
            self.notes.append(f"{result['started']:,} of {result['target']:,} in the time allowed")
        if result["seconds"] and result["client_cpu_s"] / result["seconds"] > CLIENT_BUSY:
            self.notes.append("the client was the limit of the rate")


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's turn in one scenario."""

    server: Server
    client: LoadClient
    plan: Plan

    @contextmanager
    def sessions(self, transport: str, first: int, count: int) -> Iterator[None]:
        """`count` sessions online on a server that runs."""
        self.aim(transport)
        self.client.must("login", first, count, self.plan.login_concurrency, LOGIN_LIMIT_MS)
        self.quiet()
        yield
        self.client.run("logout", 10_000)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server from its start to its end; after a failure nobody stays connected either."""
        self.server.start()
        try:
            yield
        except BenchError:
            self.client.run("logout", 5_000)
            raise
        finally:
            self.server.stop()

    def aim(self, transport: str) -> None:
        self.client.run("target", transport, self.server.port(transport))

    def quiet(self) -> None:
        self.client.run("settle", 300, 20_000)

    def measured(self, command: str, *arguments: object) -> tuple[Result, Cpu]:
        """Runs a command; gives its result and the CPU time that the server took for it."""
        before = cpu_of(self.server.pid)
        result = self.client.run(command, *arguments)
        time.sleep(0.1)  # what the server still does for the last of it belongs to it
        return result, cpu_of(self.server.pid).since(before)


def _per_item(cpu: Cpu, result: Result) -> dict[str, float]:
    done = max(result["done"], 1)
    return {
        "cpu_us": cpu.total_s / done * 1e6,
        "user_us": cpu.user_s / done * 1e6,
        "system_us": cpu.system_s / done * 1e6,
        "per_second": done / result["seconds"] if result["seconds"] else 0.0,
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
    }


def _median(samples: list[dict[str, float]]) -> dict[str, float]:
    """The sample whose CPU time is the median: its other figures belong to the same run."""
    samples = sorted(samples, key=lambda sample: sample["cpu_us"])
    chosen = samples[len(samples) // 2]
    spread = samples[-1]["cpu_us"] - samples[0]["cpu_us"]
    return {**chosen, "spread_percent": 100 * spread / statistics.median(s["cpu_us"] for s in samples)}


def chat(turn: Turn, name: str = "chat") -> Iterator[Row]:
    """Closed loop: every pair keeps some messages in flight, so the server is saturated."""
    plan = turn.plan
    limit_ms = plan.chat_limit_s * 1000
    with turn.running():
        for transport in TRANSPORTS:
            row = Row(name, turn.server.label, transport)
            with turn.sessions(transport, 0, plan.chat_sessions):
                turn.client.run("chat", plan.chat_warm_up, plan.chat_outstanding, limit_ms // 2)
                samples = []
                for _ in range(plan.chat_runs):
                    result, cpu = turn.measured("chat", plan.chat_messages, plan.chat_outstanding, limit_ms)
                    row.judge(result)
                    samples.append(_per_item(cpu, result))
                row.values = _median(samples)
            yield row


def open_loop(turn: Turn, name: str = "open") -> Iterator[Row]:
    """Open loop: people write at random moments at a given rate, whatever the server does."""
    plan = turn.plan
    limit_ms = 2000 * plan.open_messages // plan.open_rate + 1000
    with turn.running():
        for transport in TRANSPORTS:
            row = Row(name, turn.server.label, transport)
            with turn.sessions(transport, 0, plan.chat_sessions):
                turn.client.run("open", plan.open_rate, plan.open_rate, limit_ms)
                result, cpu = turn.measured("open", plan.open_messages, plan.open_rate, limit_ms)
                row.judge(result)
                row.values = _per_item(cpu, result)
                row.values["client_lateness_max_ms"] = result["client_lateness_max_ms"]
            yield row


def durable(turn: Turn) -> Iterator[Row]:
    """Chat at saturation with everybody's history kept: two rows a message; ours are on the disk before it counts."""
    for row in _with_history(turn, lambda: chat(turn, "durable")):
        turn.server.most_durable = max(turn.server.most_durable or 0.0, row.values["per_second"])
        yield row


def durable_open(turn: Turn) -> Iterator[Row]:
    """The same at the fixed rate, of those that came as far at saturation."""
    most, rate = turn.server.most_durable, turn.plan.open_rate
    if most is not None and most < rate:
        notes = [f"left out: {most:,.0f} a second at saturation, and {rate:,} were to be asked"]
        yield Row("durable-open", turn.server.label, "-", notes=notes)
        return
    yield from _with_history(turn, lambda: open_loop(turn, "durable-open"))


def _with_history(turn: Turn, measure: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    if not turn.server.can_keep_history:
        return
    turn.server.keeps_history = True
    try:
        yield from measure()
    finally:
        turn.server.keeps_history = False


def idle(turn: Turn) -> Iterator[Row]:
    """Memory of logged-in sessions that do nothing, and the CPU time of keeping them."""
    plan = turn.plan
    for transport in TRANSPORTS:
        row = Row("idle", turn.server.label, transport)
        with turn.running():
            turn.aim(transport)
            # A few logins first, so that code and tables that are loaded once do not count as sessions.
            turn.client.run("churn", 40, 10, 40, 20_000)
            time.sleep(plan.idle_settle_s)
            before = memory_of(turn.server.pid)
            with turn.sessions(transport, 0, plan.idle_sessions):
                time.sleep(plan.idle_settle_s)
                after = memory_of(turn.server.pid)
                cpu_before = cpu_of(turn.server.pid)
                time.sleep(plan.idle_settle_s)
                cpu = cpu_of(turn.server.pid).since(cpu_before)
                still = turn.client.run("settle", 0, 1000)
                row.judge(still)
            row.values = {
                "kib_per_session": (after.rss_kib - before.rss_kib) / plan.idle_sessions,
                "rss_before_mib": before.rss_kib / 1024,
                "rss_after_mib": after.rss_kib / 1024,
                "pss_after_mib": after.pss_kib / 1024,
                "idle_cpu_percent": 100 * cpu.total_s / plan.idle_settle_s,
            }
        yield row


def login(turn: Turn) -> Iterator[Row]:
    """Full logins: TCP, TLS, WebSocket upgrade, SCRAM, bind, roster, presence, and the close."""
    plan = turn.plan
    limit_ms = plan.login_limit_s * 1000
    with turn.running():
        for transport in TRANSPORTS:
            row = Row("login", turn.server.label, transport)
            turn.aim(transport)
            people, at_once = plan.login_accounts, plan.login_concurrency
            turn.client.must("churn", people, at_once, people, LOGIN_LIMIT_MS)
            result, cpu = turn.measured("churn", plan.logins, at_once, people, limit_ms)
            row.judge(result)
            row.values = _per_item(cpu, result)
            row.values["cpu_ms"] = row.values["cpu_us"] / 1000
            turn.quiet()
            yield row


def reconnect(turn: Turn) -> Iterator[Row]:
    """Sessions lose their connection and are resumed (XEP-0198): behind a login, within one, and by token."""
    plan, server = turn.plan, turn.server
    if not server.resumptions:
        return
    server.keeps_sessions = True
    try:
        with turn.running():
            for transport in TRANSPORTS:
                for kind in server.resumptions:
                    turn.client.run("resumption", kind)
                    with turn.sessions(transport, 0, plan.reconnect_sessions):
                        yield _reconnected(turn, transport if kind == "classic" else f"{transport} {kind}")
    finally:
        server.keeps_sessions = False
        turn.client.run("resumption", "none")


def _reconnected(turn: Turn, way: str) -> Row:
    plan, row = turn.plan, Row("reconnect", turn.server.label, way)
    result, cpu = turn.measured(
        "reconnect", plan.reconnects, plan.login_concurrency, plan.reconnect_limit_s * 1000
    )
    row.judge(result)
    row.values = _per_item(cpu, result)
    row.values |= {"cpu_ms": row.values["cpu_us"] / 1000, "wall_s": result["seconds"]}
    return row


def presence(turn: Turn) -> Iterator[Row]:
    """One person with many contacts online changes presence; each contact gets a copy."""
    plan = turn.plan
    with turn.running():
        for transport in TRANSPORTS:
            row = Row("presence", turn.server.label, transport)
            with turn.sessions(transport, plan.hub, plan.contacts + 1):
                if transport == TRANSPORTS[0]:
                    turn.client.must("subscribe", plan.contacts, 60_000)
                    turn.quiet()
                turn.client.run("fanout", max(plan.presence_rounds // 10, 1), plan.contacts, 10_000)
                result, cpu = turn.measured("fanout", plan.presence_rounds, plan.contacts, 20_000)
                row.judge(result)
                row.values = _per_item(cpu, result)
            yield row


def storm(turn: Turn) -> Iterator[Row]:
    """A whole company logs in as fast as it can, and each sees everybody's presence. Only ours has such a roster."""
    plan, server = turn.plan, turn.server
    if not isinstance(server, Rainbow):
        return
    people = plan.storm_people
    copies = people * (people - 1)  # of every two, each is shown to the other once
    server.has_company_roster = True
    try:
        for transport in TRANSPORTS:
            row = Row("storm", server.label, transport)
            with turn.running():
                turn.aim(transport)
                before = cpu_of(server.pid)
                result = turn.client.run("login", plan.storm, people, people, LOGIN_LIMIT_MS)
                turn.quiet()
                cpu = cpu_of(server.pid).since(before)
                row.judge(result)
                row.values = {
                    "cpu_ms": cpu.total_s / people * 1000,
                    "copy_us": cpu.total_s / copies * 1e6,
                    "wall_s": result["seconds"],
                    "per_second": people / result["seconds"] if result["seconds"] else 0.0,
                    "p50_ms": result["p50_ms"],
                    "p99_ms": result["p99_ms"],
                }
                turn.client.run("logout", 10_000)
            yield row
    finally:
        server.has_company_roster = False


def gate(turn: Turn) -> Iterator[Row]:
    """What the gate between companies adds to a message, without sockets: for each relation of two people."""
    if not isinstance(turn.server, Rainbow):
        return
    for relation, cost in gate_costs.costs(runs=turn.plan.gate_runs):
        row = Row("gate", turn.server.label, relation)
        row.values = {"gate_us": cost.gate_us, "with_us": cost.with_us, "without_us": cost.without_us}
        yield row


def history(turn: Turn) -> Iterator[Row]:
    """A page of 50 of a long history, without sockets."""
    if not isinstance(turn.server, Rainbow):
        return
    for cost in page_costs(turn.plan.history_messages):
        row = Row("history", turn.server.label, cost.page)
        row.values = {"ms": cost.ms, "cpu_ms": cost.cpu_ms, "messages": cost.messages}
        yield row


Scenario = Callable[[Turn], Iterator[Row]]
HISTORY = frozenset(("durable", "durable-open"))
"""Scenarios in which history is kept."""
SCENARIOS: dict[str, Scenario] = {
    "chat": chat,
    "open": open_loop,
    "durable": durable,
    "durable-open": durable_open,
    "idle": idle,
    "login": login,
    "reconnect": reconnect,
    "presence": presence,
    "storm": storm,
    "gate": gate,
    "history": history,
}


def as_json(row: Row) -> dict[str, Any]:
    """A row for the results file."""
    return {
        "scenario": row.scenario,
        "server": row.server,
        "transport": row.transport,
        "values": {key: round(value, 4) for key, value in row.values.items()},
        "failures": row.failures,
        "notes": row.notes,
        "runs": row.runs,
    }
