"""Companies as commands name and show them."""

from typing import TYPE_CHECKING

from rainbow_xmpp.cli.console import Failed

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.values import Company

VISIBILITIES = ("public", "private", "organisation", "closed", "isolated")


async def company_named(store: "Store", name: str) -> "Company":
    """The company with this name; that there is none ends the command with a hint."""
    found = await store.companies.by_name(name)
    if found is None:
        from rainbow_xmpp.config import did_you_mean

        names = [each.name for each in await store.companies.list()]
        hint = did_you_mean(name, names) or "."
        raise Failed(f'There is no company "{name}"{hint} To add it: company add "{name}"')
    return found


def company_facts(company: "Company") -> dict[str, object]:
    """What `company list` shows of one."""
    return {
        "name": company.name,
        "region": company.region,
        "visibility": str(company.visibility),
        "service_level": company.service_level,
        "disabled": company.disabled,
        "id": company.id,
    }
