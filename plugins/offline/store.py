"""The messages that wait for people who are not online."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from rainbow_xmpp.store import Store
from rainbow_xmpp.store.batch import Batcher
from rainbow_xmpp.store.keys import owner_list, owners
from rainbow_xmpp.store.people import LONG_ID
from rainbow_xmpp.store.tables import people_table, users

messages = people_table(
    "offline_messages",
    sa.Column("id", LONG_ID, primary_key=True, autoincrement=True),
    sa.Column("stanza", sa.LargeBinary(), nullable=False),
    key=None,
)

_m = messages.c
_OWNED = sa.and_(_m.company_id == sa.bindparam("company"), _m.owner_id == sa.bindparam("owner"))
_INSERT = sa.insert(messages)
_LOAD = (
    sa.select(_m.id, _m.created_at, _m.stanza)
    .where(_OWNED, _m.id > sa.bindparam("after"))
    .order_by(_m.id)
    .limit(sa.bindparam("most"))
)
_COUNT = sa.select(sa.func.count()).select_from(messages).where(_OWNED)
_FORGET = sa.delete(messages).where(_OWNED, _m.id.in_(sa.bindparam("ids", expanding=True)))


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that waits: its place in the row, when it came (Unix time in seconds), and its bytes."""

    id: int
    at: int
    stanza: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait for one person."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class _Arrival:
    company_id: str
    owner_id: str
    stanza: bytes = field(repr=False)
    room: Room


@dataclass(slots=True)
class _Box:
    """What waits for one person, while messages are put to it."""

    region: str
    messages: int
    bytes: int

    def takes(self, arrival: _Arrival) -> bool:
        """Put a message in, if there is room for it."""
        size = len(arrival.stanza)
        if self.messages >= arrival.room.messages or self.bytes + size > arrival.room.bytes:
            return False
        self.messages += 1
        self.bytes += size
        return True


class OfflineMessages:
    """Kept until they were delivered: load, deliver, and only then forget.

    Messages that come while one transaction runs go into the next one together.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._arrivals: Batcher[_Arrival, bool] = Batcher(self._keep_all)
        self._logins: Batcher[tuple[str, str], bool] = Batcher(self._who_has_any)
        asked = owners(store.dialect)
        is_theirs = sa.and_(_m.company_id == asked.c.company_id, _m.owner_id == asked.c.owner_id)
        waiting = sa.select(sa.func.count()).where(is_theirs).scalar_subquery()
        size = sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(_m.stanza)), 0)).where(is_theirs)
        self._who = sa.select(
            asked.c.company_id, asked.c.owner_id, users.c.region, waiting, size.scalar_subquery()
        ).select_from(
            asked.join(
                users,
                sa.and_(users.c.company_id == asked.c.company_id, users.c.id == asked.c.owner_id),
            )
        )
        self._any = store.prepare(
            sa.select(asked.c.company_id, asked.c.owner_id).where(sa.exists().where(is_theirs))
        )

    async def keep(self, company_id: str, owner_id: str, stanza: bytes, room: Room) -> bool:
        """Keep a message; it is on the disk when this returns True.

        False: there is no room for it beside what waits for the owner already, or no such owner.
        """
        return bool(await self._arrivals.get(_Arrival(company_id, owner_id, stanza, room)))

    async def has_any(self, company_id: str, owner_id: str) -> bool:
        """Whether messages wait for this person: the question of every login, so a storm of them is one query."""
        return bool(await self._logins.get((company_id, owner_id)))

    async def load(self, company_id: str, owner_id: str, *, after: int = 0, most: int = 100) -> list[Kept]:
        """The oldest messages after that one; ask again with the last one's id while any come."""
        parameters = {"company": company_id, "owner": owner_id, "after": after, "most": most}
        async with self._store.read() as connection:
            return [Kept(*row) for row in await connection.execute(_LOAD, parameters)]

    async def forget(self, company_id: str, owner_id: str, ids: Sequence[int]) -> int:
        """Drop these messages, which were delivered; returns how many.

        By their ids and not up to one: another node's transaction with a lower id may be committed last.
        """
        parameters = {"company": company_id, "owner": owner_id, "ids": list(ids)}
        async with self._store.write() as connection:
            return (await connection.execute(_FORGET, parameters)).rowcount

    async def count(self, company_id: str, owner_id: str) -> int:
        """How many messages wait for this person."""
        async with self._store.read() as connection:
            result = await connection.execute(_COUNT, {"company": company_id, "owner": owner_id})
            return int(result.scalar_one())

    async def expire(self, before: int) -> int:
        """Drop every message that came before this Unix time (seconds); returns how many."""
        async with self._store.write() as connection:
            return (await connection.execute(sa.delete(messages).where(_m.created_at < before))).rowcount

    async def close(self) -> None:
        """Wait until what came is on the disk."""
        await self._arrivals.close()
        await self._logins.close()

    async def _who_has_any(self, asked: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], bool]:
        found = await self._store.fetch(self._any, owner_list(self._store.dialect, asked))
        return {(row[0], row[1]): True for row in found}

    async def _keep_all(self, arrivals: Sequence[_Arrival]) -> Mapping[_Arrival, bool]:
        pairs = sorted({(arrival.company_id, arrival.owner_id) for arrival in arrivals})
        at = int(self._store.now())
        rows: list[dict[str, object]] = []
        kept: dict[_Arrival, bool] = {}
        async with self._store.write() as connection:
            found = await connection.execute(self._who, owner_list(self._store.dialect, pairs))
            boxes = {(row[0], row[1]): _Box(*row[2:]) for row in found}
            for arrival in arrivals:
                box = boxes.get((arrival.company_id, arrival.owner_id))
                if box is None or not box.takes(arrival):
                    continue
                kept[arrival] = True
                rows.append(
                    {
                        "company_id": arrival.company_id,
                        "owner_id": arrival.owner_id,
                        "region": box.region,
                        "created_at": at,
                        "stanza": arrival.stanza,
                    }
                )
            if rows:
                await connection.execute(_INSERT, rows)
        return kept
