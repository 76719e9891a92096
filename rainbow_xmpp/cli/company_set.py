"""`company set` and `company show`."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.company_named import VISIBILITIES, company_facts, company_named
from rainbow_xmpp.cli.console import Failed, json_option, print_facts, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Company, CompanySettings

MAX_ROSTER = 5000
_AS_COMPANY = "default"
MOST_PASSWORD = 64
_NOTHING = "nothing"
_NEEDS = ("lower", "upper", "digit", "special")
_FACTORS = ("off", "optional", "required")
_CROSSINGS = ("deliver", "notify", "refuse")


allow_region_option = click.option(
    "--allow-region",
    "allowed_regions",
    multiple=True,
    metavar="REGION",
    help="A region it may use beside its home; give it once for each. A restricted one must be named even to be its "
    "home.",
)
"""What of the regions an operator allows."""


@click.command("set")
@click.argument("name")
@click.option("--name", "new_name", metavar="NAME", help="Another name.")
@click.option("--visibility", type=click.Choice(VISIBILITIES), help="Who else may find its people.")
@click.option("--organisation", metavar="NAME", help='The group of companies it belongs to; "" for none.')
@click.option("--service-level", metavar="LEVEL", help="What its people get: [service_levels.LEVEL].")
@click.option("--roster/--no-roster", default=None, help="Colleagues are in everybody's roster, or are not.")
@click.option(
    "--roster-limit",
    type=click.IntRange(0, MAX_ROSTER),
    metavar="N",
    help="No company roster for more people than this.",
)
@click.option(
    "--self-registration/--no-self-registration",
    "registers",
    default=None,
    help="People of its domains (plugins.mfa_pin.company_domains) make accounts in it by themselves, or do not.",
)
@click.option(
    "--password-min-length",
    type=click.IntRange(0, MOST_PASSWORD),
    metavar="N",
    help="New passwords are at least so long, where that is more than [auth.password] says.",
)
@click.option(
    "--password-needs",
    "needs",
    type=click.Choice((_NOTHING, *_NEEDS)),
    multiple=True,
    help="What new passwords must have beside what [auth.password] says; give it once for each.",
)
@click.option(
    "--second-factor",
    type=click.Choice(_FACTORS),
    help="Whether its people may have, or must have, a code after the password.",
)
@click.option(
    "--allow-visibility",
    "allowed",
    type=click.Choice((_AS_COMPANY, *VISIBILITIES)),
    multiple=True,
    help="What its people may choose for themselves; give it once for each. default: all that is no more open "
    "than the company.",
)
@allow_region_option
@click.option(
    "--cross-region",
    type=click.Choice(_CROSSINGS),
    help="What may go to people of other regions: everything (deliver), that there is a message (notify), or nothing "
    "(refuse).",
)
@click.option(
    "--cross-region-consent/--no-cross-region-consent",
    "consents",
    default=None,
    help="Nothing of a person goes to another region before they said that it may, or without that.",
)
@click.option("--no-other-regions", is_flag=True, help="No regions beside its home any more.")
@click.option(
    "--disable/--enable", "disabled", default=None, help="Shut its people out, or let them in again."
)
@reason_option
@json_option
@pass_invocation
def set_(
    invocation: Invocation,
    name: str,
    new_name: str | None,
    visibility: str | None,
    organisation: str | None,
    service_level: str | None,
    roster: bool | None,
    roster_limit: int | None,
    registers: bool | None,
    password_min_length: int | None,
    needs: tuple[str, ...],
    second_factor: str | None,
    allowed: tuple[str, ...],
    allowed_regions: tuple[str, ...],
    cross_region: str | None,
    consents: bool | None,
    no_other_regions: bool,
    disabled: bool | None,
    reason: str,
    as_json: bool,
) -> None:
    """Change the company NAME; what is not given stays as it is."""
    from rainbow_xmpp.company.desk import CompanyChange
    from rainbow_xmpp.store.values import Crossing, FactorRule, Visibility

    def wanted(company: "Company") -> CompanyChange:
        settings = _settings(company.settings, roster, roster_limit, registers, allowed)
        settings = _with_passwords(settings, password_min_length, needs)
        if second_factor is not None:
            settings = replace(settings, second_factor=FactorRule(second_factor))
        if cross_region is not None:
            settings = replace(settings, cross_region=Crossing(cross_region))
        if consents is not None:
            settings = replace(settings, cross_region_consent=consents)
        if allowed_regions or no_other_regions:
            settings = replace(settings, regions=tuple(dict.fromkeys(allowed_regions)))
        return CompanyChange(
            name=new_name,
            visibility=None if visibility is None else Visibility(visibility),
            organisation=organisation,
            service_level=service_level,
            disabled=disabled,
            settings=settings if settings != company.settings else None,
        )

    given = (new_name, visibility, organisation, service_level, roster, roster_limit, registers, disabled)
    is_nothing = all(
        each is None for each in (*given, password_min_length, second_factor, cross_region, consents)
    )
    if is_nothing and not (allowed or needs or allowed_regions or no_other_regions):
        raise click.UsageError("say what to change: company set --help")
    config = invocation.config()

    async def work(store: "Store") -> dict[str, object]:
        from rainbow_xmpp.cli.recording import companies
        from rainbow_xmpp.observe.audit import cli_actor
        from rainbow_xmpp.store.errors import AlreadyExists

        found = await company_named(store, name)
        try:
            changed = await companies(store, config).change(
                found, wanted(found), actor=cli_actor(), reason=reason
            )
        except AlreadyExists:
            raise Failed(f'There is already a company "{new_name}"; company list shows them all.') from None
        return await _facts(store, config, changed)

    print_facts(invocation.with_store(config, work), as_json=as_json)


@click.command()
@click.argument("name")
@json_option
@pass_invocation
def show(invocation: Invocation, name: str, as_json: bool) -> None:
    """Show the company NAME: its settings, how many people it has, whom it is linked to."""
    config = invocation.config()

    async def work(store: "Store") -> dict[str, object]:
        return await _facts(store, config, await company_named(store, name))

    print_facts(invocation.with_store(config, work), as_json=as_json)


def _settings(
    before: "CompanySettings",
    roster: bool | None,
    limit: int | None,
    registers: bool | None,
    allowed: tuple[str, ...],
) -> "CompanySettings":
    from rainbow_xmpp.store.values import Visibility

    settings = before
    if roster is not None:
        settings = replace(settings, roster=roster)
    if limit is not None:
        settings = replace(settings, roster_limit=limit)
    if registers is not None:
        settings = replace(settings, self_registration=registers)
    if allowed:
        chosen = tuple(Visibility(each) for each in dict.fromkeys(allowed) if each != _AS_COMPANY)
        settings = replace(settings, visibilities=chosen)
    return settings


def _with_passwords(
    before: "CompanySettings", min_length: int | None, needs: tuple[str, ...]
) -> "CompanySettings":
    from rainbow_xmpp.store.values import PasswordNeed

    settings = before
    if min_length is not None:
        settings = replace(settings, password_min_length=min_length)
    if needs:
        wanted = tuple(PasswordNeed(each) for each in dict.fromkeys(needs) if each != _NOTHING)
        settings = replace(settings, password_needs=wanted)
    return settings


async def _facts(store: "Store", config: Config, company: "Company") -> dict[str, object]:
    from rainbow_xmpp.company.levels import ServiceLevels

    names = {each.id: each.name for each in await store.companies.list()}
    linked = (await store.links.confirmed()).get(company.id, frozenset())
    level = ServiceLevels(config.service_levels).of_company(company)
    return {
        **company_facts(company),
        "organisation": company.organisation,
        "people": await store.accounts.count(company.id),
        "people_may_be": [str(each) for each in company.allowed_visibilities],
        "roster": company.settings.roster,
        "roster_limit": company.settings.roster_limit,
        "self_registration": company.settings.self_registration,
        "password_min_length": company.settings.password_min_length,
        "password_needs": [str(each) for each in company.settings.password_needs],
        "second_factor": str(company.settings.second_factor),
        "other_regions": list(company.settings.regions),
        "cross_region": str(company.settings.cross_region),
        "cross_region_consent": company.settings.cross_region_consent,
        "linked_to": sorted(names.get(each, each) for each in linked),
        "level": asdict(level),
    }
