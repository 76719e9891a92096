"""`config example`, `config reference` and `config show`."""

from collections.abc import Iterator
from typing import Any

import click

from rainbow_xmpp.cli.console import json_option, print_rows
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config.describe import keys_of, named_sections_of, sections_of

_HIDDEN = "(hidden)"
_DEFAULT = "default"


@click.group()
def config() -> None:
    """The configuration."""


@config.command()
@click.option("--bench", is_flag=True, help="The one for load tests on this machine.")
@click.option("--regions", is_flag=True, help="regions.toml: several regions.")
@click.option(
    "--haproxy", type=click.Choice(("passes-tls", "ends-tls")), help="haproxy.cfg: in front of two nodes."
)
def example(bench: bool, regions: bool, haproxy: str | None) -> None:
    """Print the commented configuration file that comes with this version."""
    from rainbow_xmpp.config import example as written
    from rainbow_xmpp.config import haproxy as balancer
    from rainbow_xmpp.config.regions import EXAMPLE, EXAMPLE_DEFAULT

    if haproxy:
        front = balancer.EXAMPLE_WITH_TLS if haproxy == "ends-tls" else balancer.EXAMPLE
        click.echo(balancer.haproxy(front), nl=False)
        return
    if regions:
        click.echo(written.regions_example(EXAMPLE_DEFAULT, EXAMPLE), nl=False)
        return
    from rainbow_xmpp.plugin.select import describe_plugins

    settings, intro = (written.BENCH, written.BENCH_INTRO) if bench else (written.SHIPPED, written.INTRO)
    click.echo(written.example(settings, intro, describe_plugins()), nl=False)


@config.command()
def reference() -> None:
    """Print a page about every key and every plugin's options, in Markdown."""
    from rainbow_xmpp.config import page
    from rainbow_xmpp.plugin.select import describe_plugins

    click.echo(page.reference(describe_plugins()), nl=False)


@config.command()
@click.option("--origin", "with_origin", is_flag=True, help="Say where each value was written.")
@json_option
@pass_invocation
def show(invocation: Invocation, with_origin: bool, as_json: bool) -> None:
    """Show every key with the value in effect, files and environment taken together; secrets are hidden."""
    from rainbow_xmpp.plugin.select import configured_plugins

    draft = invocation.draft()
    found = draft.config()
    values = list(_values(found, ""))
    for plugin, options in configured_plugins(found).items():
        values += _values(options, f"plugins.{plugin.name}.")
    columns = ("key", "value", "origin") if with_origin else ("key", "value")
    rows = [
        {"key": key, "value": value, "origin": str(draft.written_at(key) or _DEFAULT)}
        for key, value in values
    ]
    print_rows([{column: row[column] for column in columns} for row in rows], columns, as_json=as_json)


def _values(section: Any, prefix: str) -> Iterator[tuple[str, object]]:
    for key in keys_of(type(section)):
        value = getattr(section, key.field.name)
        yield f"{prefix}{key.field.name}", _hidden(value) if key.is_secret else _shown(value)
    for name in sections_of(type(section)):
        yield from _values(getattr(section, name), f"{prefix}{name}.")
    for named in named_sections_of(type(section)):
        for name, each in getattr(section, named.name).items():
            yield from _values(each, f"{prefix}{named.name}.{name}.")


def _shown(value: object) -> object:
    return [_shown(item) for item in value] if isinstance(value, tuple) else value


def _hidden(value: object) -> object:
    if isinstance(value, tuple):
        return [_hidden(item) for item in value]
    return _HIDDEN if value else ""
