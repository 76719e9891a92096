"""What devices are to be told, in the database: a restart loses nothing of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugins.push.store import forget_news, is_it, registered_of
from rainbow_xmpp.plugins.push.tables import subscriptions
from rainbow_xmpp.plugins.push.values import CALL_S, Due, Key
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.tables import companies, users

_s = subscriptions.c
MOST_UNSEEN = 9_999
"""So many messages are counted."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something new for one device. `last_message` is sealed."""

    messages: int
    is_call: bool
    wait_s: int
    last_message: bytes | None = field(default=None, repr=False)


class Queue:
    """`now` and all times are Unix time in seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, told: Mapping[Key, Told], now: int, *, pause_s: int, keep_s: int) -> int | None:
        """Let these devices be told; when the first of them is due, if any is.

        That is after their `wait_s`, and `pause_s` after the time before; at once for a call. What has failed keeps the
        time at which it is tried again. It is worth telling for `keep_s`.
        """
        first: int | None = None
        async with self._store.write() as connection:
            for key, each in told.items():
                due_at = await self._add_one(connection, key, each, now, pause_s, keep_s)
                if due_at is not None and (first is None or due_at < first):
                    first = due_at
        return first

    async def _add_one(
        self,
        connection: AsyncConnection,
        key: Key,
        told: Told,
        now: int,
        pause_s: int,
        keep_s: int,
    ) -> int | None:
        reading = sa.select(_s.due_at, _s.told_at, _s.attempts, _s.unseen).where(
            is_it(key), _s.enabled.is_(True)
        )
        row = (await connection.execute(reading)).one_or_none()
        if row is None:
            return None
        due_at, told_at, attempts, unseen = row
        soon: int = now if told.is_call else max(now + told.wait_s, told_at + pause_s)
        if due_at is not None:
            soon = due_at if attempts else min(due_at, soon)
        values: dict[str, object] = {
            "unseen": min(unseen + told.messages, MOST_UNSEEN),
            "news": _s.news + 1,
            "due_at": soon,
        }
        if told.is_call:
            values["call_until"] = now + CALL_S
        if told.messages:
            values["expires_at"] = now + keep_s
        if told.last_message is not None:
            values["last_message"] = told.last_message
        await connection.execute(sa.update(subscriptions).where(is_it(key)).values(**values))
        return soon

    async def seen(self, keys: Collection[Key]) -> None:
        """Their devices have everything: nothing is to be told."""
        async with self._store.write() as connection:
            await forget_news(connection, keys)

    async def open(self) -> set[Key]:
        """The devices that were not there since something came for them."""
        columns = (_s.company_id, _s.owner_id, _s.node)
        statement = sa.select(*columns).where(sa.or_(_s.unseen > 0, _s.due_at.is_not(None)))
        async with self._store.read() as connection:
            return {Key(*row) for row in await connection.execute(statement)}

    async def next_at(self, *, after: int) -> int | None:
        """When the first is due that is not due at this time."""
        async with self._store.read() as connection:
            found = await connection.execute(sa.select(sa.func.min(_s.due_at)).where(_s.due_at > after))
            at: int | None = found.scalar_one_or_none()
            return at

    async def due(self, now: int, *, most: int) -> list[Due]:
        """What is due and nobody is telling: of accounts that may log in, by what they may still log in with."""
        statement = (
            sa.select(
                *(_s.company_id, _s.owner_id, _s.node, _s.agent, _s.epoch, _s.family, _s.app_password),
                *(_s.shows, users.c.localpart, _s.target, _s.unseen, _s.news, _s.last_message),
                *(_s.call_until, _s.expires_at, _s.attempts),
            )
            .join(users, users.c.id == _s.owner_id)
            .join(companies, companies.c.id == users.c.company_id)
            .where(
                _s.due_at <= now,
                _s.leased_until <= now,
                _s.enabled.is_(True),
                users.c.epoch == _s.epoch,
                users.c.disabled.is_(False),
                companies.c.disabled.is_(False),
            )
            .order_by(_s.due_at)
            .limit(most)
        )
        async with self._store.read() as connection:
            return [
                Due(registered_of(row[:8]), row[8], bytes(row[9]), row[10], row[11], *row[12:])
                for row in await connection.execute(statement)
            ]

    async def claim(self, due: Due, now: int, *, until: int) -> bool:
        """Only this server tells it until then; False when another does, or there is nothing to tell any more."""
        key = due.registered.key
        free = (is_it(key), _s.leased_until <= now, _s.due_at.is_not(None), _s.news == due.news)
        async with self._store.write() as connection:
            claiming = sa.update(subscriptions).where(*free).values(leased_until=until)
            return (await connection.execute(claiming)).rowcount == 1

    async def told(self, due: Due, now: int, *, pause_s: int) -> int | None:
        """The device was told, or what there was is not worth telling any more. What came meanwhile is due after
        `pause_s`, a call at once: returns when, if there is anything."""
        key = due.registered.key
        over = {"due_at": None, "call_until": 0, "expires_at": 0, "last_message": None}
        done = {"told_at": now, "attempts": 0, "leased_until": 0}
        async with self._store.write() as connection:
            ending = sa.update(subscriptions).where(is_it(key), _s.news == due.news).values(**over, **done)
            if (await connection.execute(ending)).rowcount:
                return None
            reading = sa.select(_s.call_until, _s.due_at).where(is_it(key))
            row = (await connection.execute(reading)).one_or_none()
            if row is None:
                return None
            is_new_call = row.call_until > now and row.call_until != due.call_until
            at = now if is_new_call else now + pause_s
            values = {**done, "due_at": None if row.due_at is None else at}
            if not is_new_call:
                values["call_until"] = 0
            await connection.execute(sa.update(subscriptions).where(is_it(key)).values(**values))
            return None if row.due_at is None else at

    async def again(self, due: Due, at: int) -> None:
        """It failed, and is due again at this time."""
        values = {"due_at": at, "attempts": due.attempts + 1, "leased_until": 0}
        async with self._store.write() as connection:
            which = (is_it(due.registered.key), _s.due_at.is_not(None))
            await connection.execute(sa.update(subscriptions).where(*which).values(**values))
