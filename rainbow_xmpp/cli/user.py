"""`user add`, `list`, `passwd`, `remove` and `import`; the others are in `user_acts` and `user_set`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.company_named import company_named
from rainbow_xmpp.cli.console import Failed, can_ask, json_option, note, print_json, print_rows, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.move import user_move
from rainbow_xmpp.cli.user_acts import ACTS, ROLES, cli_actor, people_of, person_called
from rainbow_xmpp.cli.user_factor import second_factor
from rainbow_xmpp.cli.user_letters import LETTERS
from rainbow_xmpp.cli.user_set import set_, show
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.auth.people import Added
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Account, Member

COLUMNS = ("emails", "address", "company", "role", "disabled")

password_stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)
generate_option = click.option("--generate", is_flag=True, help="Make a random password and print it, once.")


@click.group()
def user() -> None:
    """People."""


for act in (*ACTS, *LETTERS, second_factor, set_, show, user_move):
    user.add_command(act)


@user.command()
@click.argument("email")
@click.option("--company", required=True, metavar="NAME", help="Whose people this person sees.")
@click.option(
    "--localpart",
    metavar="L",
    help="What stands before the @ of the address. [default: 32 random hex digits]",
)
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="user",
    show_default=True,
    help="What this person may administer.",
)
@password_stdin_option
@generate_option
@reason_option
@json_option
@pass_invocation
def add(
    invocation: Invocation,
    email: str,
    company: str,
    localpart: str | None,
    role: str,
    password_stdin: bool,
    generate: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Add a person, who can then log in by EMAIL or by localpart."""
    from rainbow_xmpp.cli.passwords import given_password

    config = invocation.config()
    password = given_password(from_stdin=password_stdin, generate=generate)
    added = invocation.with_store(
        config, lambda store: add_person(store, config, email, company, localpart, role, password, reason)
    )
    account, shown = added.account, added.password
    if as_json:
        print_json(_person(account, (email,), config.domain) | ({"password": shown} if shown else {}))
    else:
        note(f"Added {email} to {account.company.name}: {account.localpart}@{config.domain}")
        _print_password(shown)


@user.command("list")
@click.option("--company", metavar="NAME", help="Only this company's people.")
@json_option
@pass_invocation
def list_(invocation: Invocation, company: str | None, as_json: bool) -> None:
    """List people, company by company, oldest account first."""
    config = invocation.config()
    members = invocation.with_store(config, lambda store: _members(store, company))
    rows = [
        _person(member.account, member.emails, config.domain)
        | {"created": datetime.fromtimestamp(member.created_at, UTC).isoformat()}
        for member in members
    ]
    print_rows(rows, COLUMNS, as_json=as_json)


@user.command()
@click.argument("who", metavar="USER")
@password_stdin_option
@generate_option
@reason_option
@json_option
@pass_invocation
def passwd(
    invocation: Invocation, who: str, password_stdin: bool, generate: bool, reason: str, as_json: bool
) -> None:
    """Give USER (an e-mail address or a localpart) a new password; what was logged in is logged out."""
    from rainbow_xmpp.cli.passwords import given_password

    config = invocation.config()
    password = given_password(from_stdin=password_stdin, generate=generate)
    account, shown = invocation.with_store(
        config, lambda store: _set_password(store, config, who, password, reason)
    )
    if as_json:
        print_json({"id": account.id, "user": who} | ({"password": shown} if shown else {}))
    else:
        note(f"{who} has a new password.")
        _print_password(shown)


@user.command()
@click.argument("who", metavar="USER")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@pass_invocation
def remove(invocation: Invocation, who: str, yes: bool, reason: str) -> None:
    """Remove USER (an e-mail address or a localpart) with everything that is theirs."""
    config = invocation.config()
    account = invocation.with_store(config, lambda store: person_called(store, config, who))
    if not yes:
        if not can_ask():
            raise click.UsageError("there is no terminal to ask on: say --yes to remove")
        click.confirm(f"Remove {who} of {account.company.name} with everything that is theirs?", abort=True)
    invocation.with_store(
        config, lambda store: people_of(store, config).remove(account, actor=cli_actor(), reason=reason)
    )
    click.echo(f"Removed {who} of {account.company.name}.")


@user.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.csv")
@json_option
@pass_invocation
def import_(invocation: Invocation, file: Path, as_json: bool) -> None:
    """Add everybody in FILE.csv, or nobody when a row is wrong.

    The file begins with the line email,company,localpart,password. An empty localpart becomes 32 random
    hex digits.
    """
    from rainbow_xmpp.cli.user_import import ImportReport, import_people

    config = invocation.config()
    report: ImportReport = invocation.with_store(config, lambda store: import_people(store, config, file))
    if as_json:
        print_json(report.as_json())
    elif report.errors:
        for error in report.errors:
            note(f"{file}:{error.line}: {error.reason}")
    if report.errors:
        if not as_json:
            raise Failed(f"{len(report.errors)} problems, so nobody was imported.")
        sys.exit(1)
    if not as_json:
        click.echo(f"Imported {report.imported} people.")


async def add_person(
    store: "Store",
    config: Config,
    email: str,
    company: str,
    localpart: str | None,
    role: str,
    password: str,
    reason: str = "",
) -> "Added":
    """Make an account, with a random password for "". What stands in the way ends the command."""
    from rainbow_xmpp.ids import new_localpart
    from rainbow_xmpp.store.errors import AlreadyExists
    from rainbow_xmpp.store.values import NewAccount, Role

    new = NewAccount(
        company=(await company_named(store, company)).name,
        email=email,
        localpart=localpart or new_localpart(),
        role=Role(role),
    )
    try:
        return await people_of(store, config).add(new, password, actor=cli_actor(), reason=reason)
    except AlreadyExists as taken:
        what = "e-mail address" if taken.field == "email" else "localpart"
        raise Failed(f'The {what} "{taken.value}" belongs to another account.') from None


async def _members(store: "Store", company: str | None) -> "list[Member]":
    companies = [await company_named(store, company)] if company else await store.companies.list()
    return [member for each in companies for member in await store.accounts.list(each.id)]


async def _set_password(
    store: "Store", config: Config, who: str, password: str, reason: str
) -> "tuple[Account, str]":
    account = await person_called(store, config, who)
    return account, await people_of(store, config).set_password(
        account, password, actor=cli_actor(), reason=reason
    )


def _person(account: "Account", emails: tuple[str, ...], domain: str) -> dict[str, object]:
    return {
        "emails": list(emails),
        "address": f"{account.localpart}@{domain}",
        "company": account.company.name,
        "role": str(account.role),
        "disabled": account.disabled,
        "id": account.id,
    }


def _print_password(password: str) -> None:
    """The password alone on standard output, so that a script can take it."""
    if password:
        note("Its password, shown only now:")
        click.echo(password)
