"""Moves between regions as they are kept: how far each is, what of it arrived, and who has gone where.

A move goes on from the step that its row says, whatever happened in between: each step may be done twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.store import changes, tables
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import BeingMoved
from rainbow_xmpp.store.upsert import upsert
from rainbow_xmpp.store.values import ChangeKind

KEPT_MOVES_S = 400 * 86_400
"""So long it is known that a move was done; the audit log knows it as long as that is kept."""
KEPT_PARTS_S = 7 * 86_400
"""What arrived of somebody who never followed is dropped after this time."""


class Step(StrEnum):
    """How far a move is. What a step's name says has been done."""

    ASKED = "asked"
    FROZEN = "frozen"
    """Nothing of the account changes any more, and its people have been told."""
    SENT = "sent"
    """All of it lies in the other region, and was verified there."""
    SWITCHING = "switching"
    """The other region was told to take over. Whether it did may be unknown: there is no way back from here."""
    SWITCHED = "switched"
    """It lives there."""
    DELETED = "deleted"
    """Its rows here are deleted; what other jobs delete, and the proof, is left."""
    DONE = "done"
    FAILED = "failed"
    """It stayed where it was, and `trouble` says why."""
    ARRIVING = "arriving"
    """In the region that it goes to: parts of it are here."""
    ARRIVED = "arrived"
    """In the region that it went to."""


FROZEN = (Step.FROZEN, Step.SENT, Step.SWITCHING, Step.SWITCHED)
"""The account is here, and must not change."""
UNDER_WAY = (Step.ASKED, *FROZEN, Step.DELETED)
OVER = (Step.DONE, Step.FAILED, Step.ARRIVED)

Totals = Mapping[str, tuple[int, str]]
"""Rows and their digest, by table."""


@dataclass(frozen=True, slots=True)
class Move:
    """A person's move, or a company's (`account_id` is ""). Times are Unix times in seconds."""

    id: str
    of_move: str
    """The move of the company that this one is a part of; "" for none."""
    company_id: str
    account_id: str
    origin: str
    target: str
    step: Step
    actor: str
    reason: str
    asked_at: int
    changed_at: int
    rows: int
    """Sent so far."""
    totals: Totals
    remains: Mapping[str, Sequence[int]]
    """Numbers of owners whose rows are left to be deleted, by where the numbers come from."""
    trouble: str

    @property
    def is_companys(self) -> bool:
        return not self.account_id

    @property
    def is_over(self) -> bool:
        return self.step in OVER


_m = tables.moves.c
_COLUMNS = (
    _m.id,
    _m.of_move,
    _m.company_id,
    _m.account_id,
    _m.origin,
    _m.target,
    _m.step,
    _m.actor,
    _m.reason,
    _m.asked_at,
    _m.changed_at,
    _m.rows,
    _m.totals,
    _m.remains,
    _m.trouble,
)
_p = tables.move_parts.c
_a = tables.moved_away.c


class Moves:
    """`now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def ask(
        self,
        company_id: str,
        account_id: str,
        origin: str,
        target: str,
        *,
        actor: str,
        reason: str = "",
        of_move: str = "",
    ) -> Move:
        """Begin a move, of a company where there is no account. Raises BeingMoved when there is one already."""
        at = int(self._now())
        move = Move(
            new_id(),
            of_move,
            company_id,
            account_id,
            origin,
            target,
            Step.ASKED,
            actor,
            reason[:500],
            at,
            at,
            0,
            {},
            {},
            "",
        )
        async with self._database.write() as connection:
            under_way = sa.select(_m.id).where(
                _m.company_id == company_id, _m.account_id == account_id, _m.step.in_(UNDER_WAY)
            )
            if (await connection.execute(under_way)).first() is not None:
                raise BeingMoved(account_id or company_id)
            await self._insert(connection, move)
        return move

    async def insert(self, connection: AsyncConnection, move: Move) -> None:
        """A move that another region has begun."""
        await connection.execute(sa.delete(tables.moves).where(_m.id == move.id))
        await self._insert(connection, move)

    async def _insert(self, connection: AsyncConnection, move: Move) -> None:
        row = {column.name: getattr(move, column.name) for column in _COLUMNS}
        row |= {"totals": _totals_text(move.totals), "remains": json.dumps(move.remains), "leased_until": 0}
        await connection.execute(sa.insert(tables.moves), row)

    async def by_id(self, id: str) -> Move | None:
        """The move with this id."""
        return await self._one(_m.id == id)

    async def latest_of(self, account_id: str) -> Move | None:
        """The last move of an account, done or not."""
        return await self._one(_m.account_id == account_id)

    async def latest_of_company(self, company_id: str) -> Move | None:
        """The last move of a company as a whole, done or not."""
        return await self._one(_m.company_id == company_id, _m.account_id == "")

    async def parts_of(self, move_id: str) -> list[Move]:
        """The moves of a company's people that belong to the company's."""
        return await self._list(_m.of_move == move_id)

    async def under_way(self) -> list[Move]:
        """What is to be gone on with here, oldest first."""
        return await self._list(_m.step.in_(UNDER_WAY))

    async def all(self, *, most: int = 200) -> list[Move]:
        """The newest moves, newest first."""
        return (await self._list(sa.true()))[::-1][:most]

    async def frozen(self) -> frozenset[str]:
        """The accounts that must not change."""
        statement = sa.select(_m.account_id).where(_m.step.in_(FROZEN), _m.account_id != "")
        async with self._database.read() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    async def take(self, move_id: str, for_s: int) -> bool:
        """Be the one server that goes on with it, for so long; False when another one is at it."""
        now = int(self._now())
        taking = (
            sa.update(tables.moves)
            .where(_m.id == move_id, _m.leased_until <= now)
            .values(leased_until=now + for_s)
        )
        async with self._database.write() as connection:
            return bool((await connection.execute(taking)).rowcount)

    async def give_back(self, move_id: str) -> None:
        """Another server, or this one, may go on with it."""
        async with self._database.write() as connection:
            await connection.execute(sa.update(tables.moves).where(_m.id == move_id).values(leased_until=0))

    async def advance(
        self,
        move: Move,
        step: Step,
        *,
        connection: AsyncConnection | None = None,
        kind: ChangeKind | None = None,
        **values: Any,
    ) -> None:
        """It is at this step now; `kind` tells servers of it. Within a transaction where one is given."""
        if connection is None:
            async with self._database.write() as own:
                await self.advance(move, step, connection=own, kind=kind, **values)
            return
        at = int(self._now())
        if "totals" in values:
            values["totals"] = _totals_text(values["totals"])
        if "remains" in values:
            values["remains"] = json.dumps(values["remains"])
        await connection.execute(
            sa.update(tables.moves).where(_m.id == move.id).values(step=step, changed_at=at, **values)
        )
        if kind is not None:
            await changes.record(connection, at, kind, move.company_id, [move.account_id])

    async def note(
        self, move: Move, *, rows: int | None = None, trouble: str | None = None, for_s: int = 0
    ) -> None:
        """How far it is, for whoever asks. `for_s`: this server is at it for so long from now on."""
        now = int(self._now())
        lease = now + for_s if for_s else None
        values = {"rows": rows, "trouble": trouble, "changed_at": now, "leased_until": lease}
        given = {name: value for name, value in values.items() if value is not None}
        async with self._database.write() as connection:
            await connection.execute(sa.update(tables.moves).where(_m.id == move.id).values(**given))

    # -- what arrives ----------------------------------------------------------------------------------

    async def keep_part(self, move_id: str, kind: str, number: int, sealed: bytes) -> None:
        """A part of what arrives; one that comes again takes the place of the first."""
        row = {"move_id": move_id, "kind": kind, "number": number, "sealed": sealed, "at": int(self._now())}
        async with self._database.write() as connection:
            await connection.execute(upsert(self._database.dialect, tables.move_parts, ("sealed", "at")), row)

    async def part_numbers(self, connection: AsyncConnection, move_id: str, kind: str) -> list[int]:
        """Which parts of a table's rows are here, in order."""
        statement = sa.select(_p.number).where(_p.move_id == move_id, _p.kind == kind).order_by(_p.number)
        return list((await connection.execute(statement)).scalars())

    async def part(self, connection: AsyncConnection, move_id: str, kind: str, number: int) -> bytes:
        """One of them, sealed."""
        statement = sa.select(_p.sealed).where(_p.move_id == move_id, _p.kind == kind, _p.number == number)
        return bytes((await connection.execute(statement)).scalar_one())

    async def drop_parts(self, move_id: str, connection: AsyncConnection | None = None) -> None:
        """What arrived is not needed any more."""
        dropping = sa.delete(tables.move_parts).where(_p.move_id == move_id)
        if connection is not None:
            await connection.execute(dropping)
            return
        async with self._database.write() as own:
            await own.execute(dropping)

    # -- who has gone ----------------------------------------------------------------------------------

    async def leave_word(self, connection: AsyncConnection, localpart: str, region: str, until: int) -> None:
        """Say of somebody, until this Unix time, that they live in another region now."""
        row = {"localpart": localpart, "region": region, "until": until}
        await connection.execute(upsert(self._database.dialect, tables.moved_away, ("region", "until")), row)

    async def is_back(self, connection: AsyncConnection, localpart: str) -> None:
        """Somebody who had gone lives here again."""
        await connection.execute(sa.delete(tables.moved_away).where(_a.localpart == localpart))

    async def gone(self) -> dict[str, str]:
        """Who lives in another region by now, by localpart."""
        statement = sa.select(_a.localpart, _a.region).where(_a.until > int(self._now()))
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(statement)}

    async def forget_old(self) -> None:
        """Drop what its time is over for."""
        now = int(self._now())
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.moved_away).where(_a.until <= now))
            await connection.execute(sa.delete(tables.move_parts).where(_p.at < now - KEPT_PARTS_S))
            await connection.execute(
                sa.delete(tables.moves).where(_m.step.in_(OVER), _m.changed_at < now - KEPT_MOVES_S)
            )
            stranded = sa.select(_m.id).where(_m.step == Step.ARRIVING, _m.changed_at < now - KEPT_PARTS_S)
            await connection.execute(sa.delete(tables.moves).where(_m.id.in_(stranded)))

    async def _one(self, *where: sa.ColumnElement[bool]) -> Move | None:
        statement = sa.select(*_COLUMNS).where(*where).order_by(_m.asked_at.desc(), _m.id).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _move(row)

    async def _list(self, *where: sa.ColumnElement[bool]) -> list[Move]:
        statement = sa.select(*_COLUMNS).where(*where).order_by(_m.asked_at, _m.id)
        async with self._database.read() as connection:
            return [_move(row) for row in await connection.execute(statement)]


def is_frozen(account_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """For a statement that must leave alone whoever is being moved."""
    return sa.exists().where(_m.account_id == account_id, _m.step.in_(FROZEN))


async def refuse_if_frozen(connection: AsyncConnection, account_id: str) -> None:
    """To be asked by whoever changes something of an account, in the same transaction. Raises BeingMoved."""
    found = sa.select(_m.id).where(_m.account_id == account_id, _m.step.in_(FROZEN)).limit(1)
    if (await connection.execute(found)).first() is not None:
        raise BeingMoved(account_id)


def _totals_text(totals: Totals) -> str:
    return json.dumps({name: list(each) for name, each in totals.items()})


def _move(row: Sequence[Any]) -> Move:
    named = {column.name: value for column, value in zip(_COLUMNS, row, strict=True)}
    totals = {name: (rows, digest) for name, (rows, digest) in json.loads(named["totals"] or "{}").items()}
    remains = json.loads(named["remains"] or "{}")
    return Move(**named | {"step": Step(named["step"]), "totals": totals, "remains": remains})
