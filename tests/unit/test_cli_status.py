"""`rainbow-xmpp status`: what is made of the server's answers, and how it looks."""

import json
import re
from typing import Any

import pytest
from rich.console import Console

from rainbow_xmpp.cli.status_report import Between, Report
from rainbow_xmpp.cli.status_view import View
from rainbow_xmpp.observe.histogram import USUAL
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.observe.status import _counts
from tests.cli import CommandLine, empty_installation, line
from tests.process import RainbowServer

__all__ = ["empty_installation", "line"]

TIMES = ("stanza", "login", "database_query", "database_read", "database_write", "loop_lag")


def told(at: float, *, started: float = 1_000.0, observed: int = 0, **counters: int) -> dict[str, Any]:
    """What a server says at this time."""
    counts = [0] * (len(USUAL) + 1)
    counts[4] = observed
    return {
        "time": at,
        "started": started,
        "pid": 4_194_304,
        "domain": "chat.example.com",
        "counters": _counts(Counters()) | counters,
        "times": {name: {"bounds": list(USUAL), "counts": counts, "total": 0.0} for name in TIMES},
        "queues": {"lanes": 0, "background": 0, "password_checks": 0, "database_writes": 0},
        "companies": [["Acme", 70_000], ["A company with a name that does not end", 2]],
        "database": {"kind": "postgresql", "is_well": True},
        "certificate_ends": at + 90 * 86_400,
        "audit": {"written": 1_234_567, "failed": 0},
        "stall": None,
        "process": {"cpu_s": at / 2, "memory_bytes": 2.0**33, "open_files": 104_857, "most_files": 1_048_576},
    }


def shown(view: View) -> list[str]:
    console = Console(width=80, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(view.render())
    return captured.get().splitlines()


def test_rates_are_what_came_between_two_answers() -> None:
    between = Between(
        Report(told(2_000.0, messages_in=100)), Report(told(2_004.0, messages_in=500, observed=10))
    )
    assert between.rate("messages_in") == 100
    assert between.cpu() == 0.5
    half = between.quantile_s("login", 0.5)
    assert half is not None
    assert USUAL[3] <= half <= USUAL[4]
    assert Between(Report(told(1.0)), Report(told(2.0))).quantile_s("login", 0.5) is None


def test_it_fits_into_80_columns_and_24_lines() -> None:
    view = View()
    big = dict.fromkeys(_counts(Counters()), 10**9)
    view.add(Report(told(2_000.0)))
    view.add(Report(told(2_001.0, observed=9, **big)))
    lines = shown(view)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_before_the_second_answer_there_are_no_rates_but_all_else() -> None:
    view = View()
    view.add(Report(told(2_000.0, sessions=1_234)))
    text = "\n".join(shown(view))
    assert not view.has_rates
    assert "1,234 sessions" in text
    assert re.search(r"messages in +…", text)
    assert "Acme" in text
    assert "certificate 90 d" in text


def test_a_server_that_was_started_anew_is_not_compared_with_the_one_before() -> None:
    view = View()
    view.add(Report(told(2_000.0, messages_in=500)))
    view.add(Report(told(2_001.0, started=2_000.5, messages_in=1)))
    assert not view.has_rates


def test_troubles_are_told() -> None:
    view = View()
    bad = told(2_000.0, faults=3, loop_stalls=2)
    bad["database"]["is_well"] = False
    bad["stall"] = {"at": 1_970.0, "where": "plugins/slow.py:3 work"}
    view.add(Report(bad))
    text = "\n".join(shown(view))
    assert "postgresql does not answer" in text
    assert "3 faults" in text
    assert "last stall 30 s ago" in text
    view.lose("no server is running here")
    assert "no server is running here" in "\n".join(shown(view))


def test_without_a_server_it_is_said_plainly(line: CommandLine) -> None:
    assert line.refused("status") == "no server is running here: nobody answers at data/run.sock\n"


@pytest.mark.parametrize("options", [["--json"], ["--once"]], ids=["json", "once"])
def test_a_running_server_answers(server: RainbowServer, options: list[str]) -> None:
    said = server.cli("status", *options)
    if options == ["--json"]:
        answer = json.loads(said)
        assert answer["pid"] == server.pid
        assert answer["database"] == {"kind": "sqlite", "is_well": True}
        assert answer["counters"]["sessions"] >= 0
        assert answer["audit"]["failed"] == 0
    else:
        assert "localhost" in said
        assert "sessions" in said
        assert max(map(len, said.splitlines())) <= 80
