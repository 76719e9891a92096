"""What there is of a person: the tables that hold people's data, from their declarations and no list of their own."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.store import tables
from rainbow_xmpp.store.carried import Carried, Keys, Row, carried

WHOSE = frozenset(("company_id", "owner_id", "region"))
"""Columns of people's tables that say whose a row is: they are written anew where it arrives."""
OWNER = "owner"
"""The column of tables that know their owner by a number."""
_BY = "people_by"


class UnknownTables(RainbowError):
    """The database has people's data in a table that no plugin here declares: it could neither go nor be deleted."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose rows are meant, and by which numbers some tables know them (`archive_owners.number`: [7])."""

    company_id: str
    account_id: str
    numbers: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """The rows of one table."""

    table: sa.Table
    by: str = ""
    """Where the numbers come from by which it knows its owners; "" for tables that name them."""

    @property
    def name(self) -> str:
        return str(self.table.name)

    @property
    def carried(self) -> Carried:
        return carried(self.table)

    @property
    def is_users(self) -> bool:
        return self.table is tables.users

    @property
    def columns(self) -> tuple[str, ...]:
        """What crosses of a row, in the order in which it does."""
        left_out = {OWNER} if self.by else {"company_id", "region"} if self.is_users else WHOSE
        names = (str(c.name) for c in self.table.columns if c.name not in left_out and not _is_drawn(c))
        return tuple(sorted(names))

    def where(self, person: Person) -> sa.ColumnElement[bool]:
        """Which rows are this person's."""
        c = self.table.c
        if self.by:
            return c[OWNER].in_(person.numbers.get(self.by, ()))
        if self.is_users:
            return sa.and_(c.company_id == person.company_id, c.id == person.account_id)
        return sa.and_(c.company_id == person.company_id, c.owner_id == person.account_id)

    async def rows(self, connection: AsyncConnection, person: Person) -> AsyncIterator[Row]:
        """This person's rows, by the primary key."""
        statement = sa.select(self.table).where(self.where(person)).order_by(*self.table.primary_key)
        async with connection.stream(statement) as result:
            async for row in result:
                yield dict(row._mapping)

    async def count(self, connection: AsyncConnection, person: Person) -> int:
        """How many these are."""
        statement = sa.select(sa.func.count()).select_from(self.table).where(self.where(person))
        return int((await connection.execute(statement)).scalar_one())

    def crossing(self, row: Row, keys: Keys) -> list[Any]:
        """A row as it crosses. Raises Unreadable."""
        change = self.carried.to_cross
        changed = row if change is None else change(row, keys)
        return [changed[name] for name in self.columns]

    def staying(self, values: Sequence[Any], whose: Row, keys: Keys) -> Row:
        """A row as it is kept where it arrives; `whose` has the columns that say that."""
        row = {**dict(zip(self.columns, values, strict=True)), **whose}
        change = self.carried.to_stay
        return row if change is None else change(row, keys)


def kinds() -> list[Kind]:
    """All there may be of a person, in an order in which it can be written: owners before what is theirs."""
    found = [Kind(table, str(table.info.get(_BY, ""))) for table in tables.metadata.sorted_tables]
    of_people = [kind for kind in found if kind.is_users or kind.table.info.get("people") or kind.by]
    return sorted(of_people, key=lambda kind: (not kind.is_users, bool(kind.by)))


def carried_kinds() -> list[Kind]:
    """Those whose rows go along, or have none by then."""
    return [kind for kind in kinds() if not kind.carried.stays]


async def person(connection: AsyncConnection, company_id: str, account_id: str) -> Person:
    """Somebody, with the numbers that tables know them by."""
    who = Person(company_id, account_id)
    numbers: dict[str, Sequence[int]] = {}
    for place in sorted({kind.by for kind in kinds() if kind.by}):
        table, _, column = place.partition(".")
        owner = Kind(tables.metadata.tables[table])
        statement = sa.select(owner.table.c[column]).where(owner.where(who))
        numbers[place] = list((await connection.execute(statement)).scalars())
    return Person(company_id, account_id, numbers)


async def require_declared(connection: AsyncConnection) -> None:
    """Raises UnknownTables for tables with owners' rows that nothing here declares."""

    def undeclared(sync: sa.Connection) -> list[str]:
        inspector = sa.inspect(sync)
        names = set(inspector.get_table_names()) - set(tables.metadata.tables)
        return sorted(
            name
            for name in names
            if {"company_id", "owner_id"} <= {c["name"] for c in inspector.get_columns(name)}
        )

    unknown = [name for name in await connection.run_sync(undeclared) if await _has_rows(connection, name)]
    if unknown:
        raise UnknownTables(
            f"the database has people's data in {', '.join(unknown)}, of plugins that are not here: nobody can be "
            "moved without them"
        )


async def _has_rows(connection: AsyncConnection, name: str) -> bool:
    return (
        await connection.execute(sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1))
    ).first() is not None


class Digest:
    """The rows of one table, as a number that does not depend on their order (databases sort differently).

    The sum of their SHA-256 modulo 2^256: it shows what was lost, doubled or altered on the way, at no memory. It is
    no proof against somebody who makes up rows, and need not be: the border proves who sends.
    """

    __slots__ = ("_sum", "rows")

    def __init__(self) -> None:
        self._sum = 0
        self.rows = 0

    def add(self, values: Sequence[Any]) -> None:
        """One more row, as it crosses."""
        row = hashlib.sha256(pack(values)).digest()
        self._sum = (self._sum + int.from_bytes(row)) % (1 << 256)
        self.rows += 1

    @property
    def total(self) -> tuple[int, str]:
        """How many rows, and their digest as hex digits."""
        return self.rows, f"{self._sum:064x}"


async def totals(
    connection: AsyncConnection,
    who: Person,
    keys: Keys,
    of: Iterable[Kind],
    renamed: Mapping[object, object] = {},
) -> dict[str, tuple[int, str]]:
    """Rows and digest of all that is there of a person, by table; tables without any are left out.

    `renamed`: values of `key` that became others here, to be compared as though they had not.
    """
    before = {now: then for then, now in renamed.items()}
    found = {}
    for kind in of:
        digest = Digest()
        async for row in kind.rows(connection, who):
            if before and kind.by and "key" in row:
                row["key"] = before.get(row["key"], row["key"])
            digest.add(kind.crossing(row, keys))
        if digest.rows:
            found[kind.name] = digest.total
    return found


pack = msgspec.msgpack.Encoder().encode


def _is_drawn(column: sa.Column[Any]) -> bool:
    """A number that the database counts up."""
    return column.primary_key and column.autoincrement is True
