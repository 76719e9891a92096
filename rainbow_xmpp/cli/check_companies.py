"""What `check db` says of names in the configuration that the database does not know, and the other way round."""

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from rainbow_xmpp.config import Config, did_you_mean
from rainbow_xmpp.config.regions import ONLY_REGION

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store


async def unknown_companies(store: "Store", config: Config) -> AsyncIterator[str]:
    """Each name or id in a plugin's `companies` that is no company's, with the place where it is written."""
    known = {word for company in await store.companies.list() for word in (company.name, company.id)}
    for name, table in config.plugins.items():
        listed = table.values.get("companies", ())
        for company in listed if isinstance(listed, list | tuple) else ():
            if company not in known:
                where = f"{table.origins.get('companies', table.origins[''])}: plugins.{name}.companies"
                yield f'{where} has "{company}", which is no company{did_you_mean(str(company), known)}'


async def unknown_levels(store: "Store", config: Config) -> AsyncIterator[str]:
    """Companies, and people by company, on a service level that is not configured; they get what `essential` gives."""
    levels = config.service_levels
    names = {}
    for company in await store.companies.list():
        names[company.id] = company.name
        if company.service_level not in levels:
            yield _not_a_level(f"the company {company.name} is", company.service_level, levels)
    for company_id, level, people in await store.accounts.levels_in_use():
        if level not in levels:
            who = f"{people} people of {names.get(company_id, company_id)} are"
            yield _not_a_level(who, level, levels)


async def foreign_people(store: "Store", config: Config) -> AsyncIterator[str]:
    """People of another region than this server's are kept in its database, which is what regions are to prevent."""
    if not config.regions:
        return
    known = {company.region for company in await store.companies.list()}
    for region in sorted(known - set(config.regions) - {ONLY_REGION}):
        yield f'companies are at home in "{region}", which is not configured{did_you_mean(region, config.regions)}'
    here = config.home_region
    for region, people in await store.regions.of_people():
        if region not in (here, ONLY_REGION):  # the next start calls the latter by its name
            yield f"{people} people of the region {region} are kept here, in {here}: their data must not lie here"


def _not_a_level(who: str, level: str, known: Iterable[str]) -> str:
    return f'{who} at the service level "{level}", which is not configured{did_you_mean(level, known)}'
