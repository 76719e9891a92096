"""Rosters: contacts, their subscription states, and the versions by which clients ask for what changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store import tables
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.database import Database
from rainbow_xmpp.store.effort import Part, spend, taken_back
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

_SUBSCRIPTIONS = {str(each): each for each in Subscription}  # Subscription("both") takes five times as long

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


def _no(columns: Sequence[sa.Column[Any]]) -> list[sa.ColumnElement[Any]]:
    return [sa.cast(sa.null(), column.type).label(column.name) for column in columns]


# One statement, so that its three parts are of one moment: the versions, what changed, what was removed.
_SINCE = sa.union_all(
    sa.select(*_no(_ITEM_COLUMNS), _v.version, _v.forgotten).where(_owned(_v)),
    sa.select(*_ITEM_COLUMNS, _i.version, *_no([_v.forgotten])).where(
        _owned(_i), _i.version > sa.bindparam("since")
    ),
    sa.select(_r.contact, *_no(_ITEM_COLUMNS[1:]), _r.version, *_no([_v.forgotten])).where(
        _owned(_r), _r.version > sa.bindparam("since")
    ),
)
_COUNT = sa.select(sa.func.count()).select_from(tables.roster_items).where(_owned(_i))
_DELETE_ITEM = sa.delete(tables.roster_items).where(_owned(_i), _i.contact == sa.bindparam("who"))
_DELETE_REMOVAL = sa.delete(tables.roster_removals).where(_owned(_r), _r.contact == sa.bindparam("who"))
_OWNER = sa.and_(_u.company_id == sa.bindparam("company"), _u.id == sa.bindparam("owner"))
# On PostgreSQL two writers of one roster wait for each other at its owner's row, before they read anything
# else. (SQLite has one writer anyway.)
_LOCK_OWNER = sa.select(_u.id).where(_OWNER).with_for_update(key_share=True)
_BEFORE = (
    sa.select(_u.region, sa.func.coalesce(_v.version, 0), *_ITEM_COLUMNS)
    .select_from(
        tables.users.outerjoin(
            tables.roster_versions, sa.and_(_v.company_id == _u.company_id, _v.owner_id == _u.id)
        ).outerjoin(
            tables.roster_items,
            sa.and_(_i.company_id == _u.company_id, _i.owner_id == _u.id, _i.contact == sa.bindparam("who")),
        )
    )
    .where(_OWNER)
)
_FIRST_TO_FORGET = (
    sa.select(_r.version).where(_owned(_r)).order_by(_r.version.desc()).offset(MAX_REMOVALS).limit(1)
)
_FORGET = sa.delete(tables.roster_removals).where(_owned(_r), _r.version <= sa.bindparam("up_to"))
_SET_FORGOTTEN = sa.update(tables.roster_versions).where(_owned(_v)).values(forgotten=sa.bindparam("up_to"))


class Leftover(NamedTuple):
    """An item about somebody who is gone, in somebody's roster."""

    company_id: str
    owner_id: str
    owner_localpart: str
    contact: str


class Rosters:
    """Everybody's rosters. `now` gives Unix time in seconds."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._loads: Batcher[tuple[str, str], Roster] = Batcher(self._load_many, most=64)
        asked = owners(database.dialect)
        statement = sa.select(asked.c.company_id, asked.c.owner_id, _v.version, *_ITEM_COLUMNS).select_from(
            asked.outerjoin(
                tables.roster_versions,
                sa.and_(_v.company_id == asked.c.company_id, _v.owner_id == asked.c.owner_id),
            ).outerjoin(
                tables.roster_items,
                sa.and_(_i.company_id == asked.c.company_id, _i.owner_id == asked.c.owner_id),
            )
        )
        self._load_query = database.prepare(statement)
        self._since_query = database.prepare(_SINCE)
        self._count_query = database.prepare(_COUNT)

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
        async with self._database.write() as connection:
            return await self._apply(connection, company_id, owner_id, contact, decide)

    async def _apply(
        self,
        connection: AsyncConnection,
        company_id: str,
        owner_id: str,
        contact: str,
        decide: Callable[[RosterItem | None], RosterItem | None],
    ) -> RosterChange:
        who = {"company": company_id, "owner": owner_id}
        if self._database.dialect == "postgresql":
            await connection.execute(_LOCK_OWNER, who)
        row = (await connection.execute(_BEFORE, {**who, "who": contact})).one_or_none()
        if row is None:
            raise NotFound("account", owner_id)
        region, version = row[:2]
        old = _item(row[2:]) if row[2] is not None else None
        new = decide(old)
        change = RosterChange(old, new, version)
        if change.seen_by_clients:
            change = RosterChange(old, new, version + 1)
        if new != old:
            spend(Part.ROSTER)
            at = int(self._now())
            whose = {"company_id": company_id, "owner_id": owner_id, "region": region, "created_at": at}
            await self._write(connection, whose, contact, change)
        return change

    async def rehearse(self, company_id: str, owner_id: str, item: RosterItem) -> None:
        """The work of `apply` for a new item in the roster of somebody who is not there: nothing stays of it.

        It is done with the owner's own roster. Raises NotFound for an unknown owner.
        """
        async with self._database.write() as connection, taken_back(connection):
            await self._apply(connection, company_id, owner_id, item.contact, lambda _: item)

    async def since(
        self, company_id: str, owner_id: str, version: int
    ) -> list[RosterUpdate | RosterRemoval] | None:
        """What clients must be told who know this version, oldest first; None: send the whole roster."""
        parameters = {"company": company_id, "owner": owner_id, "since": version}
        latest = forgotten = 0
        found: list[RosterUpdate | RosterRemoval] = []
        for row in await self._database.fetch(self._since_query, parameters):
            contact, is_listed, at = row[0], row[8], row[9]
            if contact is None:
                latest, forgotten = at, row[10]
            elif is_listed is None:
                found.append(RosterRemoval(contact, at))
            elif (item := _item(row)).visible:
                found.append(RosterUpdate(item, at))
        if not forgotten <= version <= latest:
            return None
        return sorted(found, key=lambda each: each.version)

    async def count(self, company_id: str, owner_id: str) -> int:
        """How many items and hidden records the roster has."""
        parameters = {"company": company_id, "owner": owner_id}
        rows = await self._database.fetch(self._count_query, parameters)
        return int(rows[0][0])

    async def across_companies(self, domain: str) -> list[tuple[str, str]]:
        """(company, owner) of everybody who has somebody of another company of this domain in the roster."""
        contact = sa.alias(tables.users)
        address = contact.c.localpart + sa.literal("@" + domain)
        statement = (
            sa.select(_i.company_id, _i.owner_id)
            .distinct()
            .join(contact, _i.contact == address)
            .where(contact.c.company_id != _i.company_id)
        )
        async with self._database.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(statement)]

    async def of_nobody(self, domain: str) -> list[Leftover]:
        """Where people of this domain are subscribed, or wait to be, who have no account any more."""
        gone = sa.alias(tables.users)
        ending = f"@{domain}"
        localpart = sa.func.substr(_i.contact, 1, sa.func.length(_i.contact) - len(ending))
        statement = (
            sa.select(_i.company_id, _i.owner_id, tables.users.c.localpart, _i.contact)
            .join(
                tables.users,
                sa.and_(tables.users.c.company_id == _i.company_id, tables.users.c.id == _i.owner_id),
            )
            .where(
                _i.contact.endswith(ending, autoescape=True),
                sa.or_(_i.subscription != Subscription.NONE, _i.pending_in),
                ~sa.exists().where(gone.c.localpart == localpart),
                ~sa.exists().where(tables.moved_away.c.localpart == localpart),
            )
        )
        async with self._database.read() as connection:
            return [Leftover(*row) for row in await connection.execute(statement)]

    async def close(self) -> None:
        """Wait for the loads under way."""
        await self._loads.close()

    async def _load_many(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Roster]:
        parameters = owner_list(self._database.dialect, keys)
        rows = await self._database.fetch(self._load_query, parameters)
        versions: dict[tuple[str, str], int] = {}
        items: dict[tuple[str, str], list[RosterItem]] = {}
        for row in rows:
            key = row[0], row[1]
            found = items.get(key)
            if found is None:
                found = items[key] = []
                versions[key] = row[2] or 0
            if row[3] is not None:
                found.append(_item(row[3:]))
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
        if new is None or not new.visible:
            removal = {**whose, "contact": contact, "version": change.version}
            await self._remember_removal(connection, who, removal)
        elif change.old is None or not change.old.visible:
            await connection.execute(_DELETE_REMOVAL, {**who, "who": contact})

    async def _remember_removal(
        self, connection: AsyncConnection, who: Mapping[str, object], row: Mapping[str, object]
    ) -> None:
        await connection.execute(upsert(self._database.dialect, tables.roster_removals, ("version",)), row)
        oldest = (await connection.execute(_FIRST_TO_FORGET, who)).scalar_one_or_none()
        if oldest is not None:
            await connection.execute(_FORGET, {**who, "up_to": oldest})
            await connection.execute(_SET_FORGOTTEN, {**who, "up_to": oldest})


def _item(row: Sequence[Any]) -> RosterItem:
    """An item from `_ITEM_COLUMNS`."""
    contact, name, subscription, ask, groups, approved, pending_in, request, listed = row[:9]
    return RosterItem(
        contact=contact,
        name=name,
        subscription=_SUBSCRIPTIONS[subscription],
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
