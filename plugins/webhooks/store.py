"""Hooks of companies, as their administrators keep them, and what was delivered to each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugins.webhooks.events import Kind
from rainbow_xmpp.plugins.webhooks.queue import State, current_links, row_of
from rainbow_xmpp.plugins.webhooks.tables import deliveries, hooks, known_links
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.errors import NotFound

_h, _d, _k = hooks.c, deliveries.c, known_links.c
_COLUMNS = (_h.id, _h.company_id, _h.url, _h.events, _h.secret, _h.enabled, _h.created_at)


@dataclass(frozen=True, slots=True)
class Hook:
    """Whom to call about what. `events` empty: about everything. `secret` is sealed."""

    id: str
    company_id: str
    url: str
    events: tuple[Kind, ...]
    secret: bytes = field(repr=False)
    enabled: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one hook, and how it went; times are Unix time in seconds."""

    message_id: str
    kind: str
    state: State
    created_at: int
    attempts: int
    outcome: str
    ended_at: int | None


class Hooks:
    """Every method takes the company first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of_company(self, company_id: str) -> list[Hook]:
        """Its hooks, oldest first."""
        statement = sa.select(*_COLUMNS).where(_h.company_id == company_id).order_by(_h.created_at, _h.id)
        async with self._store.read() as connection:
            return [_hook(row) for row in await connection.execute(statement)]

    async def get(self, company_id: str, hook_id: str) -> Hook:
        """Raises NotFound."""
        async with self._store.read() as connection:
            return await _one(connection, company_id, hook_id)

    async def add(self, hook: Hook, *, most: int) -> bool:
        """False: the company has so many already. Links that exist are known to a new hook's company."""
        async with self._store.write() as connection:
            counting = sa.select(sa.func.count()).where(_h.company_id == hook.company_id)
            count = (await connection.execute(counting)).scalar_one()
            if count >= most:
                return False
            if count == 0:
                await self._learn_links(connection, hook.company_id)
            row = {
                "id": hook.id,
                "company_id": hook.company_id,
                "url": hook.url,
                "events": json.dumps(hook.events),
                "secret": hook.secret,
                "enabled": hook.enabled,
                "created_at": hook.created_at,
                "leased_until": 0,
            }
            await connection.execute(sa.insert(hooks), row)
        return True

    async def change(
        self,
        company_id: str,
        hook_id: str,
        *,
        url: str | None = None,
        events: Sequence[Kind] | None = None,
        enabled: bool | None = None,
        secret: bytes | None = None,
    ) -> Hook:
        """Change what is given. Raises NotFound."""
        given = {"url": url, "enabled": enabled, "secret": secret}
        values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        if events is not None:
            values["events"] = json.dumps(list(events))
        async with self._store.write() as connection:
            if values:
                theirs = (_h.company_id == company_id, _h.id == hook_id)
                await connection.execute(sa.update(hooks).where(*theirs).values(**values))
            return await _one(connection, company_id, hook_id)

    async def remove(self, company_id: str, hook_id: str) -> None:
        """With all that waits for it. Raises NotFound."""
        async with self._store.write() as connection:
            await _one(connection, company_id, hook_id)
            await connection.execute(sa.delete(deliveries).where(_d.hook_id == hook_id))
            await connection.execute(sa.delete(hooks).where(_h.id == hook_id))

    async def enqueue(self, company_id: str, hook_id: str, kind: Kind, body: str) -> str:
        """Let something wait for one hook; the message's id. Raises NotFound."""
        async with self._store.write() as connection:
            await _one(connection, company_id, hook_id)
            row = row_of(hook_id, kind, body, int(self._store.now()))
            await connection.execute(sa.insert(deliveries), row)
        return str(row["message_id"])

    async def deliveries(self, company_id: str, hook_id: str, *, most: int) -> list[Delivery]:
        """The last ones, newest first. Raises NotFound."""
        columns = (
            _d.message_id,
            _d.kind,
            _d.state,
            _d.created_at,
            _d.attempts,
            _d.outcome,
            _d.ended_at,
        )
        statement = sa.select(*columns).where(_d.hook_id == hook_id).order_by(_d.number.desc()).limit(most)
        async with self._store.read() as connection:
            await _one(connection, company_id, hook_id)
            return [
                Delivery(row[0], row[1], State(row[2]), *row[3:])
                for row in await connection.execute(statement)
            ]

    async def _learn_links(self, connection: AsyncConnection, company_id: str) -> None:
        await connection.execute(sa.delete(known_links).where(_k.company_id == company_id))
        rows = [
            {"company_id": company_id, "link_id": link_id, "other_id": other_id}
            for link_id, other_id in (await current_links(connection, company_id)).items()
        ]
        if rows:
            await connection.execute(sa.insert(known_links), rows)


async def _one(connection: AsyncConnection, company_id: str, hook_id: str) -> Hook:
    statement = sa.select(*_COLUMNS).where(_h.company_id == company_id, _h.id == hook_id)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("webhook", hook_id)
    return _hook(row)


def _hook(row: Sequence[Any]) -> Hook:
    id, company_id, url, events, secret, enabled, created_at = row
    kinds = tuple(Kind(each) for each in json.loads(events))
    return Hook(id, company_id, url, kinds, bytes(secret), bool(enabled), created_at)
