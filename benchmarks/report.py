"""The tables for people. The ratio is to our server in the same run and over the same transport."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.scenarios import Row
from benchmarks.servers import Rainbow


@dataclass(frozen=True, slots=True)
class Budget:
    """What is asked of our server: at most so much of a column, or at least."""

    key: str
    limit: float
    is_least: bool = False

    def told(self, heading: str, decimals: int, rows: Sequence[Row]) -> str:
        """Whether our rows keep to it."""
        ours = [row for row in rows if row.server == Rainbow.label and self.key in row.values]
        over = [row.transport for row in ours if not self._holds(row.values[self.key])]
        sign = "≥" if self.is_least else "≤"
        verdict = f"not kept: {', '.join(over)}" if over else "kept" if ours else "not measured"
        return f"asked of {Rainbow.label}: {heading} {sign} {self.limit:,.{decimals}f}: {verdict}"

    def _holds(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are (key, heading, decimals); the ratio is made from `main`."""

    title: str
    main: str
    columns: tuple[tuple[str, str, int], ...]
    budgets: tuple[Budget, ...] = ()


PER_ITEM = (("user_us", "user", 1), ("system_us", "sys", 1))
LATENCY = (("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2))
AT_A_RATE = (("cpu_us", "CPU µs", 1), *PER_ITEM, ("per_second", "msgs/s", 0), *LATENCY)
SATURATED = (
    ("cpu_us", "CPU µs", 1),
    *PER_ITEM,
    ("spread_percent", "±%", 0),
    ("per_second", "msgs/s", 0),
    *LATENCY,
)
TABLES = {
    "chat": Table(
        "Chat at saturation: CPU µs of the server per delivered message",
        "cpu_us",
        SATURATED,
        (Budget("cpu_us", 13),),
    ),
    "open": Table(
        "Chat at a fixed rate: latency, and CPU µs per delivered message",
        "cpu_us",
        AT_A_RATE,
    ),
    "durable": Table(
        "Chat at saturation, history kept: CPU µs of the server per delivered message",
        "cpu_us",
        SATURATED,
        (Budget("cpu_us", 35),),
    ),
    "durable-open": Table(
        "Chat at a fixed rate, history kept: latency, and CPU µs per delivered message",
        "cpu_us",
        AT_A_RATE,
        (Budget("p99_ms", 15),),
    ),
    "idle": Table(
        "Idle sessions: KiB of resident memory for each",
        "kib_per_session",
        (
            ("kib_per_session", "KiB/session", 1),
            ("rss_before_mib", "before MiB", 1),
            ("rss_after_mib", "after MiB", 1),
            ("pss_after_mib", "PSS MiB", 1),
            ("idle_cpu_percent", "CPU %", 2),
        ),
        (Budget("kib_per_session", 27),),
    ),
    "login": Table(
        "Full logins: CPU ms of the server for each",
        "cpu_ms",
        (("cpu_ms", "CPU ms", 2), ("per_second", "logins/s", 0), *LATENCY),
        (Budget("per_second", 700, is_least=True),),
    ),
    "reconnect": Table(
        "Reconnects that resume the session: CPU ms of the server for each",
        "cpu_ms",
        (("cpu_ms", "CPU ms", 2), ("wall_s", "all in s", 2), ("per_second", "per s", 0), *LATENCY),
    ),
    "presence": Table(
        "Presence fan-out: CPU µs of the server per delivered copy",
        "cpu_us",
        (("cpu_us", "CPU µs", 1), *PER_ITEM, ("per_second", "copies/s", 0), *LATENCY),
    ),
    "storm": Table(
        "A company logs in at once, everybody in everybody's roster: CPU ms of the server for each login",
        "cpu_ms",
        (
            ("cpu_ms", "CPU ms", 2),
            ("copy_us", "µs/copy", 1),
            ("wall_s", "all in s", 2),
            ("per_second", "logins/s", 0),
            *LATENCY,
        ),
    ),
    "gate": Table(
        "The gate between companies: CPU µs it adds to a message, without sockets",
        "gate_us",
        (("gate_us", "gate µs", 2), ("with_us", "with µs", 2), ("without_us", "without µs", 2)),
    ),
    "history": Table(
        "A page of 50 of one person's long history, without sockets: milliseconds",
        "ms",
        (("ms", "ms", 2), ("cpu_ms", "CPU ms", 2), ("messages", "messages", 0)),
        (Budget("ms", 3),),
    ),
}


def render(rows: Sequence[Row]) -> str:
    """All tables that have rows, then what went wrong and what needs saying."""
    parts = [
        _table(table, chosen)
        for scenario, table in TABLES.items()
        if (chosen := [row for row in rows if row.scenario == scenario])
    ]
    for heading, attribute in (("FAILURES", "failures"), ("Notes", "notes")):
        lines = [
            f"  {row.scenario}, {row.server}, {row.transport}: {text}"
            for row in rows
            for text in dict.fromkeys(getattr(row, attribute))
        ]
        if lines:
            parts.append("\n".join([heading, *lines]))
    if negotiated := _negotiated(rows):
        parts.append("\n".join(["Negotiated", *negotiated]))
    return "\n\n".join(parts)


def _negotiated(rows: Sequence[Row]) -> list[str]:
    """What each server agreed to, since TLS versions and SASL mechanisms cost differently."""
    return list(dict.fromkeys(f"  {row.server}: {run['negotiated']}" for row in rows for run in row.runs))


def _table(table: Table, rows: Sequence[Row]) -> str:
    ours = {row.transport: row.values.get(table.main, 0.0) for row in rows if row.server == Rainbow.label}
    head = ["server", "over", *(heading for _, heading, _ in table.columns), *(["ratio"] if ours else [])]
    lines = [head]
    for row in rows:
        cells = [
            f"{row.values[key]:,.{places}f}" if key in row.values else "-" for key, _, places in table.columns
        ]
        lines.append([row.server, row.transport, *cells, *([_ratio(row, table, ours)] if ours else [])])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    body = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    columns = {key: (heading, decimals) for key, heading, decimals in table.columns}
    budgets = [budget.told(*columns[budget.key], rows) for budget in table.budgets]
    return "\n".join([table.title, body[0], "-" * len(body[0]), *body[1:], *budgets])


def _ratio(row: Row, table: Table, ours: dict[str, float]) -> str:
    base, value = ours.get(row.transport), row.values.get(table.main)
    return f"{value / base:.2f}" if base and value is not None else "-"
