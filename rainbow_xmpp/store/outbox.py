"""What is on its way to other regions, and what came from them: written with the message that it is about.

A row stays until the other region says that it has the parcel on its disk; what comes from there a second time is known
by its number. Whoever writes a message down does both in the same transaction, by the functions at the top.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.upsert import insert_or_ignore

_o, _a = tables.outbox.c, tables.arrivals.c


class Leaving(NamedTuple):
    """A parcel for another region. `at` is Unix time in seconds."""

    owner_id: str
    """Whose it is: the sender's account."""
    to_region: str
    parcel: bytes
    at: int


class Arrived(NamedTuple):
    """A parcel of another region, with the number that was drawn for it here; `at` is Unix time in seconds."""

    origin: str
    id: int
    number: int
    at: int


_LEAVE = """INSERT INTO outbox (company_id, owner_id, region, created_at, to_region, parcel)
    SELECT company_id, id, region, ?, ?, ? FROM users WHERE id = ?"""
_ARRIVE = "INSERT OR IGNORE INTO arrivals (origin, id, number, at) VALUES (?, ?, ?, ?)"
_KNOWN = "SELECT number FROM arrivals WHERE origin = ? AND id = ?"


def leave_sqlite(connection: sqlite3.Connection, leaving: Sequence[Leaving]) -> None:
    """Write these down inside the transaction that is open; whose sender is gone is left out."""
    connection.executemany(
        _LEAVE, [(each.at, each.to_region, each.parcel, each.owner_id) for each in leaving]
    )


def arrive_sqlite(connection: sqlite3.Connection, arrived: Arrived) -> bool:
    """Write this down; whether it had come before."""
    if connection.execute(_ARRIVE, arrived).rowcount:
        return False
    (number,) = connection.execute(_KNOWN, arrived[:2]).fetchone()
    return bool(number != arrived.number)


_PG_LEAVE = """INSERT INTO outbox (company_id, owner_id, region, created_at, to_region, parcel)
    SELECT u.company_id, u.id, u.region, x.at, x.to_region, x.parcel
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[])
        WITH ORDINALITY AS x (owner_id, to_region, parcel, at, n)
    JOIN users u ON u.id = x.owner_id ORDER BY x.n"""
_PG_ARRIVE = """INSERT INTO arrivals (origin, id, number, at) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING number"""


async def leave_postgresql(connection: Any, leaving: Sequence[Leaving]) -> None:
    """The same as `leave_sqlite`."""
    columns = [list(column) for column in zip(*leaving, strict=True)]
    await connection.execute(_PG_LEAVE, *columns)


async def arrive_postgresql(connection: Any, arrived: Arrived) -> bool:
    """The same as `arrive_sqlite`."""
    if await connection.fetchrow(_PG_ARRIVE, *arrived) is not None:
        return False
    row = await connection.fetchrow("SELECT number FROM arrivals WHERE origin = $1 AND id = $2", *arrived[:2])
    return row is not None and row[0] != arrived.number


class Waiting(NamedTuple):
    """A row of the outbox. `at` is Unix time in seconds."""

    id: int
    company_id: str
    parcel: bytes
    at: int


class Outbox:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._next = database.prepare(
            sa.select(_o.id, _o.company_id, _o.parcel, _o.created_at)
            .where(_o.to_region == sa.bindparam("region"), _o.id > sa.bindparam("after"))
            .order_by(_o.id)
            .limit(sa.bindparam("most"))
        )

    async def next(self, region: str, *, after: int = 0, most: int) -> list[Waiting]:
        """The oldest ones for a region."""
        rows = await self._database.fetch(self._next, {"region": region, "after": after, "most": most})
        return [Waiting(row[0], row[1], bytes(row[2]), row[3]) for row in rows]

    async def remove(self, ids: Sequence[int]) -> None:
        """They are there, or their senders were told that they are not."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.outbox).where(_o.id.in_(ids)))

    async def readdress(self, id: int, region: str) -> None:
        """Its recipient lives in that region by now."""
        async with self._database.write() as connection:
            await connection.execute(sa.update(tables.outbox).where(_o.id == id).values(to_region=region))

    async def counts(self) -> dict[tuple[str, str], int]:
        """How many wait, by region and company."""
        statement = sa.select(_o.to_region, _o.company_id, sa.func.count()).group_by(
            _o.to_region, _o.company_id
        )
        async with self._database.read() as connection:
            rows = await connection.execute(statement)
            return {(region, company): count for region, company, count in rows}

    async def known(self, origin: str, ids: Sequence[int]) -> set[int]:
        """Which of these parcels of a region have been taken."""
        if not ids:
            return set()
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(_a.id).where(_a.origin == origin, _a.id.in_(ids)))
            return set(rows.scalars())

    async def arrived(self, origin: str, ids: Sequence[int]) -> None:
        """These have been taken, and nothing else was written with them."""
        if not ids:
            return
        rows = [{"origin": origin, "id": id, "number": 0, "at": int(self._now())} for id in ids]
        async with self._database.write() as connection:
            await connection.execute(insert_or_ignore(self._database.dialect, tables.arrivals), rows)

    async def forget_arrivals(self, before: int) -> None:
        """What came before this Unix time (seconds) does not come again."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.arrivals).where(_a.at < before))
