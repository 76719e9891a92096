"""`user invite` and `user reset-password`: the server that runs here writes a letter, and nobody else reads it."""

from typing import TYPE_CHECKING, cast

import click

from rainbow_xmpp.cli.company_named import company_named
from rainbow_xmpp.cli.console import json_option, print_json, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.user_acts import cli_actor, person_called
from rainbow_xmpp.languages import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command()
@click.argument("address")
@click.option("--company", required=True, metavar="NAME", help="Whose people this person will see.")
@click.option(
    "--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Of the letter."
)
@reason_option
@json_option
@pass_invocation
def invite(
    invocation: Invocation, address: str, company: str, language: str, reason: str, as_json: bool
) -> None:
    """Invite ADDRESS into a company by a letter: who gets it chooses name and password."""
    from rainbow_xmpp.observe.control import ask
    from rainbow_xmpp.run_folder import run_folder

    config = invocation.config()
    found = invocation.with_store(config, lambda store: company_named(store, company))
    answer = cast(
        "Mapping[str, object]",
        ask(
            run_folder(config),
            "invite",
            actor=cli_actor(),
            address=address,
            company=found.id,
            language=language,
            reason=reason,
        ),
    )
    if as_json:
        print_json({"id": answer["id"], "company": found.name})
    else:
        click.echo(f"A letter to {address} invites into {found.name}.")


@click.command("reset-password")
@click.argument("who", metavar="USER")
@reason_option
@json_option
@pass_invocation
def reset_password(invocation: Invocation, who: str, reason: str, as_json: bool) -> None:
    """Let USER (an e-mail address or a localpart) set a new password by a PIN in a letter.

    Nothing changes before that.
    """
    from rainbow_xmpp.observe.control import ask
    from rainbow_xmpp.run_folder import run_folder

    config = invocation.config()
    account = invocation.with_store(config, lambda store: person_called(store, config, who))
    ask(run_folder(config), "reset-password", actor=cli_actor(), account=account.id, reason=reason)
    if as_json:
        print_json({"id": account.id, "user": who})
    else:
        click.echo(f"A letter to {who} of {account.company.name} has a PIN for a new password.")


LETTERS = (invite, reset_password)
