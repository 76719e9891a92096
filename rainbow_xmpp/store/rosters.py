"""Rosters: contacts, their subscription states, and the versions by which clients ask for what changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.keys import owner_list, owners
from rainbow_xmpp.store.upsert import upsert
from rainbow_xmpp.store.values import (
    Roster,
    RosterChange,
    RosterItem,
    RosterRemoval,
    RosterUpdate,
    Subscription,
)

MAX_REMOVALS = 100
"""How many removed contacts a roster remembers for clients that come back with an old version."""

_i = tables.roster_items.c
_r = tables.roster_removals.c
_v = tables.roster_versions.c
_u = tables.users.c

_ITEM_COLUMNS = (
    _i.contact,
    _i.name,
    _i.subscription,
    _i.ask,
    _i.groups,
    _i.approved,
    _i.pending_in,
    _i.request,
    _i.listed,
)


def _owned(columns: Any) -> sa.ColumnElement[bool]:
    return sa.and_(columns.company_id == sa.bindparam("company"), columns.owner_id == sa.bindparam("owner"))


_KEPT = tuple(column.name for column in _ITEM_COLUMNS[1:])
_KEPT_IF_SEEN = (*_KEPT, "version")

_ONE_ITEM = sa.select(*_ITEM_COLUMNS).where(_owned(_i), _i.contact == sa.bindparam("who"))
_VERSION = sa.select(_v.version, _v.forgotten).where(_owned(_v))
_CHANGED = sa.select(*_ITEM_COLUMNS, _i.version).where(_owned(_i), _i.version > sa.bindparam("since"))
_REMOVED = sa.select(_r.contact, _r.version).where(_owned(_r), _r.version > sa.bindparam("since"))
_COUNT = sa.select(sa.func.count()).select_from(tables.roster_items).where(_owned(_i))
_DELETE_ITEM = sa.delete(tables.roster_items).where(_owned(_i), _i.contact == sa.bindparam("who"))
_DELETE_REMOVAL = sa.delete(tables.roster_removals).where(_owned(_r), _r.contact == sa.bindparam("who"))
# Everything that changes a roster locks its owner's row first: on PostgreSQL two writers of one roster wait
# for each other. (SQLite has one writer anyway and knows no FOR UPDATE.)
_LOCK_OWNER = (
    sa.select(_u.region)
    .where(_u.company_id == sa.bindparam("company"), _u.id == sa.bindparam("owner"))
    .with_for_update(key_share=True)
)
_FIRST_TO_FORGET = (
    sa.select(_r.version).where(_owned(_r)).order_by(_r.version.desc()).offset(MAX_REMOVALS).limit(1)
)
_FORGET = sa.delete(tables.roster_removals).where(_owned(_r), _r.version <= sa.bindparam("up_to"))
_SET_FORGOTTEN = sa.update(tables.roster_versions).where(_owned(_v)).values(forgotten=sa.bindparam("up_to"))


class Rosters:
    """Everybody's rosters. `now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._loads: Batcher[tuple[str, str], Roster] = Batcher(self._load_many, most=64)
        asked = owners(database.dialect)
        self._load_statement = sa.select(
            asked.c.company_id, asked.c.owner_id, _v.version, *_ITEM_COLUMNS
        ).select_from(
            asked.outerjoin(
                tables.roster_versions,
                sa.and_(_v.company_id == asked.c.company_id, _v.owner_id == asked.c.owner_id),
            ).outerjoin(
                tables.roster_items,
                sa.and_(_i.company_id == asked.c.company_id, _i.owner_id == asked.c.owner_id),
            )
        )

    async def load(self, company_id: str, owner_id: str) -> Roster:
        """The whole roster with its hidden records, in no particular order; empty for who does not exist."""
        return await self._loads.get((company_id, owner_id)) or Roster(0, ())

    async def apply(
        self,
        company_id: str,
        owner_id: str,
        contact: str,
        decide: Callable[[RosterItem | None], RosterItem | None],
    ) -> RosterChange:
        """Let `decide` turn the item of this contact into another one, in one transaction.

        `decide` gets None for no item and answers None for none; it may raise, and then nothing changes.
        The version rises when clients can see the difference. Raises NotFound for an unknown owner.
        """
        who = {"company": company_id, "owner": owner_id}
        async with self._database.write() as connection:
            region = (await connection.execute(_LOCK_OWNER, who)).scalar_one_or_none()
            if region is None:
                raise NotFound("account", owner_id)
            row = (await connection.execute(_ONE_ITEM, {**who, "who": contact})).one_or_none()
            old = _item(row) if row is not None else None
            new = decide(old)
            version, _ = await _version(connection, who)
            change = RosterChange(old, new, version)
            if change.seen_by_clients:
                change = RosterChange(old, new, version + 1)
            if new != old:
                at = int(self._now())
                whose = {"company_id": company_id, "owner_id": owner_id, "region": region, "created_at": at}
                await self._write(connection, whose, contact, change)
        return change

    async def since(
        self, company_id: str, owner_id: str, version: int
    ) -> list[RosterUpdate | RosterRemoval] | None:
        """What clients must be told who know this version, oldest first; None: send the whole roster."""
        who = {"company": company_id, "owner": owner_id}
        async with self._database.read(snapshot=True) as connection:
            latest, forgotten = await _version(connection, who)
            if not forgotten <= version <= latest:
                return None
            changed = (await connection.execute(_CHANGED, {**who, "since": version})).all()
            removed = (await connection.execute(_REMOVED, {**who, "since": version})).all()
        updates = [RosterUpdate(_item(row), row[-1]) for row in changed]
        found: list[RosterUpdate | RosterRemoval] = [update for update in updates if update.item.visible]
        found += [RosterRemoval(contact, at) for contact, at in removed]
        return sorted(found, key=lambda each: each.version)

    async def count(self, company_id: str, owner_id: str) -> int:
        """How many items and hidden records the roster has."""
        async with self._database.read() as connection:
            parameters = {"company": company_id, "owner": owner_id}
            return int((await connection.execute(_COUNT, parameters)).scalar_one())

    async def close(self) -> None:
        """Wait for the loads under way."""
        await self._loads.close()

    async def _load_many(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Roster]:
        parameters = owner_list(self._database.dialect, keys)
        async with self._database.read() as connection:
            rows = (await connection.execute(self._load_statement, parameters)).all()
        versions: dict[tuple[str, str], int] = {}
        items: dict[tuple[str, str], list[RosterItem]] = {}
        for company_id, owner_id, version, *columns in rows:
            key = company_id, owner_id
            versions[key] = version or 0
            found = items.setdefault(key, [])
            if columns[0] is not None:
                found.append(_item(columns))
        return {key: Roster(versions[key], tuple(found)) for key, found in items.items()}

    async def _write(
        self, connection: AsyncConnection, whose: Mapping[str, object], contact: str, change: RosterChange
    ) -> None:
        dialect, new = self._database.dialect, change.new
        who = {"company": whose["company_id"], "owner": whose["owner_id"]}
        if new is None:
            await connection.execute(_DELETE_ITEM, {**who, "who": contact})
        else:
            kept = _KEPT_IF_SEEN if change.seen_by_clients else _KEPT
            row = {**whose, **_row(new), "version": change.version}
            await connection.execute(upsert(dialect, tables.roster_items, kept), row)
        if not change.seen_by_clients:
            return
        versions = {**whose, "version": change.version, "forgotten": 0}
        await connection.execute(upsert(dialect, tables.roster_versions, ("version",)), versions)
        if new is not None and new.visible:
            await connection.execute(_DELETE_REMOVAL, {**who, "who": contact})
        else:
            await self._remember_removal(
                connection, who, {**whose, "contact": contact, "version": change.version}
            )

    async def _remember_removal(
        self, connection: AsyncConnection, who: Mapping[str, object], row: Mapping[str, object]
    ) -> None:
        await connection.execute(upsert(self._database.dialect, tables.roster_removals, ("version",)), row)
        oldest = (await connection.execute(_FIRST_TO_FORGET, who)).scalar_one_or_none()
        if oldest is not None:
            await connection.execute(_FORGET, {**who, "up_to": oldest})
            await connection.execute(_SET_FORGOTTEN, {**who, "up_to": oldest})


async def _version(connection: AsyncConnection, who: Mapping[str, object]) -> tuple[int, int]:
    row = (await connection.execute(_VERSION, who)).one_or_none()
    return (row[0], row[1]) if row is not None else (0, 0)


def _item(row: Sequence[Any]) -> RosterItem:
    """An item from `_ITEM_COLUMNS`."""
    contact, name, subscription, ask, groups, approved, pending_in, request, listed = row[:9]
    return RosterItem(
        contact=contact,
        name=name,
        subscription=Subscription(subscription),
        ask=bool(ask),
        groups=tuple(json.loads(groups)) if groups else (),
        approved=bool(approved),
        pending_in=bool(pending_in),
        request=request,
        listed=bool(listed),
    )


def _row(item: RosterItem) -> dict[str, object]:
    return {
        "contact": item.contact,
        "name": item.name,
        "subscription": item.subscription,
        "ask": item.ask,
        "groups": json.dumps(item.groups, ensure_ascii=False) if item.groups else "",
        "approved": item.approved,
        "pending_in": item.pending_in,
        "request": item.request,
        "listed": item.listed,
    }
