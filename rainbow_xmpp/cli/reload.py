"""`reload`: make the running server read its configuration again, and say what came of it."""

import sys
from collections.abc import Mapping, Sequence
from typing import cast

import click

from rainbow_xmpp.cli.console import Failed, json_option, note, print_json
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config import ConfigProblems
from rainbow_xmpp.observe.control import ask
from rainbow_xmpp.run_folder import run_folder

PATIENCE_S = 60.0
UNCHANGED = "The configuration was not taken; the server goes on as before."

Outcome = Mapping[str, Sequence[str]]


@click.command("reload")
@json_option
@pass_invocation
def reload(invocation: Invocation, as_json: bool) -> None:
    """Make the running server read its configuration and certificate again, all of it or nothing.

    The same as sending it SIGHUP, but waits and says what is in effect now and what needs a restart. The exit
    code is 1 when something is wrong; then nothing has been changed.
    """
    try:
        config = invocation.whole_config()
    except ConfigProblems as wrong:
        raise Failed(f"{wrong}\n{UNCHANGED}") from None
    outcome = cast(Outcome, ask(run_folder(config), "reload", timeout_s=PATIENCE_S))
    if as_json:
        print_json(outcome)
    else:
        _say(outcome)
    if outcome["problems"]:
        sys.exit(1)


def _say(outcome: Outcome) -> None:
    if outcome["problems"]:
        note("\n".join((*outcome["problems"], UNCHANGED)))
        return
    for key in outcome["applied"]:
        click.echo(f"in effect now    {key}")
    for key in outcome["restart"]:
        click.echo(f"needs a restart  {key}")
    if not outcome["applied"] and not outcome["restart"]:
        click.echo("nothing has changed")
