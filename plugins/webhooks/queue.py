"""What waits to be delivered: filled from the log of changes, in one transaction with how far that was read.

So a server that is killed at any moment neither forgets an event nor enters it twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.ids import new_id
from rainbow_xmpp.plugin import ChangeKind
from rainbow_xmpp.plugins.webhooks.events import BY_CHANGE, Kind, body_of
from rainbow_xmpp.plugins.webhooks.tables import deliveries, hooks, known_links, progress
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.tables import changes, company_links

_h, _d, _k, _p = hooks.c, deliveries.c, known_links.c, progress.c
_c, _l = changes.c, company_links.c

AT_ONCE = 500
"""So many changes are looked at in one transaction, since writers wait for it."""
_NAME = "changes"
_OF_INTEREST = (*BY_CHANGE, ChangeKind.LINKS_CHANGED)


class State(StrEnum):
    """Where a delivery is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next thing to be delivered to a hook."""

    number: int
    hook_id: str
    company_id: str
    url: str
    secret: bytes = field(repr=False)
    message_id: str
    kind: str
    body: str
    created_at: int
    next_at: int
    attempts: int


class Queue:
    """`now` of the methods is Unix time in seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- filling it ------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Before anything ever waited: what happened until now is no news."""
        latest = sa.select(sa.func.coalesce(sa.func.max(_c.id), 0)).scalar_subquery()
        with suppress(sa.exc.IntegrityError):  # another server was quicker
            async with self._store.write() as connection:
                if (await connection.execute(sa.select(_p.change_id))).first() is None:
                    await connection.execute(sa.insert(progress).values(name=_NAME, change_id=latest))

    async def collect(self) -> None:
        """Let what changed since the last time wait for the hooks that want to know."""
        while await self._collect_some():
            pass

    async def _collect_some(self) -> bool:
        async with self._store.read() as connection:
            behind = sa.select(_c.id).where(_c.id > sa.select(_p.change_id).scalar_subquery()).limit(1)
            if (await connection.execute(behind)).first() is None:
                return False
        async with self._store.write() as connection:
            # Of several servers one looks at a change; the row is theirs in turn.
            seen = (await connection.execute(sa.select(_p.change_id).with_for_update())).scalar_one()
            rows = (
                await connection.execute(
                    sa.select(_c.id, _c.kind, _c.company_id, _c.account_id, _c.at)
                    .where(_c.id > seen)
                    .order_by(_c.id)
                    .limit(AT_ONCE)
                )
            ).all()
            if not rows:
                return False
            told = await _told(connection, [row for row in rows if row[1] in _OF_INTEREST])
            if told:
                await connection.execute(sa.insert(deliveries), told)
            await connection.execute(sa.update(progress).values(change_id=rows[-1][0]))
            return len(rows) == AT_ONCE

    # -- emptying it -----------------------------------------------------------------------------------

    async def due(self, now: int) -> list[str]:
        """Hooks to which something is to be delivered now, and to which no server is delivering."""
        heads = (
            sa.select(sa.func.min(_d.number))
            .where(_d.state == State.WAITING)
            .group_by(_d.hook_id)
            .scalar_subquery()
        )
        statement = (
            sa.select(_h.id)
            .join(deliveries, _d.hook_id == _h.id)
            .where(_d.number.in_(heads), _d.next_at <= now, _h.enabled.is_(True), _h.leased_until <= now)
            .order_by(_d.next_at)
        )
        async with self._store.read() as connection:
            return [row[0] for row in await connection.execute(statement)]

    async def claim(self, hook_id: str, now: int, *, until: int) -> bool:
        """Only this server delivers to the hook until then; False when another one does."""
        free = (_h.id == hook_id, _h.leased_until <= now)
        async with self._store.write() as connection:
            done = await connection.execute(sa.update(hooks).where(*free).values(leased_until=until))
            return done.rowcount == 1

    async def extend(self, hook_id: str, *, until: int) -> None:
        """`until` 0: another server may."""
        async with self._store.write() as connection:
            await connection.execute(sa.update(hooks).where(_h.id == hook_id).values(leased_until=until))

    async def next(self, hook_id: str) -> Waiting | None:
        """What is to be delivered to the hook first."""
        statement = (
            sa.select(
                _d.number,
                _h.id,
                _h.company_id,
                _h.url,
                _h.secret,
                _d.message_id,
                _d.kind,
                _d.body,
                _d.created_at,
                _d.next_at,
                _d.attempts,
            )
            .join(hooks, _d.hook_id == _h.id)
            .where(_d.hook_id == hook_id, _d.state == State.WAITING, _h.enabled.is_(True))
            .order_by(_d.number)
            .limit(1)
        )
        async with self._store.read() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else Waiting(*row)

    async def attempted(self, waiting: Waiting, outcome: str, *, state: State, at: int) -> None:
        """How an attempt went; `at` is when the next one is due, or when it ended."""
        values: dict[str, Any] = {"attempts": waiting.attempts + 1, "outcome": outcome, "state": state}
        values |= {"next_at": at} if state is State.WAITING else {"ended_at": at}
        async with self._store.write() as connection:
            await connection.execute(
                sa.update(deliveries).where(_d.number == waiting.number).values(**values)
            )

    async def forget_before(self, at: int) -> None:
        """Drop what ended before this time."""
        async with self._store.write() as connection:
            await connection.execute(sa.delete(deliveries).where(_d.ended_at < at))


def row_of(hook_id: str, kind: Kind, body: str, now: int) -> dict[str, object]:
    """A new delivery, due at once."""
    return {
        "hook_id": hook_id,
        "message_id": f"msg_{new_id()}",
        "kind": kind,
        "body": body,
        "state": State.WAITING,
        "created_at": now,
        "next_at": now,
        "attempts": 0,
        "outcome": "",
        "ended_at": None,
    }


async def current_links(connection: AsyncConnection, company_id: str) -> dict[str, str]:
    """A company's confirmed links: their ids, and the other company's."""
    theirs = sa.or_(_l.company_id == company_id, _l.other_id == company_id)
    statement = sa.select(_l.id, _l.company_id, _l.other_id).where(theirs, _l.confirmed_at.is_not(None))
    rows = await connection.execute(statement)
    return {id: other if one == company_id else one for id, one, other in rows}


async def _told(connection: AsyncConnection, news: Sequence[Sequence[Any]]) -> list[dict[str, object]]:
    """The deliveries that these changes make."""
    wanted = await _wanted(connection, {row[2] for row in news})
    told: list[dict[str, object]] = []
    for _, change, company_id, account_id, at in news:
        theirs = wanted.get(company_id)
        if theirs is None:
            continue
        if change == ChangeKind.LINKS_CHANGED:
            events = await _link_events(connection, company_id, at)
        else:
            kind = BY_CHANGE[ChangeKind(change)]
            events = [(kind, body_of(kind, at, company_id=company_id, user_id=account_id))]
        told += [
            row_of(hook_id, kind, body, at)
            for kind, body in events
            for hook_id, kinds in theirs.items()
            if not kinds or kind in kinds
        ]
    return told


async def _wanted(
    connection: AsyncConnection, company_ids: set[str]
) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """By company and hook, what each wants to be told of; hooks that are switched off are told nothing."""
    found: dict[str, dict[str, Sequence[str]]] = {}
    if not company_ids:
        return found
    statement = sa.select(_h.company_id, _h.id, _h.events, _h.enabled).where(
        _h.company_id.in_(sorted(company_ids))
    )
    for company_id, hook_id, events, enabled in await connection.execute(statement):
        theirs = found.setdefault(company_id, {})
        if enabled:
            theirs[hook_id] = json.loads(events)
    return found


async def _link_events(connection: AsyncConnection, company_id: str, at: int) -> list[tuple[Kind, str]]:
    """What became of a company's links since it was looked at last; the change itself does not say."""
    statement = sa.select(_k.link_id, _k.other_id).where(_k.company_id == company_id)
    known = {row[0]: row[1] for row in await connection.execute(statement)}
    current = await current_links(connection, company_id)
    events: list[tuple[Kind, str]] = []
    for kind, ids in (
        (Kind.LINK_REVOKED, known.keys() - current),
        (Kind.LINK_MADE, current.keys() - known),
    ):
        for link_id in sorted(ids):
            other_id = (current | known)[link_id]
            data = {"company_id": company_id, "link_id": link_id, "other_company_id": other_id}
            events.append((kind, body_of(kind, at, **data)))
            this = (_k.company_id == company_id, _k.link_id == link_id)
            await connection.execute(sa.delete(known_links).where(*this))
            if kind is Kind.LINK_MADE:
                row = {"company_id": company_id, "link_id": link_id, "other_id": other_id}
                await connection.execute(sa.insert(known_links), row)
    return events
