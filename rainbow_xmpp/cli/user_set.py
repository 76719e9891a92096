"""`user set` and `user show`."""

from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.company_named import VISIBILITIES
from rainbow_xmpp.cli.console import json_option, print_facts, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.user_acts import ROLES, cli_actor, people_of, person_called
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Account

AS_COMPANY = "same_than_company"


@click.command("set")
@click.argument("who", metavar="USER")
@click.option("--name", metavar="NAME", help="As others see it.")
@click.option(
    "--visibility", type=click.Choice((AS_COMPANY, *VISIBILITIES)), help="Who may find this person."
)
@click.option(
    "--service-level", metavar="LEVEL", help=f"What this person gets; {AS_COMPANY} for the company's."
)
@click.option("--listed/--hidden", "listed", default=None, help="In the roster of the company, or not.")
@click.option("--role", type=click.Choice(ROLES), help="What this person may administer.")
@reason_option
@json_option
@pass_invocation
def set_(
    invocation: Invocation,
    who: str,
    name: str | None,
    visibility: str | None,
    service_level: str | None,
    listed: bool | None,
    role: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Change USER (an e-mail address, JID or localpart); what is not given stays as it is."""
    from rainbow_xmpp.auth.people import AccountChange
    from rainbow_xmpp.store.values import Role, Visibility

    if all(each is None for each in (name, visibility, service_level, listed, role)):
        raise click.UsageError("say what to change: user set --help")
    wanted = AccountChange(
        name=name,
        role=None if role is None else Role(role),
        visibility=None if visibility is None else Visibility(visibility),
        service_level="" if service_level == AS_COMPANY else service_level,
        listed=listed,
    )
    config = invocation.config()

    async def work(store: "Store") -> dict[str, object]:
        account = await person_called(store, config, who)
        changed = await people_of(store, config).change(account, wanted, actor=cli_actor(), reason=reason)
        return await _facts(store, config, changed)

    print_facts(invocation.with_store(config, work), as_json=as_json)


@click.command()
@click.argument("who", metavar="USER")
@json_option
@pass_invocation
def show(invocation: Invocation, who: str, as_json: bool) -> None:
    """Show what is known of USER (an e-mail address, JID or localpart)."""
    config = invocation.config()

    async def work(store: "Store") -> dict[str, object]:
        return await _facts(store, config, await person_called(store, config, who))

    print_facts(invocation.with_store(config, work), as_json=as_json)


async def _facts(store: "Store", config: Config, account: "Account") -> dict[str, object]:
    member = await store.accounts.member(account.company.id, account.id)
    return {
        "emails": [] if member is None else list(member.emails),
        "address": f"{account.localpart}@{config.domain}",
        "name": account.name,
        "company": account.company.name,
        "role": str(account.role),
        "visibility": str(account.visibility),
        "service_level": account.service_level or AS_COMPANY,
        "listed": account.listed,
        "disabled": account.disabled,
        "id": account.id,
    }
