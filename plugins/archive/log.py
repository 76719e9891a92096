"""Reading the log: what is in it, and what of it waits for a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.archive import tables
from rainbow_xmpp.plugins.archive.entries import Entry, Mark, is_same, origins_of
from rainbow_xmpp.plugins.archive.numbers import RECEIVED
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.batch import Batcher

_m, _w, _o, _s = tables.messages.c, tables.waiting.c, tables.owners.c, tables.origins.c
_LAST = sa.union_all(sa.select(sa.func.max(_m.key)), sa.select(tables.indexed.c.key))


@dataclass(frozen=True, slots=True)
class Logged:
    """One message in somebody's log."""

    key: int
    stanza: bytes = field(repr=False)

    @property
    def number(self) -> int:
        """Its id, the same in the logs of both sides."""
        return self.key >> 1


class Log:
    """Everybody's log, to be read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._logins: Batcher[str, bool] = Batcher(self._who_misses_any)
        self._waiting = store.prepare(
            sa.select(_m.key, _m.stanza)
            .select_from(
                tables.waiting.join(tables.messages, sa.and_(_m.key == _w.key, _m.owner == _w.owner))
            )
            .where(_w.owner == sa.bindparam("owner"), _w.key > sa.bindparam("after"))
            .order_by(_w.key)
            .limit(sa.bindparam("most"))
        )

    async def last_number(self) -> int:
        """The greatest number that was ever drawn, as far as any log or its index still has it; 0 for none."""
        async with self._store.read() as connection:
            keys = (await connection.execute(_LAST)).scalars()
            return max(int(key or 0) for key in keys) >> 1

    async def misses_any(self, account: Account) -> bool:
        """Whether messages wait for this person: the question of every login, so a storm of them is one query."""
        return bool(await self._logins.get(account.id))

    async def waiting(self, owner: int, *, after: int = 0, most: int) -> list[Logged]:
        """The oldest messages that wait for the owner, behind the one with this key."""
        rows = await self._store.fetch(self._waiting, {"owner": owner, "after": after, "most": most})
        return [Logged(row[0], bytes(row[1])) for row in rows]

    async def find_earlier(self, entries: Sequence[Entry | Mark], is_blind: bool) -> None:
        """Of messages that could not be written, which are in the log from before, having been said again."""
        said = origins_of(entries)
        for entry in entries:
            if isinstance(entry, Entry):
                entry.was_known = False  # whatever the transaction had found that failed
        if is_blind or not said:
            return
        async with self._store.read() as connection:
            where = _s.origin.in_([entry.origin for entry in said])
            rows = await connection.execute(sa.select(_s.origin, _s.owner, _s.number).where(where))
            found = {row.origin: row for row in rows}
            for entry in said:
                row = found.get(entry.origin)
                if row is not None and row.number != entry.number:
                    keys = (row.number * 2, row.number * 2 + RECEIVED)
                    stanzas = sa.select(_m.stanza).where(_m.key.in_(keys)).limit(1)
                    earlier = (await connection.execute(stanzas)).one_or_none()
                    entry.was_known = is_same(entry, row.owner, earlier)

    async def close(self) -> None:
        """Answer what was asked for."""
        await self._logins.close()

    async def _who_misses_any(self, accounts: Sequence[str]) -> Mapping[str, bool]:
        statement = sa.select(_o.account_id).where(
            _o.account_id.in_(accounts), sa.exists().where(_w.owner == _o.number)
        )
        async with self._store.read() as connection:
            return dict.fromkeys((await connection.execute(statement)).scalars(), True)
