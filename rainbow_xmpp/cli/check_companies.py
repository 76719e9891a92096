"""What `check db` says of companies that plugins are to serve: a name that nobody has serves nobody."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from rainbow_xmpp.config import Config, did_you_mean

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
