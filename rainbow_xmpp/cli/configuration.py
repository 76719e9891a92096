"""`config example` and `config show`."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import click

from rainbow_xmpp.cli.console import json_option, print_rows
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config import Config, Secret

_HIDDEN = "(hidden)"


@click.group()
def config() -> None:
    """The configuration."""


@config.command()
@click.option("--bench", is_flag=True, help="The one for load tests on this machine.")
def example(bench: bool) -> None:
    """Print the commented configuration file that comes with this version."""
    from rainbow_xmpp.config import example as written

    text = (
        written.example(written.BENCH, written.BENCH_INTRO)
        if bench
        else written.example(written.SHIPPED, written.INTRO)
    )
    click.echo(text, nl=False)


@config.command()
@json_option
@pass_invocation
def show(invocation: Invocation, as_json: bool) -> None:
    """Show every key with the value in effect, files and environment taken together; secrets are hidden."""
    rows = [{"key": key, "value": value} for key, value in _values(invocation.config(), "")]
    print_rows(rows, ("key", "value"), as_json=as_json)


def _values(section: Any, prefix: str) -> Iterator[tuple[str, object]]:
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        dotted = prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from _values(value, f"{dotted}.")
        elif isinstance(section, Config) and field.name == "plugins":
            yield from _plugins(value)
        else:
            yield dotted, _shown(value) if field.repr else _HIDDEN


def _plugins(tables: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, table in tables.items():
        yield f"plugins.{name}.enabled", table.enabled
        for key, value in table.values.items():
            yield f"plugins.{name}.{key}", _shown(value)


def _shown(value: object) -> object:
    if isinstance(value, Secret):
        return _HIDDEN if value else ""
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    return value
