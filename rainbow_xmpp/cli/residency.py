"""`audit residency`: plant texts in one region, and look for them in all others."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.console import Failed, json_option, note, print_json, reason_option
from rainbow_xmpp.cli.context import Invocation, pass_invocation, plugin_folders
from rainbow_xmpp.config import Config

if TYPE_CHECKING:
    from rainbow_xmpp.residency.canaries import Canaries
    from rainbow_xmpp.residency.report import Report
    from rainbow_xmpp.store import Store

_PATH = click.Path(path_type=Path)


@click.command()
@click.option(
    "--plant", is_flag=True, help="Plant texts in this region, in an account that nobody can log in to."
)
@click.option("--remove", is_flag=True, help="Take the account away again that --plant made.")
@click.option(
    "--canaries",
    "files",
    type=_PATH,
    multiple=True,
    metavar="FILE",
    help="What --plant writes, and others read.",
)
@click.option(
    "--company", default="", metavar="NAME", help="With --plant: whose account it is. [default: nobody's]"
)
@click.option(
    "--search",
    "paths",
    type=_PATH,
    multiple=True,
    metavar="PATH",
    help="Look through this file or folder, too.",
)
@click.option(
    "--with",
    "others",
    type=_PATH,
    multiple=True,
    metavar="CONFIG",
    help="All in one, on one machine: the configurations of the other regions. Plants, searches and takes away.",
)
@click.option("--report", "report_file", type=_PATH, metavar="FILE", help="Write the signed report there.")
@click.option(
    "--verify", "verified", type=_PATH, metavar="FILE", help="Say whether this server signed that report."
)
@reason_option
@json_option
@pass_invocation
def residency(
    invocation: Invocation,
    plant: bool,
    remove: bool,
    files: tuple[Path, ...],
    company: str,
    paths: tuple[Path, ...],
    others: tuple[Path, ...],
    report_file: Path | None,
    verified: Path | None,
    reason: str,
    as_json: bool,
) -> None:
    """Look whether other regions' data lies in this one.

    Plant in one region, use the service, make a backup, and search in all others:

    \b
    rainbow-xmpp --config emea.toml audit residency --plant --canaries emea.json
    rainbow-xmpp --config na.toml audit residency --canaries emea.json --search /var/log/rainbow
    rainbow-xmpp --config emea.toml audit residency --remove --canaries emea.json

    The database and the folders of regions.NAME.backups are looked through by themselves. The exit code is 1 when
    something is where it must not be, or could not be looked at.
    """
    config = invocation.config()
    if verified is not None:
        return _verify(config, verified)
    if others:
        return _all_in_one(invocation, config, others, paths, as_json)
    if not files:
        raise click.UsageError("name the file of the texts: --canaries FILE")
    if plant:
        return _plant(invocation, config, files[0], company, reason)
    if remove:
        return _remove(invocation, config, files[0], reason)
    known = [_read(file) for file in files]
    report = _searched(invocation, config, known, paths)
    _recorded(invocation, config, report, reason)
    return _tell(config, [report], report_file, as_json)


def _plant(invocation: Invocation, config: Config, file: Path, company: str, reason: str) -> None:
    canaries = _planted(invocation, config, company, reason)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write(canaries.to_json())
    click.echo(f"{len(canaries.planted)} texts were planted in {canaries.region}; {file} says which.")


def _remove(invocation: Invocation, config: Config, file: Path, reason: str) -> None:
    canaries = _read(file)
    if canaries.region != config.home_region:
        raise Failed(f"{file} is of {canaries.region}, and this is {config.home_region}.")
    removed = _taken_away(invocation, config, canaries, reason)
    click.echo(f"{removed} accounts were removed; texts that were planted in logs follow within minutes.")


def _planted(invocation: Invocation, config: Config, company: str = "", reason: str = "") -> "Canaries":
    return invocation.with_store(config, lambda store: planted_in(store, config, company, reason))


def _taken_away(invocation: Invocation, config: Config, canaries: "Canaries", reason: str = "") -> int:
    return invocation.with_store(config, lambda store: _unplanted(store, config, canaries, reason))


async def planted_in(store: "Store", config: Config, company: str = "", reason: str = "") -> "Canaries":
    """Make the account, with a row in every declared table, and shut it out."""
    from rainbow_xmpp.cli.passwords import sealer_of
    from rainbow_xmpp.cli.recording import people
    from rainbow_xmpp.moving.keys import RegionKeys
    from rainbow_xmpp.observe.audit import cli_actor
    from rainbow_xmpp.plugin.discovery import find_plugins
    from rainbow_xmpp.regions.names import names_keys
    from rainbow_xmpp.residency.canaries import Canaries
    from rainbow_xmpp.residency.planting import plant_rows
    from rainbow_xmpp.store.values import PUBLIC_COMPANY, NewAccount

    find_plugins(map(str, plugin_folders(config)))
    canaries = Canaries(config.home_region)
    new = NewAccount(
        company=company or PUBLIC_COMPANY,
        email=f"{canaries.new('emails.address')}@residency.invalid",
        localpart=canaries.new("users.localpart"),
        name=canaries.new("users.name"),
    )
    desk, actor = people(store, config), cli_actor()
    account = (await desk.add(new, actor=actor, reason=reason or "audit of residency")).account
    canaries.accounts.append(account.id)
    for key in names_keys(config.border.names_key):
        canaries.hashes["the localpart"] = key.hash(account.localpart).hex()
        canaries.hashes["the address"] = key.hash(new.email).hex()
    await plant_rows(store, RegionKeys(sealer_of(config)), account, canaries)
    await desk.disable(account, actor=actor, reason=reason or "audit of residency")
    return canaries


async def _unplanted(store: "Store", config: Config, canaries: "Canaries", reason: str) -> int:
    from rainbow_xmpp.cli.recording import people
    from rainbow_xmpp.observe.audit import cli_actor

    removed = 0
    for account_id in canaries.accounts:
        account = await store.accounts.by_id(account_id)
        if account is not None:
            await people(store, config).remove(
                account, actor=cli_actor(), reason=reason or "audit of residency"
            )
            removed += 1
    return removed


def _searched(
    invocation: Invocation, config: Config, known: "list[Canaries]", paths: tuple[Path, ...]
) -> "Report":
    from rainbow_xmpp.plugin.discovery import find_plugins
    from rainbow_xmpp.residency import policy
    from rainbow_xmpp.residency.places import Search
    from rainbow_xmpp.residency.proof import prove
    from rainbow_xmpp.residency.report import Report

    own = [each.region for each in known if each.region == config.home_region]
    if own:
        raise Failed(f"These are texts of {own[0]} itself, where they belong; search in another region.")
    find_plugins(map(str, plugin_folders(config)))
    proven = prove()
    search = Search(known)

    async def look(store: "Store") -> list[policy.Fact]:
        if config.storage.sqlite_path is None:
            await search.postgresql(config.storage.url)
        facts = [fact async for fact in policy.of_database(store, config)]
        return [*facts, *policy.of_configuration(config)]

    facts = invocation.with_store(config, look)
    for path in _places(config, paths):
        search.path(path)
    return Report.of(config.home_region, search, proven, facts)


def _recorded(invocation: Invocation, config: Config, report: "Report", reason: str) -> None:
    from rainbow_xmpp.cli.recording import record
    from rainbow_xmpp.observe.audit import Kind

    async def work(store: "Store") -> None:
        await record(
            store,
            config,
            Kind.RESIDENCY_AUDITED,
            reason=reason,
            clean=report.is_clean,
            found=sum(not finding.excuse for finding in report.findings),
            unsearched=len(report.unsearched),
            report=report.digest,
        )

    invocation.with_store(config, work)


def _places(config: Config, paths: tuple[Path, ...]) -> list[Path]:
    """The database's file and what lies beside it, backups in folders of this machine, and what was named."""
    found = list(paths)
    if config.storage.sqlite_path is not None:
        database = Path(config.storage.sqlite_path)
        found += [p for p in sorted(database.parent.glob(f"{database.name}*")) if p.is_file()]
    region = config.regions.get(config.home_region)
    found += [Path(place) for place in (region.backups if region else ()) if "://" not in place]
    return list(dict.fromkeys(found))


def _all_in_one(
    invocation: Invocation, config: Config, others: tuple[Path, ...], paths: tuple[Path, ...], as_json: bool
) -> None:
    invocations = [invocation, *(Invocation(file, invocation.environ) for file in others)]
    configs = [config, *(each.config() for each in invocations[1:])]
    planted: list[Canaries] = []
    try:
        for each, its in zip(invocations, configs, strict=True):
            planted.append(_planted(each, its))
        reports = []
        for each, its in zip(invocations, configs, strict=True):
            known = [canaries for canaries in planted if canaries.region != its.home_region]
            reports.append(_searched(each, its, known, paths))
    finally:
        for each, its, canaries in zip(invocations, configs, planted, strict=False):
            _taken_away(each, its, canaries)
    _tell(config, reports, None, as_json)


def _tell(config: Config, reports: "list[Report]", file: Path | None, as_json: bool) -> None:
    from rainbow_xmpp.cli.passwords import sealer_of
    from rainbow_xmpp.residency.report import PURPOSE

    if file is not None:
        file.write_text(reports[0].signed(sealer_of(config).secret_for(PURPOSE)))
        note(f"The signed report is in {file}.")
    if as_json:
        print_json([report.as_json() for report in reports])
    else:
        for report in reports:
            for text in report.lines():
                click.echo(text)
    if not all(report.is_clean for report in reports):
        raise click.exceptions.Exit(1)


def _verify(config: Config, file: Path) -> None:
    from rainbow_xmpp.cli.passwords import sealer_of
    from rainbow_xmpp.residency.report import PURPOSE, is_signed

    sealer = sealer_of(config)
    if not any(is_signed(file.read_text(), key) for key in sealer.secrets_for(PURPOSE).values()):
        raise Failed(f"{file} was not signed by this server, or was changed since.")
    click.echo(f"{file} is as this server wrote it.")


def _read(file: Path) -> "Canaries":
    from rainbow_xmpp.residency.canaries import Canaries

    return Canaries.from_json(file.read_text())
