"""The audit log's table: appended to by every server and the command line, one chain for one database."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.audit_chain import (
    GENESIS,
    ChainKeys,
    Entry,
    Mark,
    MarkName,
    Record,
    chained,
    is_signed,
    marked,
)
from rainbow_xmpp.store.audit_check import Break, ChainCheck
from rainbow_xmpp.store.database import Database

_CHAIN_LOCK = 0x7261696E_626F7723
"""PostgreSQL's advisory lock: one writer after the other appends, so that the chain has no branches."""

PAGE = 2000

_a = tables.audit.c
_m = tables.audit_marks.c
_COLUMNS = (
    _a.id,
    _a.at,
    _a.kind,
    _a.company_id,
    _a.actor,
    _a.target,
    _a.reason,
    _a.facts,
    _a.node,
    _a.previous,
    _a.hash,
    _a.key_id,
    _a.signature,
)

_BOUNDS = sa.select(
    sa.func.min(_a.id),
    sa.func.max(_a.id),
    sa.func.min(_a.id).filter(_a.at >= sa.bindparam("before", type_=sa.BigInteger())),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records to read; None means all. `kind` may end with `.` for all kinds that begin so.

    `since` and `until` are Unix times in milliseconds, the first included, the second not. `after`: only
    records with a greater id.
    """

    company_id: str | None = None
    actor: str | None = None
    target: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is: the ids of the marks, 0 when there is none."""

    pruned: int
    head: int


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of walking the chain: the first break if there is one, and how many records were seen.

    `unjudged`: records signed under a key that is not known here.
    """

    broken: Break | None
    records: int
    unjudged: int
    head: Mark | None


class AuditRecords:
    """The records of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entries: Sequence[Entry], keys: ChainKeys) -> bool:
        """Put these at the end of the chain, in one transaction; False when that end is not to be trusted.

        They do not follow it then, which a check finds for as long as it lasts: an end that somebody cut off
        or exchanged must not become sound by being written on.
        """
        async with self._database.write() as connection:
            return await append(connection, entries, keys)

    async def head(self) -> Mark | None:
        """The mark at the newest record, None before the first."""
        async with self._database.read() as connection:
            return await _mark(connection, MarkName.HEAD)

    async def extent(self) -> Extent:
        """Between which ids the records lie."""
        async with self._database.read() as connection:
            pruned = await _mark(connection, MarkName.PRUNED)
            head = await _mark(connection, MarkName.HEAD)
        return Extent(pruned.id if pruned else 0, head.id if head else 0)

    async def last(self, wanted: Wanted, most: int) -> list[Record]:
        """The newest of these records, oldest first."""
        query = _select(wanted).order_by(_a.id.desc()).limit(most)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [_record(row) for row in reversed(rows)]

    async def first(self, wanted: Wanted, most: int) -> list[Record]:
        """The oldest of these records; ask again with `after` the last one's id."""
        query = _select(wanted).order_by(_a.id).limit(most)
        async with self._database.read() as connection:
            return [_record(row) for row in await connection.execute(query)]

    async def each(self, wanted: Wanted) -> AsyncIterator[Record]:
        """All of these records as they are now, oldest first, in the memory of one page."""
        async with self._database.read(snapshot=True) as connection:
            async for record in _each(connection, wanted):
                yield record

    async def check(self, keys: ChainKeys, seen: Callable[[int], None] = lambda _: None) -> Checked:
        """Walk the whole chain up to the first break; `seen` is told now and then how many records it was."""
        async with self._database.read(snapshot=True) as connection:
            head = await _mark(connection, MarkName.HEAD)
            chain = ChainCheck(keys, await _mark(connection, MarkName.PRUNED))
            broken = chain.begin()
            async for record in _each(connection, Wanted()):
                if broken := broken or chain.see(record):
                    break
                if not chain.records % PAGE:
                    seen(chain.records)
            return Checked(broken or chain.end(head), chain.records, chain.unjudged, head)

    async def hash_at(self, id: int) -> str | None:
        """The hash of the record with this id."""
        async with self._database.read() as connection:
            found: str | None = await connection.scalar(sa.select(_a.hash).where(_a.id == id))
        return found

    async def sign_marks_anew(self, keys: ChainKeys) -> None:
        """Sign the marks under the current key, those that a known key has signed; then an old key can go."""
        async with self._database.write() as connection:
            await _lock(connection)
            for name in MarkName:
                mark = await _mark(connection, name)
                if mark is not None and keys.knows(mark.key_id) and is_signed(mark, keys):
                    await _set_mark(connection, marked(name, mark.id, mark.hash, keys))

    async def prune(self, before: int, keys: ChainKeys, *, most: int) -> int:
        """Drop the oldest records up to the first one not older than this Unix time (ms); returns how many.

        At most `most`, and never the newest. What is dropped is the beginning of the chain, and a signed mark
        tells where it begins now.
        """
        async with self._database.write() as connection:
            await _lock(connection)
            oldest, newest, kept = (await connection.execute(_BOUNDS, {"before": before})).one()
            if oldest is None:
                return 0
            last_id = min(kept or newest, newest, oldest + most) - 1
            hash = await connection.scalar(sa.select(_a.hash).where(_a.id == last_id))
            if hash is None:
                return 0
            gone = await connection.execute(sa.delete(tables.audit).where(_a.id <= last_id))
            await _set_mark(connection, marked(MarkName.PRUNED, last_id, hash, keys))
            return gone.rowcount


async def append(connection: AsyncConnection, entries: Sequence[Entry], keys: ChainKeys) -> bool:
    """The same as `AuditRecords.append` in a transaction that somebody has begun, as its last step."""
    await _lock(connection)
    id, hash = await _end(connection, keys)
    is_sound = hash != GENESIS or id == 0
    records = []
    for entry in entries:
        id += 1
        record = chained(entry, id, hash, keys)
        hash = record.hash
        records.append(_row(record))
    await connection.execute(sa.insert(tables.audit), records)
    await _set_mark(connection, marked(MarkName.HEAD, id, hash, keys))
    return is_sound


async def _lock(connection: AsyncConnection) -> None:
    """SQLite's writer is alone from BEGIN IMMEDIATE on."""
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))


async def _end(connection: AsyncConnection, keys: ChainKeys) -> tuple[int, str]:
    """Id and hash of the newest record, by its mark, so that a cut-off end stays a gap.

    Without a mark that a known key has signed: the hash that follows nothing.
    """
    mark = await _mark(connection, MarkName.HEAD)
    if mark is not None and keys.knows(mark.key_id) and is_signed(mark, keys):
        return mark.id, mark.hash
    return await connection.scalar(sa.select(sa.func.max(_a.id))) or 0, GENESIS


async def _mark(connection: AsyncConnection, name: MarkName) -> Mark | None:
    query = sa.select(_m.id, _m.hash, _m.key_id, _m.signature).where(_m.name == name)
    row = (await connection.execute(query)).one_or_none()
    return Mark(name, *row) if row else None


async def _set_mark(connection: AsyncConnection, mark: Mark) -> None:
    values = {"id": mark.id, "hash": mark.hash, "key_id": mark.key_id, "signature": mark.signature}
    done = await connection.execute(
        sa.update(tables.audit_marks).where(_m.name == mark.name).values(**values)
    )
    if done.rowcount == 0:
        await connection.execute(sa.insert(tables.audit_marks), {"name": mark.name, **values})


async def _each(connection: AsyncConnection, wanted: Wanted) -> AsyncIterator[Record]:
    query = _select(wanted).where(_a.id > sa.bindparam("from")).order_by(_a.id).limit(PAGE)
    at = wanted.after
    while rows := (await connection.execute(query, {"from": at})).all():
        for row in rows:
            yield _record(row)
        at = rows[-1].id


def _select(wanted: Wanted) -> sa.Select[Any]:
    query = sa.select(*_COLUMNS).where(_a.id > wanted.after)
    for column, value in (
        (_a.company_id, wanted.company_id),
        (_a.actor, wanted.actor),
        (_a.target, wanted.target),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.kind is not None:
        is_prefix = wanted.kind.endswith(".")
        query = query.where(
            _a.kind.startswith(wanted.kind, autoescape=True) if is_prefix else _a.kind == wanted.kind
        )
    if wanted.since is not None:
        query = query.where(_a.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_a.at < wanted.until)
    return query


def _row(record: Record) -> dict[str, object]:
    entry = record.entry
    return {
        "id": record.id,
        "at": entry.at,
        "kind": entry.kind,
        "company_id": entry.company_id,
        "actor": entry.actor,
        "target": entry.target,
        "reason": entry.reason,
        "facts": entry.facts,
        "node": entry.node,
        "previous": record.previous,
        "hash": record.hash,
        "key_id": record.key_id,
        "signature": record.signature,
    }


def _record(row: Sequence[Any]) -> Record:
    id, at, kind, company_id, actor, target, reason, facts, node, previous, hash, key_id, signature = row
    entry = Entry(
        at=at,
        kind=kind,
        company_id=company_id,
        actor=actor,
        target=target,
        reason=reason,
        facts=facts,
        node=node,
    )
    return Record(id, entry, previous, hash, key_id, signature)
