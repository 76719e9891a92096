"""`audit show`, `verify`, `export` and `head`: reading the audit log, which nothing can change unnoticed."""

import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from rainbow_xmpp.cli.console import Failed, Row, json_option, note, print_json, print_rows
from rainbow_xmpp.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.audit import Checked, Wanted
    from rainbow_xmpp.store.audit_chain import Record

COLUMNS = ("time", "kind", "company", "actor", "target", "facts")
FOLLOW_EVERY_S = 1.0
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


class _Moment(click.ParamType[int]):
    """`2026-11-23`, `2026-11-23T16:00` (UTC unless it says otherwise) or an age such as `36h`: ms since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if age := re.fullmatch(r"(\d{1,9})([smhdw])", value):
            return int((time.time() - int(age[1]) * _AGES[age[2]]) * 1000)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f'"{value}" is no time; write 2026-11-23, 2026-11-23T16:00 or an age: 30m, 36h, 7d')
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class _Head(click.ParamType[tuple[int, str]]):
    """What `audit head` printed."""

    name = "head"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, str]:
        if isinstance(value, tuple):
            return value
        if not (found := _HEAD.fullmatch(value.strip())):
            self.fail(f'"{value}" is not what audit head prints (NUMBER:HASH)')
        return int(found[1]), found[2]


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--until", type=_Moment(), help="Before this time."),
        click.option(
            "--since", type=_Moment(), help="From this time on: 2026-11-23, 2026-11-23T16:00, 36h, 7d."
        ),
        click.option("--kind", help="Of this kind, or, with a dot at the end, of all that begin so: user."),
        click.option("--target", metavar="WHO", help="Done to this id, e-mail address or localpart."),
        click.option(
            "--actor", metavar="WHO", help="Done by this id, address, localpart, cli:USER or system."
        ),
        click.option("--company", metavar="NAME", help="Concerning this company."),
    ):
        command = option(command)
    return command


@click.group()
def audit() -> None:
    """The audit log: who did what, in records that cannot be changed unnoticed."""


@audit.command()
@_filters
@click.option(
    "--last", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many."
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@json_option
@pass_invocation
def show(invocation: Invocation, /, last: int, follow: bool, as_json: bool, **filters: Any) -> None:
    """Show the newest records, oldest first."""

    async def work(store: "Store") -> None:
        companies = {each.id: each.name for each in await store.companies.list()}
        wanted = await _wanted(store, **filters)
        records = await store.audit.last(wanted, last)
        if not follow and as_json:
            return print_json([_as_json(each) for each in records])
        if not follow:
            return print_rows([_row(each, companies) for each in records], COLUMNS, as_json=False)
        async for record in _following(store, wanted, records):
            _print_line(record, companies, as_json)
        return None

    try:
        invocation.with_store(invocation.config(), work)
    except KeyboardInterrupt:
        sys.exit(130)


@audit.command()
@_filters
@pass_invocation
def export(invocation: Invocation, /, **filters: Any) -> None:
    """Print records as JSON lines, oldest first, with their hashes."""

    async def work(store: "Store") -> None:
        async for record in store.audit.each(await _wanted(store, **filters)):
            click.echo(json.dumps(_as_json(record), ensure_ascii=False))

    invocation.with_store(invocation.config(), work)


@audit.command()
@json_option
@pass_invocation
def head(invocation: Invocation, as_json: bool) -> None:
    """Print the newest record's number and hash, to be noted elsewhere and given to verify --head."""
    mark = invocation.with_store(invocation.config(), lambda store: store.audit.head())
    if mark is None:
        raise Failed("The audit log is empty.")
    if as_json:
        print_json({"id": mark.id, "hash": mark.hash})
    else:
        click.echo(f"{mark.id}:{mark.hash}")


@audit.command()
@click.option("--head", "noted", type=_Head(), metavar="NUMBER:HASH", help="What audit head printed before.")
@json_option
@pass_invocation
def verify(invocation: Invocation, noted: tuple[int, str] | None, as_json: bool) -> None:
    """Check every record and the chain they form; the first damage ends the command with 1."""
    from rainbow_xmpp.cli.recording import audit_log

    config = invocation.config()

    async def work(store: "Store") -> "tuple[Checked, str]":
        extent = await store.audit.extent()
        with _progress(extent.head - extent.pruned) as seen:
            checked = await store.audit.check(audit_log(store, config).keys, seen)
        return checked, await _against(store, noted) if noted and not checked.broken else ""

    checked, objection = invocation.with_store(config, work)
    problem = checked.broken.text if checked.broken else objection
    if as_json:
        print_json(_verdict(checked, problem))
        sys.exit(1 if problem else 0)
    if problem:
        raise Failed(f"The audit log is damaged: {problem}.")
    note(f"{checked.records} records, unbroken." + _unjudged(checked.unjudged))
    if checked.head:
        click.echo(f"{checked.head.id}:{checked.head.hash}")


async def _against(store: "Store", noted: tuple[int, str]) -> str:
    """What a head that was noted earlier has against an unbroken chain; empty when nothing."""
    id, hash = noted
    extent = await store.audit.extent()
    if id > extent.head:
        return f"record {id} was written, but the log ends with record {extent.head}"
    if id <= extent.pruned:
        note(f"Record {id} was dropped for its age, so the noted head says nothing; note a newer one.")
        return ""
    return "" if await store.audit.hash_at(id) == hash else f"record {id} is not the one that was noted"


def _verdict(checked: "Checked", problem: str) -> dict[str, object]:
    broken = checked.broken
    return {
        "ok": not problem,
        "records": checked.records,
        "unjudged": checked.unjudged,
        "broken_at": broken.id if broken else None,
        "damage": str(broken.damage) if broken else None,
        "problem": problem or None,
        "head": f"{checked.head.id}:{checked.head.hash}" if checked.head else None,
    }


def _unjudged(count: int) -> str:
    if not count:
        return ""
    return f" {count} were signed under a sealing key that is not configured any more: held by hashes only."


async def _wanted(
    store: "Store", company: str | None, actor: str | None, target: str | None, **others: Any
) -> "Wanted":
    from rainbow_xmpp.cli.company import company_named
    from rainbow_xmpp.store.audit import Wanted

    return Wanted(
        company_id=(await company_named(store, company)).id if company else None,
        actor=await _id_of(store, actor),
        target=await _id_of(store, target),
        **others,
    )


async def _id_of(store: "Store", who: str | None) -> str | None:
    """The id of the account called so; what is no account's name is an id already."""
    if who is None or ":" in who or who == "system":
        return who
    record = await store.accounts.for_login(who)
    return record.account.id if record else who


async def _following(
    store: "Store", wanted: "Wanted", records: "Sequence[Record]"
) -> "AsyncIterator[Record]":
    import asyncio
    from dataclasses import replace

    at = (await store.audit.extent()).head if not records else 0
    while True:
        for record in records:
            yield record
            at = record.id
        await asyncio.sleep(FOLLOW_EVERY_S)
        records = [each async for each in store.audit.each(replace(wanted, after=at))]


def _print_line(record: "Record", companies: dict[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(record), ensure_ascii=False))
    else:
        row = _row(record, companies)
        click.echo("  ".join(str(row[column]) for column in COLUMNS if row[column] != ""))
    sys.stdout.flush()


def _row(record: "Record", companies: dict[str, str]) -> Row:
    entry = record.entry
    facts = [f"{name}={value}" for name, value in record.facts.items()]
    if entry.reason:
        facts.append(f'reason="{entry.reason}"')
    return {
        "time": _time(entry.at),
        "kind": entry.kind,
        "company": companies.get(entry.company_id, entry.company_id),
        "actor": entry.actor,
        "target": entry.target,
        "facts": " ".join(facts),
    }


def _as_json(record: "Record") -> dict[str, object]:
    entry = record.entry
    return {
        "id": record.id,
        "time": _time(entry.at),
        "at": entry.at,
        "kind": entry.kind,
        "company_id": entry.company_id,
        "actor": entry.actor,
        "target": entry.target,
        "reason": entry.reason,
        "facts": record.facts,
        "node": entry.node,
        "previous": record.previous,
        "hash": record.hash,
        "key_id": record.key_id,
        "signature": record.signature,
    }


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr when that is a terminal; call what it gives with how many are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Verifying records", total=total)
        yield lambda done: bar.update(task, completed=done)
