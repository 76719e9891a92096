"""`company add` and `company list`."""

from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.console import Failed, json_option, print_json, print_rows
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Company

VISIBILITIES = ("public", "private", "organisation", "closed", "isolated")
COLUMNS = ("name", "region", "visibility", "service_level", "disabled", "id")


@click.group()
def company() -> None:
    """Companies: whose people see each other."""


@company.command()
@click.argument("name")
@click.option("--region", help="Where everything about its people stays.")
@click.option(
    "--visibility",
    type=click.Choice(VISIBILITIES),
    default="private",
    show_default=True,
    help="Who else may find its people.",
)
@json_option
@pass_invocation
def add(invocation: Invocation, name: str, region: str | None, visibility: str, as_json: bool) -> None:
    """Add a company."""
    if not name.strip():
        raise click.BadParameter("a company needs a name", param_hint="NAME")
    config = invocation.config()
    made = invocation.with_store(config, lambda store: add_company(store, config, name, region, visibility))
    if as_json:
        print_json(_row(made))
    else:
        click.echo(f"Added the company {made.name} ({made.visibility}, region {made.region}, id {made.id}).")


@company.command("list")
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the companies by name."""
    found = invocation.with_store(invocation.config(), lambda store: store.companies.list())
    print_rows([_row(each) for each in found], COLUMNS, as_json=as_json)


async def company_named(store: "Store", name: str) -> "Company":
    """The company with this name; that there is none ends the command with a hint."""
    found = await store.companies.by_name(name)
    if found is None:
        from rainbow_xmpp.config import did_you_mean

        names = [each.name for each in await store.companies.list()]
        hint = did_you_mean(name, names) or "."
        raise Failed(f'There is no company "{name}"{hint} To add it: company add "{name}"')
    return found


async def add_company(
    store: "Store", config: Config, name: str, region: str | None = None, visibility: str = "private"
) -> "Company":
    """Make a company. That there is one with this name ends the command."""
    from rainbow_xmpp.cli.recording import audit_log
    from rainbow_xmpp.ids import new_id
    from rainbow_xmpp.observe.audit import Kind, cli_actor
    from rainbow_xmpp.store.errors import AlreadyExists
    from rainbow_xmpp.store.values import DEFAULT_REGION, Visibility

    id = new_id()
    recorded = audit_log(store, config).with_write(
        Kind.COMPANY_ADDED, company_id=id, actor=cli_actor(), target=id, visibility=visibility
    )
    try:
        async with recorded:
            return await store.companies.add(name, region or DEFAULT_REGION, Visibility(visibility), id=id)
    except AlreadyExists:
        raise Failed(f'There is already a company "{name}"; company list shows them all.') from None


def _row(company: "Company") -> dict[str, object]:
    return {
        "name": company.name,
        "region": company.region,
        "visibility": str(company.visibility),
        "service_level": company.service_level,
        "disabled": company.disabled,
        "id": company.id,
    }
