"""How `status` looks: everything at a glance in 80 columns and 24 lines."""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rainbow_xmpp.cli.status_report import Between, Report

HISTORY = 14
COMPANIES = 5
_RAINBOW = tuple(
    zip(
        "Rainbow",
        (f"bold {color}" for color in ("red", "bright_red", "yellow", "green", "cyan", "blue", "magenta")),
        strict=True,
    )
)
_BARS = "▁▂▃▄▅▆▇█"
_HALF = 39

RATES = (
    ("messages in", ("messages_in",)),
    ("delivered", ("messages_delivered",)),
    ("presence in", ("presences_in",)),
    ("requests in", ("iqs_in",)),
    ("logins", ("logins_ok",)),
    ("failed logins", ("logins_failed",)),
)
LIMITS = tuple(
    f"limit_{name}"
    for name in (
        "handshake_time",
        "login_time",
        "login_attempts",
        "login_failures",
        "password_checks",
        "resources",
        "pace",
        "output",
        "silence",
    )
)
TIMES = (
    ("stanza", "stanza", 0.005),
    ("login", "login", 2.5),
    ("database query", "database_query", 0.1),
    ("database write", "database_write", 0.5),
    ("loop lag", "loop_lag", 0.1),
)
"""Name, histogram, and from which 99th percentile on it is shown in yellow, in seconds."""
QUEUES = (
    ("waiting sessions", "lanes"),
    ("background", "background"),
    ("password checks", "password_checks"),
    ("database writes", "database_writes"),
)


class View:
    """Remembers the last reports and draws the newest."""

    def __init__(self) -> None:
        self._last: Report | None = None
        self._between: Between | None = None
        self._gone = ""
        self._history: dict[str, deque[float]] = {name: deque(maxlen=HISTORY) for name, _ in RATES}

    @property
    def has_rates(self) -> bool:
        """Two reports have come."""
        return self._between is not None

    def add(self, report: Report) -> None:
        """The newest report."""
        before, self._last, self._gone = self._last, report, ""
        self._between = (
            Between(before, report) if before is not None and report.is_of_same_run(before) else None
        )
        if self._between is not None:
            for name, counters in RATES:
                self._history[name].append(self._between.rate(*counters))

    def lose(self, why: str) -> None:
        """Nobody answers."""
        self._gone = why

    def render(self) -> RenderableType:
        """The whole picture."""
        report = self._last
        if report is None:
            return Text("nothing yet")
        parts: list[RenderableType] = [
            self._title(report),
            self._sessions(report),
            _beside(
                _panel("per second", self._rates()),
                _panel("how long, in milliseconds", self._times()),
            ),
            _beside(_panel("companies by sessions", _companies(report)), _panel("waiting", _queues(report))),
            Panel(self._health(report), box=box.ROUNDED, border_style="dim", width=2 * _HALF + 1),
        ]
        return Group(*parts)

    def _title(self, report: Report) -> RenderableType:
        line = Table.grid(expand=False)
        line.add_column(width=2 * _HALF + 1 - 32, no_wrap=True, overflow="ellipsis")
        line.add_column(width=32, justify="right")
        name = Text.assemble(*_RAINBOW, (" XMPP   ", "bold"), (report.told["domain"], "bold cyan"))
        up = f"up {_span(report.at - report.told['started'])} · {_clock(report.at)}"
        line.add_row(name, Text(self._gone and "no answer", "bold red") if self._gone else Text(up, "dim"))
        return line

    def _sessions(self, report: Report) -> RenderableType:
        counts = report.counters
        by = (("WebSocket", "websocket"), ("direct TLS", "direct_tls"), ("STARTTLS", "starttls"))
        details = " · ".join(f"{name} {counts['sessions_' + key]:,}" for name, key in by)
        line = Text.assemble(
            (f"{counts['sessions']:,}", "bold green" if counts["sessions"] else "bold"),
            (" sessions", "bold"),
            (f"   {details}   {counts['connections']:,} connections", "dim"),
        )
        line.truncate(2 * _HALF + 1, overflow="ellipsis")
        return line

    def _rates(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=13)
        table.add_column(width=7, justify="right")
        table.add_column(width=HISTORY, style="cyan", no_wrap=True)
        between = self._between
        for name, counters in RATES:
            rate = between.rate(*counters) if between else None
            style = "red" if name == "failed logins" and rate else "bold"
            table.add_row(Text(name, "dim"), Text(_rate(rate), style), _sparkline(self._history[name]))
        limits = between.rate(*LIMITS, "connections_refused") if between else None
        table.add_row(Text("limits hit", "dim"), Text(_rate(limits), "yellow" if limits else "bold"), "")
        return table

    def _times(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=15)
        table.add_column(width=8, justify="right")
        table.add_column(width=8, justify="right")
        table.add_row("", Text("half", "dim"), Text("99 %", "dim"))
        for name, key, slow_s in TIMES:
            half = self._between.quantile_s(key, 0.5) if self._between else None
            most = self._between.quantile_s(key, 0.99) if self._between else None
            style = "yellow" if most is not None and most > slow_s else "bold"
            table.add_row(Text(name, "dim"), _ms(half), Text(_ms(most), style))
        table.add_row("", "", "")
        return table

    def _health(self, report: Report) -> RenderableType:
        if self._gone:
            return Text(self._gone, "red")
        counts, database = report.counters, report.told["database"]
        days = int((report.told["certificate_ends"] - report.at) // 86_400)
        first = Text()
        _light(
            first,
            bool(database["is_well"]),
            f"{database['kind']} {'answers' if database['is_well'] else 'does not answer'}",
        )
        _light(first, days > 14, f"certificate {days} d", bad="yellow" if days > 0 else "red")
        _light(first, not counts["faults"], f"{counts['faults']:,} faults")
        _light(first, not counts["loop_stalls"], f"{counts['loop_stalls']:,} stalls", bad="yellow")
        _light(first, not report.told["audit"]["failed"], f"audit {report.told['audit']['written']:,}")
        return Group(first, self._machine(report))

    def _machine(self, report: Report) -> Text:
        used = report.process
        parts = []
        if stall := report.told["stall"]:
            parts.append(f"last stall {_span(report.at - stall['at'])} ago: {stall['where']}")
        parts.append(f"pid {report.told['pid']}")
        if self._between:
            parts.append(f"CPU {100 * self._between.cpu():.0f} %")
        if "memory_bytes" in used:
            parts.append(f"memory {used['memory_bytes'] / 1_048_576:,.0f} MiB")
        if "most_files" in used:
            parts.append(f"{used['open_files']:,.0f} of {used['most_files']:,.0f} files")
        text = Text(" · ".join(parts), "dim")
        text.truncate(2 * _HALF - 3, overflow="ellipsis")
        return text


def _beside(left: RenderableType, right: RenderableType) -> RenderableType:
    return Columns([left, right], padding=(0, 1), equal=False, expand=False)


def _panel(title: str, inner: RenderableType) -> Panel:
    return Panel(
        inner, title=Text(title, "bold"), title_align="left", box=box.ROUNDED, border_style="dim", width=_HALF
    )


def _companies(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=16, no_wrap=True, overflow="ellipsis")
    table.add_column(width=7, justify="right")
    table.add_column(width=10, style="green")
    most = max((count for _, count in report.companies), default=1)
    for name, count in report.companies[:COMPANIES]:
        table.add_row(Text(name), f"{count:,}", "█" * max(1, round(10 * count / most)))
    for _ in range(COMPANIES - len(report.companies)):
        table.add_row("", "", "")
    return table


def _queues(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=17)
    table.add_column(width=9, justify="right")
    for name, key in QUEUES:
        length = report.queues[key]
        table.add_row(Text(name, "dim"), Text(f"{length:,}", "yellow" if length > 100 else "bold"))
    table.add_row("", "")
    return table


def _light(line: Text, is_well: bool, text: str, bad: str = "red") -> None:
    line.append("● ", "green" if is_well else bad)
    line.append(text + "  ", "" if is_well else bad)


def _sparkline(values: Iterable[float]) -> str:
    values = list(values)
    top = max(values, default=0.0)
    if not top:
        return ""
    return "".join(_BARS[min(7, int(8 * value / top))] if value else " " for value in values)


def _rate(value: float | None) -> str:
    if value is None:
        return "…"
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    ms = seconds * 1000
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 1 else f"{ms:.3f}"


def _span(seconds: float) -> str:
    whole = int(max(0, seconds))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
