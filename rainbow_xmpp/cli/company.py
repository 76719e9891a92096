"""`company add` and `company list`; `company_set` has the others."""

from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.company_named import VISIBILITIES, company_facts
from rainbow_xmpp.cli.company_set import allow_region_option, set_, show
from rainbow_xmpp.cli.console import Failed, json_option, print_json, print_rows, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.move import company_move
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Company

COLUMNS = ("name", "region", "visibility", "service_level", "disabled", "id")


@click.group()
def company() -> None:
    """Companies: whose people see each other."""


for other in (set_, show, company_move):
    company.add_command(other)


@company.command()
@click.argument("name")
@click.option(
    "--region", default="", help="Where everything about its people stays. Not given: default_region."
)
@allow_region_option
@click.option(
    "--visibility",
    type=click.Choice(VISIBILITIES),
    default="private",
    show_default=True,
    help="Who else may find its people.",
)
@click.option("--organisation", default="", metavar="NAME", help="The group of companies it belongs to.")
@click.option(
    "--service-level",
    default="essential",
    show_default=True,
    metavar="LEVEL",
    help="What its people get: [service_levels.LEVEL] in the configuration.",
)
@reason_option
@json_option
@pass_invocation
def add(
    invocation: Invocation,
    name: str,
    region: str,
    allowed_regions: tuple[str, ...],
    visibility: str,
    organisation: str,
    service_level: str,
    reason: str,
    as_json: bool,
) -> None:
    """Add a company."""
    if not name.strip():
        raise click.BadParameter("a company needs a name", param_hint="NAME")
    config = invocation.config()
    more = {"organisation": organisation, "service_level": service_level, "reason": reason}
    made = invocation.with_store(
        config,
        lambda store: add_company(store, config, name, region, visibility, regions=allowed_regions, **more),
    )
    if as_json:
        print_json(company_facts(made))
    else:
        click.echo(f"Added the company {made.name} ({made.visibility}, region {made.region}, id {made.id}).")


@company.command("list")
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the companies by name."""
    found = invocation.with_store(invocation.config(), lambda store: store.companies.list())
    print_rows([company_facts(each) for each in found], COLUMNS, as_json=as_json)


async def add_company(
    store: "Store",
    config: Config,
    name: str,
    region: str = "",
    visibility: str = "private",
    *,
    regions: tuple[str, ...] = (),
    **more: str,
) -> "Company":
    """Make a company. That there is one with this name ends the command."""
    from rainbow_xmpp.cli.recording import companies
    from rainbow_xmpp.observe.audit import cli_actor
    from rainbow_xmpp.store.errors import AlreadyExists
    from rainbow_xmpp.store.values import Visibility

    try:
        return await companies(store, config).add(
            name,
            region=region,
            regions=tuple(dict.fromkeys(regions)),
            visibility=Visibility(visibility),
            actor=cli_actor(),
            **more,
        )
    except AlreadyExists:
        raise Failed(f'There is already a company "{name}"; company list shows them all.') from None
