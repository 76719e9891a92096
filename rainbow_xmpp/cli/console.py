"""How commands speak: tables for people, tab-separated lines and JSON for programs, errors on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

import click

Row = Mapping[str, object]


class Failed(click.ClickException):
    """The command failed: the message goes to stderr, the exit code is 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, err=True, file=file)


def on_terminal() -> bool:
    """Is a person reading standard output?"""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Is there a person who can be asked?"""
    return sys.stdin.isatty() and sys.stdout.isatty()


def note(text: str) -> None:
    """Tell a person something that is not the command's result (stderr)."""
    click.echo(text, err=True)


def print_json(value: object) -> None:
    """The result as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(
    rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, unbroken: Sequence[str] = ()
) -> None:
    """A listing: JSON objects, a table on a terminal, or tab-separated lines below a header.

    The columns `unbroken` keep their width on a narrow terminal; the others share what is left.
    """
    if as_json:
        print_json([dict(row) for row in rows])
    elif on_terminal():
        _print_table(rows, columns, unbroken)
    else:
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(_cell(row[column]) for column in columns))


def print_facts(facts: Row, *, as_json: bool) -> None:
    """What is known of one thing: a JSON object, or a line for each; facts in facts have dotted names."""
    if as_json:
        print_json(dict(facts))
        return
    rows: list[Row] = []
    for name, value in facts.items():
        inner = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, Mapping) else None
        rows += [{"key": key, "value": each} for key, each in (inner or {name: value}).items()]
    print_rows(rows, ("key", "value"), as_json=False, unbroken=("key",))


def _print_table(rows: Sequence[Row], columns: Sequence[str], unbroken: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in unbroken)
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return " ".join(text.split())  # a tab or line end in a name must not look like a border


reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; goes into the audit log.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
