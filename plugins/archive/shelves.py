"""What is taken out of the logs, a few rows at a time: too old, too many, or of nobody any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugins.archive import tables, texts
from rainbow_xmpp.plugins.archive.numbers import RECEIVED
from rainbow_xmpp.plugins.archive.tail import Tail
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.tables import companies, users

AT_ONCE = 200
"""Rows of one transaction: whoever writes waits no longer for it than for another batch of messages."""
OWNERS_AT_ONCE = 500
ORIGINS_AT_ONCE = 2_000

_m, _i, _w, _g = tables.messages.c, tables.by_owner.c, tables.waiting.c, tables.gone.c
_o, _s = tables.owners.c, tables.origins.c


class Row(NamedTuple):
    """One message in one log."""

    key: int
    owner: int
    peer: int


class Shelves:
    """The logs, to be cleared."""

    def __init__(self, store: Store, tail: Tail | None = None) -> None:
        """`tail`: what has yet to be entered into SQLite's indexes, and must hear of what is deleted."""
        self._store = store
        self._tail = tail

    # -- which -----------------------------------------------------------------------------------------

    async def levels(self, after: int) -> Sequence[tuple[int, str]]:
        """The next owners behind this one, and their service level."""
        level = sa.func.coalesce(sa.func.nullif(users.c.service_level, ""), companies.c.service_level)
        statement = (
            sa.select(_o.number, level)
            .join(users, users.c.id == _o.owner_id)
            .join(companies, companies.c.id == users.c.company_id)
            .where(_o.number > after)
            .order_by(_o.number)
            .limit(OWNERS_AT_ONCE)
        )
        async with self._store.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(statement)]

    async def owners_with(self, owners: Collection[int], *, below: int = 0, above: int = 0) -> list[int]:
        """Those whose logs have keys below the one, or above the other; one look at the index for each."""
        bound = _i.key < below if below else _i.key > above
        statement = sa.select(_o.number).where(
            _o.number.in_(owners), sa.exists().where(_i.owner == _o.number, bound)
        )
        async with self._store.read() as connection:
            return list((await connection.execute(statement)).scalars())

    async def key_of_newest(self, owner: int, place: int) -> int:
        """The key of the message with this place, counted from the newest (0); 0 when there are fewer."""
        statement = sa.select(_i.key).where(_i.owner == owner).order_by(_i.key.desc()).limit(1).offset(place)
        async with self._store.read() as connection:
            return int((await connection.execute(statement)).scalar_one_or_none() or 0)

    async def below(self, owner: int, key: int) -> list[Row]:
        """The oldest messages of a log in front of this key, without those that wait for a device."""
        waits = sa.exists().where(_w.owner == owner, _w.key == _i.key)
        statement = (
            sa.select(_i.key, _i.owner, _m.peer)
            .join(tables.messages, _m.key == _i.key)
            .where(_i.owner == owner, _i.key < key, ~waits)
            .order_by(_i.key)
            .limit(AT_ONCE)
        )
        return await self._rows(statement)

    async def gone(self) -> list[int]:
        """Owners that were removed, and whose rows may still be there."""
        async with self._store.read() as connection:
            return list((await connection.execute(sa.select(_g.owner).limit(OWNERS_AT_ONCE))).scalars())

    async def some_of(self, owner: int) -> list[Row]:
        """Any messages of a log, those that are in no index yet as well."""
        indexed = sa.select(tables.indexed.c.key).scalar_subquery()
        found = await self._rows(
            sa.select(_i.key, _i.owner, _m.peer)
            .join(tables.messages, _m.key == _i.key)
            .where(_i.owner == owner)
            .limit(AT_ONCE)
        )
        if found or self._store.dialect != "sqlite":
            return found
        return await self._rows(
            sa.select(_m.key, _m.owner, _m.peer).where(_m.key > indexed, _m.owner == owner).limit(AT_ONCE)
        )

    async def _rows(self, statement: sa.Select[int, int, int]) -> list[Row]:
        async with self._store.read() as connection:
            return [Row(*row) for row in await connection.execute(statement)]

    # -- away with them --------------------------------------------------------------------------------

    async def take_out(self, rows: Sequence[Row]) -> None:
        """Delete these messages, and every mention of them."""
        keys = [row.key for row in rows]
        async with self._store.write() as connection:
            if self._tail is not None:
                self._tail.removing()
            await connection.execute(sa.delete(tables.messages).where(_m.key.in_(keys)))
            for owner, theirs in _by_owner(rows):
                of_owner = [row.key for row in theirs]
                for table in (tables.by_owner, tables.waiting):
                    await connection.execute(
                        sa.delete(table).where(table.c.owner == owner, table.c.key.in_(of_owner))
                    )
            await texts.forget(connection, await _nowhere(connection, {key >> 1 for key in keys}))
            p = tables.by_peer.c
            await connection.execute(
                sa.delete(tables.by_peer).where(
                    p.owner == sa.bindparam("o"), p.peer == sa.bindparam("p"), p.key == sa.bindparam("k")
                ),
                [{"o": row.owner, "p": row.peer, "k": row.key} for row in rows],
            )

    async def forget_waiting(self, before: int) -> int:
        """Messages with keys below this one wait no longer: at most so many at once; how many these were."""
        old = sa.select(_w.owner, _w.key).where(_w.key < before).limit(AT_ONCE)
        async with self._store.write() as connection:
            rows = (await connection.execute(old)).all()
            if rows:
                one = sa.delete(tables.waiting).where(
                    _w.owner == sa.bindparam("o"), _w.key == sa.bindparam("k")
                )
                await connection.execute(one, [{"o": row[0], "k": row[1]} for row in rows])
        return len(rows)

    async def forget_gone(self, owners: Sequence[int]) -> None:
        """Nothing of these owners is left."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(tables.waiting).where(_w.owner.in_(owners)))
            await connection.execute(
                sa.delete(tables.retractions).where(tables.retractions.c.owner.in_(owners))
            )
            await connection.execute(sa.delete(tables.gone).where(_g.owner.in_(owners)))

    async def forget_origins(self, after: int, before: int) -> int | None:
        """Of the next rows behind this one delete those with numbers below `before`, and those of nobody.

        Where to go on, if anywhere.
        """
        is_theirs = sa.exists().where(_o.number == _s.owner)
        statement = (
            sa.select(_s.origin, _s.number, is_theirs)
            .where(_s.origin > after)
            .order_by(_s.origin)
            .limit(ORIGINS_AT_ONCE)
        )
        async with self._store.read() as connection:
            rows = (await connection.execute(statement)).all()
        old = [origin for origin, number, has_owner in rows if number < before or not has_owner]
        if old:
            async with self._store.write() as connection:
                await connection.execute(sa.delete(tables.origins).where(_s.origin.in_(old)))
        return rows[-1][0] if len(rows) == ORIGINS_AT_ONCE else None


async def _nowhere(connection: AsyncConnection, numbers: Collection[int]) -> set[int]:
    """Messages that are in nobody's log any more."""
    sides = [number * 2 + side for number in numbers for side in (0, RECEIVED)]
    left = await connection.execute(sa.select(_m.key).where(_m.key.in_(sides)))
    return set(numbers) - {key >> 1 for key in left.scalars()}


def _by_owner(rows: Sequence[Row]) -> Iterable[tuple[int, list[Row]]]:
    for owner in {row.owner for row in rows}:
        yield owner, [row for row in rows if row.owner == owner]
