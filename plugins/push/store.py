"""Subscriptions as rows, and the server's key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.push.tables import keys, subscriptions
from rainbow_xmpp.plugins.push.values import Key, Origin, Registered, Shows
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.ownership import owned_by
from rainbow_xmpp.store.tables import users

_s = subscriptions.c
_REGISTERED = (_s.company_id, _s.owner_id, _s.node, _s.agent, _s.epoch, _s.family, _s.app_password, _s.shows)
_NOTHING_TO_TELL: Mapping[str, object] = {
    "unseen": 0,
    "last_message": None,
    "call_until": 0,
    "expires_at": 0,
    "due_at": None,
    "attempts": 0,
    "leased_until": 0,
}


@dataclass(frozen=True, slots=True)
class Subscription:
    """What its owner may see of it; times are Unix time in seconds."""

    node: str
    shows: Shows
    enabled: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """A device that can be woken. `secret` and `target_hash` are hashes, `target` is sealed."""

    node: str
    secret: bytes = field(repr=False)
    target: bytes = field(repr=False)
    target_hash: bytes = field(repr=False)
    shows: Shows
    origin: Origin


class Subscriptions:
    """Of whom they are comes first, but for what concerns everybody's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- for their owners ------------------------------------------------------------------------------

    async def of(self, account: Account) -> list[Subscription]:
        """An account's, oldest first."""
        statement = (
            sa.select(_s.node, _s.shows, _s.enabled, _s.created_at)
            .where(_of(account), _s.epoch == account.epoch)
            .order_by(_s.created_at, _s.node)
        )
        async with self._store.read() as connection:
            rows = await connection.execute(statement)
            return [Subscription(node, Shows(shows), bool(on), at) for node, shows, on, at in rows]

    async def add(self, account: Account, new: NewSubscription, *, most: int) -> set[str]:
        """Keep it in the place of what the same browser had before, whoever used it; of more than `most` of an account,
        those go that were not used for longest. Returns the ids of the accounts that lost some. Raises NotFound when
        the account is gone."""
        now = int(self._store.now())
        async with self._store.write() as connection:
            row = await owned_by(connection, account.company.id, account.id, now)
            before = sa.delete(subscriptions).where(_s.target_hash == new.target_hash).returning(_s.owner_id)
            lost = set((await connection.execute(before)).scalars())
            by_use = sa.select(_s.node).where(_of(account)).order_by(_s.used_at.desc(), _s.node)
            beyond = (await connection.execute(by_use.offset(most - 1))).scalars().all()
            if beyond:
                lost.add(account.id)
                await connection.execute(sa.delete(subscriptions).where(_of(account), _s.node.in_(beyond)))
            row |= {
                "node": new.node,
                "secret": new.secret,
                "target": new.target,
                "target_hash": new.target_hash,
                "shows": new.shows,
                "used_at": now,
                "enabled": False,
                "agent": "",
                "news": 0,
                "told_at": 0,
                **_origin(new.origin),
                **_NOTHING_TO_TELL,
            }
            await connection.execute(sa.insert(subscriptions), row)
        return lost

    async def remove(self, account: Account, node: str) -> bool:
        """False: the account has no such one."""
        return await self._delete(_of(account), _s.node == node) > 0

    # -- XEP-0357 --------------------------------------------------------------------------------------

    async def enable(self, account: Account, node: str, secret: bytes, agent: str, origin: Origin) -> bool:
        """Tell this device from now on, which is that client's; False when there is none with this secret (its hash).

        A client has one: those of its others are disabled.
        """
        theirs = (_of(account), _s.node == node, _s.secret == secret)
        values = {"enabled": True, "agent": agent, "used_at": int(self._store.now()), **_origin(origin)}
        async with self._store.write() as connection:
            updating = sa.update(subscriptions).where(*theirs).values(**values)
            if not (await connection.execute(updating)).rowcount:
                return False
            if agent:
                others = (_of(account), _s.agent == agent, _s.node != node)
                await connection.execute(_disabling(*others))
        return True

    async def disable(self, account: Account, node: str | None) -> None:
        """Tell this device nothing any more, or none of the account's."""
        which = [_of(account)] if node is None else [_of(account), _s.node == node]
        async with self._store.write() as connection:
            await connection.execute(_disabling(*which))

    async def registered(self, owner_id: str | None = None) -> list[Registered]:
        """Devices that are to be told: this account's, or all."""
        statement = sa.select(*_REGISTERED).where(_s.enabled.is_(True)).order_by(_s.owner_id, _s.node)
        if owner_id is not None:
            statement = statement.where(_s.owner_id == owner_id)
        async with self._store.read() as connection:
            return [registered_of(row) for row in await connection.execute(statement)]

    # -- what ends them --------------------------------------------------------------------------------

    async def origins(self, owner_id: str) -> list[Registered]:
        """All of an account's, enabled or not."""
        statement = sa.select(*_REGISTERED).where(_s.owner_id == owner_id)
        async with self._store.read() as connection:
            return [registered_of(row) for row in await connection.execute(statement)]

    async def carry_over(self, key: Key, epoch: int) -> None:
        """Its client goes on with another password."""
        async with self._store.write() as connection:
            await connection.execute(sa.update(subscriptions).where(is_it(key)).values(epoch=epoch))

    async def drop(self, gone: Iterable[Key]) -> int:
        """Forget these; how many were there."""
        which = [is_it(key) for key in gone]
        return await self._delete(sa.or_(*which)) if which else 0

    async def drop_of(self, owner_id: str, agent: str | None = None) -> int:
        """Forget all of an account's, or those of one client."""
        return await self._delete(_s.owner_id == owner_id, *([] if agent is None else [_s.agent == agent]))

    async def drop_outdated(self) -> int:
        """Forget those whose account was changed since; how many."""
        epoch = sa.select(users.c.epoch).where(users.c.id == _s.owner_id).scalar_subquery()
        return await self._delete(_s.epoch != epoch)

    async def _delete(self, *which: sa.ColumnElement[bool]) -> int:
        async with self._store.write() as connection:
            return (await connection.execute(sa.delete(subscriptions).where(*which))).rowcount

    # -- the server's key ------------------------------------------------------------------------------

    async def key(self, name: str, sealed: bytes) -> bytes:
        """The key of this name as it is kept: this one, unless there is one."""
        finding = sa.select(keys.c.sealed).where(keys.c.name == name)
        async with self._store.read() as connection:
            found = (await connection.execute(finding)).scalar_one_or_none()
        if found is None:
            row = {"name": name, "sealed": sealed, "created_at": int(self._store.now())}
            with suppress(sa.exc.IntegrityError):  # another server was quicker
                async with self._store.write() as connection:
                    await connection.execute(sa.insert(keys), row)
            async with self._store.read() as connection:
                found = (await connection.execute(finding)).scalar_one()
        return bytes(found)

    async def put_key(self, name: str, sealed: bytes) -> None:
        """In the place of the one that is kept."""
        async with self._store.write() as connection:
            await connection.execute(sa.update(keys).where(keys.c.name == name).values(sealed=sealed))

    async def forget_all(self) -> None:
        """Everybody's: what was registered under a key that is lost is worth nothing."""
        await self._delete()

    # -- another sealing key ---------------------------------------------------------------------------

    async def targets(self, *, after: str = "", most: int = 500) -> list[tuple[Key, bytes]]:
        """Sealed targets by node; ask again with the last node while any come."""
        statement = (
            sa.select(_s.company_id, _s.owner_id, _s.node, _s.target)
            .where(_s.node > after)
            .order_by(_s.node)
            .limit(most)
        )
        async with self._store.read() as connection:
            return [(Key(*row[:3]), bytes(row[3])) for row in await connection.execute(statement)]

    async def reseal(self, key: Key, target: bytes, target_hash: bytes) -> None:
        """The same target under another key."""
        async with self._store.write() as connection:
            changing = sa.update(subscriptions).where(is_it(key))
            await connection.execute(changing.values(target=target, target_hash=target_hash))


def is_it(key: Key) -> sa.ColumnElement[bool]:
    """The row of this subscription."""
    return sa.and_(_s.company_id == key.company_id, _s.owner_id == key.owner_id, _s.node == key.node)


def registered_of(row: Sequence[Any]) -> Registered:
    """From the columns of `Registered`, in their order."""
    company_id, owner_id, node, agent, epoch, family, app_password, shows = row
    return Registered(
        Key(company_id, owner_id, node), agent, Origin(epoch, family, app_password), Shows(shows)
    )


def _of(account: Account) -> sa.ColumnElement[bool]:
    return sa.and_(_s.company_id == account.company.id, _s.owner_id == account.id)


def _origin(origin: Origin) -> dict[str, object]:
    return {"epoch": origin.epoch, "family": origin.family, "app_password": origin.app_password}


def _disabling(*which: sa.ColumnElement[bool]) -> sa.Update:
    return sa.update(subscriptions).where(*which).values(enabled=False, agent="", **_NOTHING_TO_TELL)


async def forget_news(connection: AsyncConnection, seen: Collection[Key]) -> None:
    """Their devices have everything."""
    for key in seen:
        values = {**_NOTHING_TO_TELL, "news": _s.news + 1}
        await connection.execute(sa.update(subscriptions).where(is_it(key)).values(**values))
