"""`user second-factor`: has somebody one, and turning it off for whoever has lost everything."""

from typing import TYPE_CHECKING, cast

import click

from rainbow_xmpp.cli.console import json_option, print_json, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.user_acts import cli_actor, person_called
from rainbow_xmpp.run_folder import run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("second-factor")
@click.argument("who", metavar="USER")
@click.option(
    "--off", is_flag=True, help="Turn it off: for somebody who has lost telephone and recovery codes."
)
@reason_option
@json_option
@pass_invocation
def second_factor(invocation: Invocation, who: str, off: bool, reason: str, as_json: bool) -> None:
    """Say whether USER (an e-mail address or a localpart) has a second factor, or turn it off.

    Make sure first that it is really USER who asks. Every login of theirs ends, and they are told.
    """
    from rainbow_xmpp.observe.control import ask

    config = invocation.config()
    account = invocation.with_store(config, lambda store: person_called(store, config, who))
    if off:
        answer = ask(
            run_folder(config), "second-factor-off", actor=cli_actor(), account=account.id, reason=reason
        )
        done = bool(cast("Mapping[str, object]", answer)["was_on"])
        told = "was turned off" if done else "is off already"
    else:
        told = "is on" if account.second_factor else "is off"
    if as_json:
        print_json({"id": account.id, "user": who, "second_factor": account.second_factor and not off})
    else:
        click.echo(f"The second factor of {who} of {account.company.name} {told}.")
