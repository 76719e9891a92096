"""`check`: say what is wrong, without changing anything."""

import sys
from collections.abc import Callable, Iterable

import click

from rainbow_xmpp.cli.checks import (
    Finding,
    Mark,
    check_certificates,
    check_configuration,
    check_database,
    closed_to_others,
)
from rainbow_xmpp.cli.console import json_option, print_json
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config import Config, ConfigProblems

LOCAL: dict[str, Callable[[Config], Iterable[Finding]]] = {
    "config": check_configuration,
    "certs": check_certificates,
    "db": check_database,
}
"""What is checked unless parts are named: all that needs nobody else."""
DNS = "dns"
MAIL = "mail"
TURN = "turn"
BUS = "bus"
RESIDENCY = "residency"
_COLOURS = {Mark.GOOD: "green", Mark.WARNING: "yellow", Mark.BAD: "red"}


@click.command()
@click.argument(
    "parts",
    nargs=-1,
    type=click.Choice([*LOCAL, DNS, MAIL, TURN, BUS, RESIDENCY]),
    metavar="[config|certs|db|dns|mail|turn|bus|residency]...",
)
@click.option(
    "--resolver", default="", metavar="ADDRESS", help="The name server that dns asks, not this machine's."
)
@click.option("--to", default="", metavar="ADDRESS", help="Where mail sends a test letter.")
@json_option
@pass_invocation
def check(invocation: Invocation, parts: tuple[str, ...], resolver: str, to: str, as_json: bool) -> None:
    """Check the configuration, the certificates and the database, or only the named parts.

    With dns: whether clients find the server by its domain, and what to publish so that they do. It asks the
    network, so it is checked only when it is named. With mail: whether the mail server takes our login, and, with
    --to, a test letter. With turn: whether clients reach the relay of calls by every way they are told, and what to
    open when they do not; the server must run. With bus: whether the NATS servers of the region answer, are
    configured as regions.toml says and close what must be closed, and whether every other region answers, how quickly,
    by what clock. With residency: whether rows of other regions, or people who may not live here, lie in the database,
    and whether data is handed to hosts that regions.toml does not name. Nothing is changed. The exit code is 1 when
    something must be corrected.
    """
    findings = _findings(invocation, parts or tuple(LOCAL), resolver, to)
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        for finding in findings:
            mark = click.style(finding.mark, fg=_COLOURS[finding.mark])
            click.echo(f"{mark} {finding.part:<7} {finding.text}")
    if any(finding.mark is Mark.BAD for finding in findings):
        sys.exit(1)


def _findings(invocation: Invocation, parts: Iterable[str], resolver: str, to: str) -> list[Finding]:
    """A configuration with problems leaves nothing else to check."""
    from rainbow_xmpp.plugin.select import plugin_problems

    try:
        draft = invocation.draft()
        config = draft.config(plugin_problems)
    except ConfigProblems as wrong:
        return [Finding(Mark.BAD, "config", str(problem)) for problem in wrong.problems]
    findings = [finding for part in parts if part in LOCAL for finding in LOCAL[part](config)]
    if DNS in parts:
        findings += _dns(config, resolver)
    if MAIL in parts:
        from rainbow_xmpp.cli.check_mail import check_mail

        findings += check_mail(config, to)
    if RESIDENCY in parts:
        from rainbow_xmpp.cli.check_residency import check_residency

        findings += check_residency(config)
    if TURN in parts:
        findings += _turn(config)
    if BUS in parts:
        from rainbow_xmpp.cli.check_bus import check_bus

        findings += check_bus(config)
    if "config" in parts:
        findings += (Finding(Mark.WARNING, "config", str(twice)) for twice in draft.overridden)
    sealing_key = draft.file_named_by("auth.sealing_key")
    if sealing_key is not None and "certs" in parts:
        findings.append(closed_to_others(sealing_key))
    return findings


def _dns(config: Config, resolver: str) -> list[Finding]:
    from rainbow_xmpp.cli.check_dns import check_dns
    from rainbow_xmpp.cli.dns_lookup import NetworkLookup, NoAnswerer

    try:
        return list(check_dns(config, NetworkLookup(resolver)))
    except NoAnswerer as error:
        return [Finding(Mark.BAD, DNS, str(error))]


def _turn(config: Config) -> list[Finding]:
    """By the plugin that brings the relay."""
    from rainbow_xmpp.plugin.offers_relay import RelayDoor
    from rainbow_xmpp.plugin.select import select_plugins

    marks = {True: Mark.GOOD, False: Mark.BAD, None: Mark.WARNING}
    for plugin, options in select_plugins(config).items():
        if issubclass(plugin, RelayDoor):
            return [Finding(marks[good], TURN, text) for good, text in plugin.look(config, options)]
    return [Finding(Mark.WARNING, TURN, "no plugin here relays calls")]
