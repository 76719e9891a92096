"""What the database and the configuration of a region say of residency, without looking for anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy as sa

from rainbow_xmpp.company.regions import Regions, WrongRegion
from rainbow_xmpp.config import Config
from rainbow_xmpp.config.regions import ONLY_REGION
from rainbow_xmpp.moving.kinds import UnknownTables, require_declared
from rainbow_xmpp.store import Store, tables
from rainbow_xmpp.store.values import Company

SERVICES: Mapping[str, str] = {
    "home": "keyed hashes of names, and whether somebody is at home",
    "stanzas": "what is said to people of the other region, and to those who may see it",
    "companies": "companies, without their people",
    "moving": "people on their way to the other region, with all that is theirs",
}
"""What crosses a border, by the service: nothing else is served there."""
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was compared. `is_right` is None where nothing says what would be right."""

    is_right: bool | None
    text: str


async def of_database(store: Store, config: Config) -> AsyncIterator[Fact]:
    """Rows that say to be of another region, and people of companies that may not use this one."""
    here = config.home_region
    foreign = 0
    async with store.read() as connection:
        try:
            await require_declared(connection)
        except UnknownTables as unknown:
            yield Fact(False, str(unknown))
        for table in _of_regions():
            region, count = table.c["region"], sa.func.count()
            statement = sa.select(region, count).group_by(region).where(region.not_in((here, ONLY_REGION)))
            for name, rows in await connection.execute(statement):
                foreign += rows
                yield Fact(False, f"{rows} rows of {table.name} are of the region {name}, and lie in {here}")
    if not foreign:
        yield Fact(True, f"every row of people's data is of {here}")
    async for fact in _guests(store, config):
        yield fact


def _of_regions() -> list[sa.Table]:
    """Tables of people's data, and people themselves; companies are known everywhere."""
    return [
        table
        for table in tables.metadata.sorted_tables
        if table is tables.users or (table.info.get("people") and "region" in table.c)
    ]


async def _guests(store: Store, config: Config) -> AsyncIterator[Fact]:
    regions = Regions.of(config)
    counts = await store.accounts.counts()
    for company in await store.companies.list():
        people = counts.get(company.id)
        if people is not None and not _may_live_here(regions, company):
            yield Fact(
                False,
                f"{people.registered} people of {company.name} live here, and the company is at home in "
                f"{company.region} and may not use {regions.here}",
            )


def _may_live_here(regions: Regions, company: Company) -> bool:
    try:
        regions.for_new_person(company)
    except WrongRegion:
        return False
    return True


def of_configuration(config: Config) -> Iterator[Fact]:
    """Hosts that people's data is handed to, against those that are declared for the region."""
    region = config.regions.get(config.home_region)
    if region is None:
        yield Fact(True, "no regions are configured: there is nothing to compare")
        return
    for what, host in _handed_to(config):
        if host in _HERE:
            yield Fact(True, f"{what}: on this machine")
        elif host in region.handed_to:
            yield Fact(True, f"{what}: {host}, which is declared")
        elif region.handed_to:
            yield Fact(False, f"{what}: {host}, which regions.{config.home_region}.handed_to does not have")
        else:
            yield Fact(None, f"{what}: {host}; regions.{config.home_region}.handed_to says nothing")
    if not region.backups:
        yield Fact(None, f"regions.{config.home_region}.backups does not say where backups go")


def _handed_to(config: Config) -> Iterator[tuple[str, str]]:
    if config.mail.transport == "smtp" and config.mail.host:
        yield "letters", config.mail.host
    if config.tracing.enabled:
        yield "traces", urlsplit(config.tracing.endpoint).hostname or ""
    database = urlsplit(config.storage.url).hostname
    if database:
        yield "the database", database
    for server in config.cluster.servers:
        yield "the bus", urlsplit(server).hostname or server
