"""What is done to one person: `user disable`, `enable`, `kick` and `sessions`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import click

from rainbow_xmpp.cli.console import Failed, json_option, print_json, print_rows, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.auth.people import People
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Account

ROLES = ("user", "company_admin", "operator")
FEW_PEOPLE = 2000
SESSION_COLUMNS = ("resource", "available", "priority")


@click.command()
@click.argument("who", metavar="USER")
@reason_option
@json_option
@pass_invocation
def disable(invocation: Invocation, who: str, reason: str, as_json: bool) -> None:
    """Shut USER (an e-mail address or a localpart) out; nothing of theirs is lost."""
    account = _act(
        invocation, who, lambda people, account: people.disable(account, actor=cli_actor(), reason=reason)
    )
    _say(account, who, "is shut out", as_json=as_json)


@click.command()
@click.argument("who", metavar="USER")
@reason_option
@json_option
@pass_invocation
def enable(invocation: Invocation, who: str, reason: str, as_json: bool) -> None:
    """Let USER (an e-mail address or a localpart) in again."""
    account = _act(
        invocation, who, lambda people, account: people.enable(account, actor=cli_actor(), reason=reason)
    )
    _say(account, who, "may log in", as_json=as_json)


@click.command()
@click.argument("who", metavar="USER")
@reason_option
@json_option
@pass_invocation
def kick(invocation: Invocation, who: str, reason: str, as_json: bool) -> None:
    """Log USER (an e-mail address or a localpart) out everywhere; they may log in again."""
    account = _act(
        invocation,
        who,
        lambda people, account: people.end_sessions(account, actor=cli_actor(), reason=reason),
    )
    _say(account, who, "is logged out", as_json=as_json)


@click.command()
@click.argument("who", metavar="USER")
@json_option
@pass_invocation
def sessions(invocation: Invocation, who: str, as_json: bool) -> None:
    """Show with what USER (an e-mail address or a localpart) is connected to the server that runs here."""
    from rainbow_xmpp.observe.control import ask
    from rainbow_xmpp.run_folder import run_folder

    config = invocation.config()
    account = invocation.with_store(config, lambda store: person_called(store, config, who))
    found = cast(Sequence[Mapping[str, object]], ask(run_folder(config), "sessions", account=account.id))
    print_rows(found, SESSION_COLUMNS, as_json=as_json)


ACTS = (disable, enable, kick, sessions)


async def person_called(store: "Store", config: Config, who: str) -> "Account":
    """The account with this e-mail address, JID or localpart; that there is none ends the command with a hint."""
    record = await store.accounts.for_login(who)
    if record is not None:
        return record.account
    local, _, domain = who.rpartition("@")
    account = await store.accounts.by_localpart(local) if local and domain == config.domain else None
    if account is None:
        raise Failed(
            f'There is nobody called "{who}"{await _hint(store, who) or "; user list shows everybody."}'
        )
    return account


async def _hint(store: "Store", who: str) -> str:
    """Somebody whose name is near, looked for while that is quick."""
    from rainbow_xmpp.config import did_you_mean

    counts = await store.accounts.counts()
    if sum(count.registered for count in counts.values()) > FEW_PEOPLE:
        return ""
    members = [member for company_id in counts for member in await store.accounts.list(company_id)]
    return did_you_mean(who, [name for each in members for name in (each.account.localpart, *each.emails)])


def people_of(store: "Store", config: Config) -> "People":
    """What changes accounts."""
    from rainbow_xmpp.cli.recording import people

    return people(store, config)


def cli_actor() -> str:
    """Who calls, as the audit log names them."""
    from rainbow_xmpp.observe.audit import cli_actor

    return cli_actor()


def _act(invocation: Invocation, who: str, act: "Callable[[People, Account], Awaitable[None]]") -> "Account":
    """Do this to the account; returns it as it was before."""
    config = invocation.config()

    async def work(store: "Store") -> "Account":
        account = await person_called(store, config, who)
        await act(people_of(store, config), account)
        return account

    return invocation.with_store(config, work)


def _say(account: "Account", who: str, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": account.id, "user": who})
    else:
        click.echo(f"{who} of {account.company.name} {what}.")
