"""What `check` looks at. Each check yields its findings and changes nothing."""

import asyncio
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rainbow_xmpp.cli.check_companies import foreign_people, unknown_companies, unknown_levels
from rainbow_xmpp.cli.context import plugin_folders, refusals_explained, shown_url
from rainbow_xmpp.config import Config, ConfigProblems
from rainbow_xmpp.errors import RainbowError

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store

RENEW_DAYS = 14


class Mark(StrEnum):
    """How bad a finding is."""

    GOOD = "✓"
    WARNING = "!"
    BAD = "✗"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, in an administrator's words."""

    mark: Mark
    part: str
    text: str

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"result": self.mark.name.lower(), "part": self.part, "text": self.text}


def check_configuration(config: Config) -> Iterator[Finding]:
    """Files, types and bounds were judged when it was loaded; left are the sealing keys and plugins."""
    yield Finding(Mark.GOOD, "config", f"every key is known and in bounds; the domain is {config.domain}")
    if not config.is_edge:
        yield _sealing_key(config)
        yield from _levels(config)
    if config.regions:
        with_data = sum(region.kind.keeps_data for region in config.regions.values())
        told = f"{len(config.regions)} regions, {with_data} of them with data"
        yield Finding(Mark.GOOD, "config", f"{told}; this server is of {config.home_region}")
    if config.border.is_on:
        yield _border(config)
    if config.is_edge:
        yield Finding(Mark.GOOD, "config", "an edge: it keeps nothing, and runs no plugins")
    else:
        yield from _plugins(config)


def _sealing_key(config: Config) -> Finding:
    from rainbow_xmpp.auth.seal import InvalidSealingKey
    from rainbow_xmpp.cli.passwords import sealer_of

    try:
        return Finding(Mark.GOOD, "config", f"the sealing key is {sealer_of(config).key_id}")
    except InvalidSealingKey as error:
        return Finding(Mark.BAD, "config", str(error))


def _border(config: Config) -> Finding:
    from rainbow_xmpp.border.nats import seals_of
    from rainbow_xmpp.border.seal import InvalidRegionKey

    try:
        regions = seals_of(config).regions
    except InvalidRegionKey as error:
        return Finding(Mark.BAD, "config", str(error))
    return Finding(Mark.GOOD, "config", f"the keys of the border fit; {len(regions)} other regions have some")


def _levels(config: Config) -> Iterator[Finding]:
    """A name that is nearly a shipped one is seldom meant as another."""
    from rainbow_xmpp.config import did_you_mean
    from rainbow_xmpp.config.levels import SHIPPED_LEVELS

    for name in config.service_levels:
        hint = "" if name in SHIPPED_LEVELS else did_you_mean(name, SHIPPED_LEVELS)
        if hint:
            yield Finding(Mark.WARNING, "config", f"service_levels.{name} is a level of its own{hint}")


def _plugins(config: Config) -> Iterator[Finding]:
    from rainbow_xmpp.plugin.select import select_plugins

    try:
        names = sorted(plugin.name for plugin in select_plugins(config))
    except ConfigProblems as wrong:
        yield from (Finding(Mark.BAD, "config", str(problem)) for problem in wrong.problems)
    except (RainbowError, ImportError, SyntaxError) as error:
        yield Finding(Mark.BAD, "config", f"a plugin cannot be loaded: {error}")
    else:
        yield Finding(Mark.GOOD, "config", f"plugins: {', '.join(names) or 'none'}")


def check_certificates(config: Config) -> Iterator[Finding]:
    """The certificate and its key belong together, are strong enough, and clients will accept them."""
    from rainbow_xmpp.transport.tls import TlsFileError, load_or_explain

    try:
        facts = load_or_explain(config.tls.certificate, config.tls.key)
    except TlsFileError as error:
        yield Finding(Mark.BAD, "certs", str(error))
        return
    yield Finding(
        Mark.GOOD, "certs", f"{config.tls.certificate} and {config.tls.key} belong together: {facts.key}"
    )
    now = datetime.now(UTC)
    for concern in facts.concerns(config.certificate_names, now):
        yield Finding(Mark.BAD, "certs", f"{config.tls.certificate} {concern}")
    days = facts.days_left(now)
    if facts.not_before <= now < facts.not_after:
        mark = Mark.WARNING if days < RENEW_DAYS else Mark.GOOD
        until = f"is valid until {facts.not_after:%Y-%m-%d}, for {days} more days"
        yield Finding(mark, "certs", f"{config.tls.certificate} {until}")
    for name in filter(facts.covers, config.certificate_names):
        yield Finding(Mark.GOOD, "certs", f"{config.tls.certificate} names {name}")
    yield closed_to_others(Path(config.tls.key))


def closed_to_others(key: Path) -> Finding:
    """Only its owner, or its group too, may read a file with a key."""
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o027:
        return Finding(Mark.BAD, "certs", f"{key} is open to others (mode {mode:o}): chmod 600 {key}")
    return Finding(Mark.GOOD, "certs", f"{key} is closed to others (mode {mode:o})")


def check_database(config: Config) -> Iterator[Finding]:
    """The database answers, its schema is current, and the credentials in it can be opened."""
    if config.is_edge:
        yield Finding(Mark.GOOD, "db", "none: an edge keeps no data")
        return
    path = config.storage.sqlite_path
    if path is not None and not Path(path).exists():
        yield Finding(Mark.BAD, "db", f"{path} does not exist yet: db upgrade makes it")
        return
    try:
        with refusals_explained(config):
            found = asyncio.run(_database(config))
        yield from found
    except RainbowError as error:
        yield Finding(Mark.BAD, "db", str(error))


async def _database(config: Config) -> list[Finding]:
    from rainbow_xmpp.store import Store

    store = await Store.open(config.storage.url, require_schema=False)
    try:
        state = await store.schema_state(plugin_folders(config))
        state.require()
        found = [Finding(Mark.GOOD, "db", f"{shown_url(config)} is at {', '.join(sorted(state.current))}")]
        found.append(await _credentials(store, config))
        found += [Finding(Mark.WARNING, "db", text) async for text in unknown_companies(store, config)]
        found += [Finding(Mark.WARNING, "db", text) async for text in unknown_levels(store, config)]
        found += [Finding(Mark.BAD, "db", text) async for text in foreign_people(store, config)]
        return found
    finally:
        await store.close()


async def _credentials(store: "Store", config: Config) -> Finding:
    from rainbow_xmpp.cli.passwords import sealer_of

    sealer = sealer_of(config)
    for row in await store.credentials.sealed_otherwise(sealer.key_id):
        sealer.open(row.key_id, row.sealed, row.account_id)
    return Finding(Mark.GOOD, "db", "the credentials in it are sealed under a key that is here")
