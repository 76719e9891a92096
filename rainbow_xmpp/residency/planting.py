"""Planting: an account that nobody can log in to, with a row in every table that is declared as people's data.

The tables and columns are those of the declarations, plugins' included, and no list of this module's. Where not every
text will do, a column says what one looks like (`info={"like": "always"}`, or `"<body>{}</body>"` around a text).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.moving.kinds import OWNER, Kind, kinds, person
from rainbow_xmpp.residency.canaries import Canaries
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.carried import Keys, Row
from rainbow_xmpp.store.values import Account

_LIKE = "like"
_NUMBERS = itertools.count()


async def plant_rows(store: Store, keys: Keys, account: Account, canaries: Canaries) -> list[str]:
    """A row of this account in every declared table that has none of it yet; the tables' names."""
    planted = []
    whose: Row = {"company_id": account.company.id, "owner_id": account.id, "region": account.region}
    async with store.write() as connection:
        for kind in kinds():
            who = await person(connection, account.company.id, account.id)
            if kind.is_users or not _can_be_planted(kind) or await kind.count(connection, who):
                continue
            belongs = whose
            if kind.by:
                numbers = who.numbers[kind.by]
                belongs = {OWNER: numbers[0]}
            await _plant(connection, kind, belongs, keys, canaries, int(store.now()))
            planted.append(kind.name)
    return planted


def _can_be_planted(kind: Kind) -> bool:
    """Not what is drawn from other rows, and not what a server would try to send somewhere."""
    says_something = any(isinstance(kind.table.c[n].type, sa.String | sa.LargeBinary) for n in kind.columns)
    return not kind.carried.must_be_over and (says_something or not kind.carried.stays)


async def _plant(
    connection: AsyncConnection, kind: Kind, belongs: Row, keys: Keys, canaries: Canaries, now: int
) -> None:
    made = dict(_values(kind, canaries, now, str(belongs.get("owner_id", ""))))
    row = kind.staying([made[name] for name in kind.columns], belongs, keys)
    if kind.carried.put is not None:
        await kind.carried.put(connection, [row])
    else:
        await connection.execute(sa.insert(kind.table), row)


def _values(kind: Kind, canaries: Canaries, now: int, owner_id: str) -> Iterator[tuple[str, Any]]:
    for name in kind.columns:
        column = kind.table.c[name]
        if name == "account_id":
            yield name, owner_id
        elif isinstance(column.type, sa.String | sa.LargeBinary):
            yield name, _text(kind, column, canaries)
        elif isinstance(column.type, sa.Boolean):
            yield name, False
        elif column.nullable:
            yield name, None
        elif column.primary_key:
            yield name, ((now * 1000) << 22) + next(_NUMBERS) * 2
        else:
            yield name, now if isinstance(column.type, sa.BigInteger) else 1


def _text(kind: Kind, column: sa.Column[Any], canaries: Canaries) -> str | bytes:
    place = f"{kind.name}.{column.name}"
    like = str(column.info.get(_LIKE, "{}"))
    room = getattr(column.type, "length", None)
    if "{}" not in like:
        canaries.unplanted.append(place)
        text = like
    elif room is not None and room < canaries.length + len(like) - 2:
        canaries.unplanted.append(place)
        text = "0" * min(room, 8)
    else:
        text = like.replace("{}", canaries.new(place))
    return text.encode() if isinstance(column.type, sa.LargeBinary) else text
