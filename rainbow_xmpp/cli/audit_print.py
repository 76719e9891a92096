"""Records of the audit log for people on a terminal, for people behind a pipe, and for programs."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from rainbow_xmpp.cli.console import Row, on_terminal, print_json, print_rows

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.audit_chain import Record

COLUMNS = ("time", "kind", "company", "actor", "target", "facts")
_COLOURS = {"user": "green", "company": "cyan", "login": "yellow", "server": "magenta", "config": "magenta"}
_KIND_WIDTH = 21


async def print_all(store: "Store", records: "Sequence[Record]", *, as_json: bool) -> None:
    """All of them at once."""
    if as_json:
        print_json([as_dict(each) for each in records])
    elif on_terminal():
        await _print_each(store, _each(records))
    else:
        companies = {each.id: each.name for each in await store.companies.list()}
        print_rows([_row(each, companies) for each in records], COLUMNS, as_json=False)


async def print_each(store: "Store", records: "AsyncIterator[Record]", *, as_json: bool) -> None:
    """One after the other, as they come."""
    if as_json:
        async for record in records:
            click.echo(json.dumps(as_dict(record), ensure_ascii=False))
    else:
        await _print_each(store, records)


def as_dict(record: "Record") -> dict[str, object]:
    """The whole record."""
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


class _Names:
    """Ids as people know them, looked up once each. Who was removed has only the id left."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._known: dict[str, str] = {}

    async def of(self, company_id: str, id: str) -> str:
        if id not in self._known:
            self._known[id] = await self._look_up(company_id, id)
        return self._known[id]

    async def _look_up(self, company_id: str, id: str) -> str:
        if not id or ":" in id or id == "system":
            return id
        if company := await self._store.companies.by_id(id):
            return company.name
        account = await self._store.accounts.by_id(id)
        member = await self._store.accounts.member(account.company.id, id) if account else None
        return next(iter(member.emails), member.account.localpart) if member else id


async def _print_each(store: "Store", records: "AsyncIterator[Record]") -> None:
    """A heading for each day, then a line for each record: when, what, who did it to whom, and more."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, names, day = Console(highlight=False), _Names(store), ""
    async for record in records:
        entry = record.entry
        moment = datetime.fromtimestamp(entry.at / 1000, UTC)
        if day != (day := f"{moment:%A, %-d %B %Y}"):
            console.print(Text(f"\n{day}", "bold"))
        actor = await names.of(entry.company_id, entry.actor)
        target = await names.of(entry.company_id, entry.target)
        company = await names.of("", entry.company_id)
        what = Text(actor)
        if target and entry.target != entry.actor:
            what.append(" → ", "dim").append(target, "bold")
        if company not in (target, ""):
            what.append(f" ({company})", "dim")
        what.append("".join(f"  {fact}" for fact in _facts(record)), "dim")
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(width=8, style="dim", no_wrap=True)
        line.add_column(min_width=_KIND_WIDTH, no_wrap=True)
        line.add_column(overflow="fold")
        colour = _COLOURS.get(entry.kind.partition(".")[0], "blue")
        line.add_row(f"{moment:%H:%M:%S}", Text(entry.kind, colour), what)
        console.print(line)


async def _each(records: "Sequence[Record]") -> "AsyncIterator[Record]":
    for record in records:
        yield record


def _row(record: "Record", companies: dict[str, str]) -> Row:
    entry = record.entry
    return {
        "time": _time(entry.at),
        "kind": entry.kind,
        "company": companies.get(entry.company_id, entry.company_id),
        "actor": entry.actor,
        "target": entry.target,
        "facts": " ".join(_facts(record)),
    }


def _facts(record: "Record") -> list[str]:
    facts = [f"{name}={value}" for name, value in record.facts.items()]
    return [*facts, f'reason="{record.entry.reason}"'] if record.entry.reason else facts


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
