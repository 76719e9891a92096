"""`audit show`, `verify`, `export` and `head`: reading the audit log, which nothing can change unnoticed."""

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from rainbow_xmpp.cli.audit_filter import filters, wanted
from rainbow_xmpp.cli.audit_print import as_dict, print_all, print_each
from rainbow_xmpp.cli.console import Failed, json_option, note, print_json
from rainbow_xmpp.cli.context import Invocation, pass_invocation
from rainbow_xmpp.cli.residency import residency

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.audit import Checked, Wanted
    from rainbow_xmpp.store.audit_chain import Record

FOLLOW_EVERY_S = 1.0
_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


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


@click.group()
def audit() -> None:
    """The audit log: who did what, in records that cannot be changed unnoticed."""


audit.add_command(residency)


@audit.command()
@filters
@click.option(
    "--last", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many."
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@json_option
@pass_invocation
def show(invocation: Invocation, /, last: int, follow: bool, as_json: bool, **given: Any) -> None:
    """Show the newest records, oldest first."""

    async def work(store: "Store") -> None:
        asked = await wanted(store, **given)
        records = await store.audit.last(asked, last)
        if follow:
            await print_each(store, _following(store, asked, records), as_json=as_json)
        else:
            await print_all(store, records, as_json=as_json)

    try:
        invocation.with_store(invocation.config(), work)
    except KeyboardInterrupt:
        sys.exit(130)


@audit.command()
@filters
@pass_invocation
def export(invocation: Invocation, /, **given: Any) -> None:
    """Print records as JSON lines, oldest first, with their hashes."""

    async def work(store: "Store") -> None:
        async for record in store.audit.each(await wanted(store, **given)):
            click.echo(json.dumps(as_dict(record), ensure_ascii=False))

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


async def _following(store: "Store", asked: "Wanted", records: "Sequence[Record]") -> "AsyncIterator[Record]":
    import asyncio
    from dataclasses import replace

    at = (await store.audit.extent()).head if not records else 0
    while True:
        for record in records:
            yield record
            at = record.id
        await asyncio.sleep(FOLLOW_EVERY_S)
        records = [each async for each in store.audit.each(replace(asked, after=at))]


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
