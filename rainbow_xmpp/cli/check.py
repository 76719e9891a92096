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

PARTS: dict[str, Callable[[Config], Iterable[Finding]]] = {
    "config": check_configuration,
    "certs": check_certificates,
    "db": check_database,
}
_COLOURS = {Mark.GOOD: "green", Mark.WARNING: "yellow", Mark.BAD: "red"}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)), metavar="[config|certs|db]...")
@json_option
@pass_invocation
def check(invocation: Invocation, parts: tuple[str, ...], as_json: bool) -> None:
    """Check the configuration, the certificates and the database: all of it, or the named parts.

    Nothing is changed. The exit code is 1 when something must be corrected.
    """
    findings = _findings(invocation, parts or tuple(PARTS))
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        for finding in findings:
            mark = click.style(finding.mark, fg=_COLOURS[finding.mark])
            click.echo(f"{mark} {finding.part:<8}{finding.text}")
    if any(finding.mark is Mark.BAD for finding in findings):
        sys.exit(1)


def _findings(invocation: Invocation, parts: Iterable[str]) -> list[Finding]:
    """A configuration with problems leaves nothing else to check."""
    try:
        draft = invocation.draft()
        config = draft.config()
    except ConfigProblems as wrong:
        return [Finding(Mark.BAD, "config", str(problem)) for problem in wrong.problems]
    findings = [finding for part in parts for finding in PARTS[part](config)]
    if "config" in parts:
        findings += (Finding(Mark.WARNING, "config", str(twice)) for twice in draft.overridden)
    sealing_key = draft.file_named_by("auth.sealing_key")
    if sealing_key is not None and "certs" in parts:
        findings.append(closed_to_others(sealing_key))
    return findings
