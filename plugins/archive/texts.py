"""Full-text search (XEP-0431): an index of words, written in the background.

A row is one message, found by its words and by whose logs it was written into (`@12`). What is behind the end of the
index is read word by word. On SQLite the index is a table of FTS5, on PostgreSQL a `tsvector` under a GIN index; both
get words that are the same already, so that none of their own rules about languages count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugins.archive import tables
from rainbow_xmpp.plugins.archive.asked import Wanted
from rainbow_xmpp.plugins.archive.log import Logged
from rainbow_xmpp.plugins.archive.numbers import RECEIVED
from rainbow_xmpp.plugins.archive.words import text_in, words_asked, words_in
from rainbow_xmpp.store import Store
from rainbow_xmpp.xml import scan_again

AT_ONCE = 400
"""Rows of the log that are entered in one transaction."""

_m, _known = tables.messages.c, tables.texts_known.c

_FIND = {
    "sqlite": """SELECT m.key, m.stanza FROM archive_texts t CROSS JOIN archive_messages m
        ON m.key IN (t.rowid * 2, t.rowid * 2 + 1)
        WHERE t.archive_texts MATCH :words AND t.rowid BETWEEN :least / 2 AND :greatest / 2
        AND m.key BETWEEN :least AND :greatest AND m.owner = :owner {talk} ORDER BY t.rowid {order} LIMIT :most""",
    "postgresql": """SELECT m.key, m.stanza FROM archive_texts t JOIN archive_messages m
        ON m.key IN (t.number * 2, t.number * 2 + 1)
        WHERE t.words @@ CAST(:words AS tsquery) AND m.key BETWEEN :least AND :greatest
        AND m.owner = :owner {talk} ORDER BY m.key {order} LIMIT :most""",
}
_ENTER = {
    "sqlite": "INSERT OR REPLACE INTO archive_texts (rowid, words) VALUES (:number, :words)",
    "postgresql": """INSERT INTO archive_texts (number, words)
        VALUES (:number, array_to_tsvector(string_to_array(:words, ' '))) ON CONFLICT DO NOTHING""",
}
_FORGET = {
    "sqlite": "DELETE FROM archive_texts WHERE rowid = :number",
    "postgresql": "DELETE FROM archive_texts WHERE number = :number",
}


class Texts:
    """The words of all messages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_sqlite = store.dialect == "sqlite"

    async def known(self) -> int:
        """Up to this number messages are in the index."""
        async with self._store.read() as connection:
            return int((await connection.execute(sa.select(_known.number))).scalar_one_or_none() or 0)

    async def find(
        self, owner: int, peer: int | None, wanted: Wanted, most: int, *, is_backward: bool
    ) -> Sequence[Logged]:
        """The first of a log's messages with these words, or the last, in that order; of those in the index."""
        query = self._query(owner, words_asked(wanted.words))
        statement = _FIND[self._store.dialect].format(
            talk="" if peer is None else "AND m.peer = :peer", order="DESC" if is_backward else "ASC"
        )
        parameters = {
            "words": query,
            "owner": owner,
            "least": wanted.least,
            "greatest": wanted.greatest,
            "most": most,
        } | ({} if peer is None else {"peer": peer})
        async with self._store.read() as connection:
            rows = await connection.execute(sa.text(statement), parameters)
            return [Logged(row[0], bytes(row[1])) for row in rows]

    async def enter_some(self, before: int) -> bool:
        """Enter the next messages with numbers below this one; whether there may be more."""
        known = await self.known()
        statement = (
            sa.select(_m.key, _m.owner, _m.stanza)
            .where(_m.key > known * 2 + 1, _m.key < before * 2)
            .order_by(_m.key)
            .limit(AT_ONCE)
        )
        async with self._store.read() as connection:
            rows = [(row[0], row[1], bytes(row[2])) for row in await connection.execute(statement)]
        if not rows:
            return False
        last = (rows[-1][0] >> 1) - (len(rows) == AT_ONCE)  # the other half of the last one may be missing
        entries = await asyncio.to_thread(lambda: [each for each in _entries(rows) if each["number"] <= last])
        async with self._store.write() as connection:
            if entries:
                await connection.execute(sa.text(_ENTER[self._store.dialect]), entries)
            found = await connection.execute(sa.update(tables.texts_known).values(number=last))
            if not found.rowcount:
                await connection.execute(sa.insert(tables.texts_known).values(number=last))
        return len(rows) == AT_ONCE

    def _query(self, owner: int, words: Iterable[str]) -> str:
        if self._is_sqlite:
            spelled = [f'"{word[:-1]}" *' if word.endswith("*") else f'"{word}"' for word in sorted(words)]
            return " AND ".join([f'"@{owner}"', *spelled])
        spelled = [f"'{word[:-1]}':*" if word.endswith("*") else f"'{word}'" for word in sorted(words)]
        return " & ".join([f"'@{owner}'", *spelled])


async def forget(connection: AsyncConnection, numbers: Collection[int]) -> None:
    """These messages are not found by their words any more."""
    statement = sa.text(_FORGET[connection.dialect.name])
    if numbers:
        await connection.execute(statement, [{"number": number} for number in numbers])


async def enter_again(connection: AsyncConnection, numbers: Collection[int]) -> None:
    """Messages came to be in other logs than before: they are found there, as far as the index goes."""
    known = int((await connection.execute(sa.select(_known.number))).scalar_one_or_none() or 0)
    entered = [number for number in numbers if number <= known]
    if not entered:
        return
    await forget(connection, entered)
    sides = [number * 2 + side for number in entered for side in (0, RECEIVED)]
    found = sa.select(_m.key, _m.owner, _m.stanza).where(_m.key.in_(sides)).order_by(_m.key)
    rows = [(row[0], row[1], bytes(row[2])) for row in await connection.execute(found)]
    if entries := await asyncio.to_thread(lambda: list(_entries(rows))):
        await connection.execute(sa.text(_ENTER[connection.dialect.name]), entries)


def _entries(rows: Iterable[tuple[int, int, bytes]]) -> Iterable[dict[str, int | str]]:
    for number, copies in groupby(rows, key=lambda row: row[0] >> 1):
        both = list(copies)
        words = words_in(text_in(scan_again(both[0][2])))
        if words:
            owners = sorted({f"@{owner}" for _, owner, _ in both})
            yield {"number": number, "words": " ".join((*owners, *sorted(words)))}
