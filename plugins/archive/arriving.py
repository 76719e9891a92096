"""Logs of people who come from another region: their messages, and all that is drawn from these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.plugins.archive import tables, texts
from rainbow_xmpp.plugins.archive.numbers import NODES, RECEIVED, origin_of
from rainbow_xmpp.store.carried import Row
from rainbow_xmpp.store.upsert import insert_or_ignore
from rainbow_xmpp.xml import names, scan_again

_m = tables.messages.c
_NEXT = NODES * 2
"""From one key to that of the next message that the same node could have kept in that millisecond."""


async def put(connection: AsyncConnection, rows: Sequence[Row]) -> Mapping[object, object]:
    """Write messages into a log that came from another region. Their keys stay, and so do their ids.

    Two regions whose nodes have the same number may have kept two messages under one key: that one gets the next key
    that is free, and these are returned.
    """
    renamed = await _taken(connection, [row["key"] for row in rows])
    kept = [{**row, "key": renamed.get(row["key"], row["key"])} for row in rows]
    dialect = connection.dialect.name
    await connection.execute(sa.insert(tables.messages), kept)
    await connection.execute(
        insert_or_ignore(dialect, tables.by_owner),
        [{"owner": row["owner"], "key": row["key"]} for row in kept],
    )
    await connection.execute(
        insert_or_ignore(dialect, tables.by_peer),
        [{"owner": row["owner"], "peer": row["peer"], "key": row["key"]} for row in kept],
    )
    if origins := list(_origins(kept)):
        await connection.execute(insert_or_ignore(dialect, tables.origins), origins)
    await texts.enter_again(connection, {row["key"] >> 1 for row in kept})
    return renamed


async def _taken(connection: AsyncConnection, keys: Sequence[int]) -> dict[object, int]:
    """Which of these are somebody else's here, and what is free in their place."""
    found: dict[object, int] = {}
    for key in (await connection.execute(sa.select(_m.key).where(_m.key.in_(keys)))).scalars():
        free = key + _NEXT
        while free in keys or free in found.values() or await _is_taken(connection, free):
            free += _NEXT
        found[key] = free
    return found


async def _is_taken(connection: AsyncConnection, key: int) -> bool:
    return (await connection.execute(sa.select(_m.key).where(_m.key == key))).first() is not None


def _origins(rows: Sequence[Row]) -> Iterator[Row]:
    """What they are known by when they are sent again, by their new owner's number."""
    for row in rows:
        if row["key"] % 2 == RECEIVED:
            continue
        view = scan_again(bytes(row["stanza"]))
        child = view.child("origin-id", names.STANZA_ID)
        origin_id = "" if child is None else view.child_element(child).get("id", "")
        if origin_id:
            yield {
                "origin": origin_of(row["owner"], row["peer"], origin_id),
                "owner": row["owner"],
                "number": row["key"] >> 1,
            }
