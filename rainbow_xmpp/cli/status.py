"""`status`: what the running server is doing, live."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rainbow_xmpp.cli.console import json_option, on_terminal, print_json
from rainbow_xmpp.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from rainbow_xmpp.cli.status_report import Report

MEASURE_S = 1.0
"""What rates are measured over when the answer is wanted once."""


@click.command()
@click.option("--once", is_flag=True, help="Print it once and end.")
@click.option(
    "--interval",
    type=click.FloatRange(0.5, 60),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@json_option
@pass_invocation
def status(invocation: Invocation, once: bool, interval: float, as_json: bool) -> None:
    """Show what the running server is doing; Ctrl-C ends it.

    Asks the server on this machine that uses the same configuration, through run.sock beside its database.
    --json prints sums since the start.
    """
    from rainbow_xmpp.run_folder import run_folder

    folder = run_folder(invocation.config())
    if as_json:
        print_json(_asked(folder))
    elif once or not on_terminal():
        _show_once(folder)
    else:
        _show_live(folder, interval)


def _asked(folder: Path) -> dict[str, Any]:
    from rainbow_xmpp.observe.control import ask

    answer = ask(folder, "status")
    assert isinstance(answer, dict)
    return answer


def _report(folder: Path) -> "Report":
    from rainbow_xmpp.cli.status_report import Report

    return Report(_asked(folder))


def _show_once(folder: Path) -> None:
    from rich.console import Console

    from rainbow_xmpp.cli.status_view import View

    view = View()
    view.add(_report(folder))
    time.sleep(MEASURE_S)
    view.add(_report(folder))
    Console(width=None if on_terminal() else 80).print(view.render())


def _show_live(folder: Path, interval_s: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from rainbow_xmpp.cli.status_view import View
    from rainbow_xmpp.observe.control import NotRunning

    view = View()
    view.add(_report(folder))  # that nobody answers ends the command here, and later is shown
    console = Console()
    try:
        with Live(view.render(), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval_s if view.has_rates else MEASURE_S)
                try:
                    view.add(_report(folder))
                except NotRunning as gone:
                    view.lose(str(gone))
                live.update(view.render(), refresh=True)
    except KeyboardInterrupt:
        sys.exit(0)
