"""`check residency`: what the database and the configuration say of where data lies."""

import asyncio
from collections.abc import Iterator

from rainbow_xmpp.cli.checks import Finding, Mark
from rainbow_xmpp.cli.context import plugin_folders, refusals_explained
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.residency import policy

_MARKS = {True: Mark.GOOD, False: Mark.BAD, None: Mark.WARNING}


def check_residency(config: Config) -> Iterator[Finding]:
    """Rows of another region, people who may not live here, hosts that nobody declared."""
    from rainbow_xmpp.plugin.discovery import find_plugins

    if not config.regions:
        yield Finding(Mark.GOOD, "residency", "there is one region: everything is at home in it")
        return
    try:
        find_plugins(map(str, plugin_folders(config)))
        with refusals_explained(config):
            facts = asyncio.run(_of_database(config))
    except RainbowError as error:
        yield Finding(Mark.BAD, "residency", str(error))
        return
    for fact in [*facts, *policy.of_configuration(config)]:
        yield Finding(_MARKS[fact.is_right], "residency", fact.text)


async def _of_database(config: Config) -> list[policy.Fact]:
    from rainbow_xmpp.store import Store

    store = await Store.open(config.storage.url, plugin_paths=plugin_folders(config))
    try:
        return [fact async for fact in policy.of_database(store, config)]
    finally:
        await store.close()
