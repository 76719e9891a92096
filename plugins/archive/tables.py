"""The tables of the log.

A row of `archive_messages` is one message in one person's log. Its `key` is the message's number, doubled, and one
more in the log of whoever received it: in the order of keys every log is in the order in which it was written.

`archive_by_owner` and `archive_by_peer` are its indexes, as tables: on SQLite they are written later, thousands of
entries at a time and in their own order (`tail.py`), which costs a third of keeping them up with every batch
(docs/decisions/0021-delivered-when-committed.md). What stands behind `archive_indexed` is looked for in the messages
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.store.carried import Carried, Row
from rainbow_xmpp.store.people import LONG_ID
from rainbow_xmpp.store.tables import metadata, people_table

owners = people_table(
    "archive_owners",
    sa.Column("number", LONG_ID, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(24), nullable=False, unique=True),  # the owner's, for one row each
    sa.Column(
        "rule", sa.String(8), nullable=False, info={"like": "always"}
    ),  # XEP-0441: always, never or roster
    sa.Column("always", sa.Text(), nullable=False),  # bare JIDs, a line each
    sa.Column("never", sa.Text(), nullable=False),
    key=None,
)

_OF_OWNERS = {"people_by": "archive_owners.number"}
"""Whose rows these are stands in `archive_owners`: a number instead of five columns, twice for each message."""


async def _put(connection: AsyncConnection, rows: Sequence[Row]) -> Mapping[object, object]:
    from rainbow_xmpp.plugins.archive.arriving import put  # which needs these tables

    return await put(connection, rows)


_DRAWN = {**_OF_OWNERS, **Carried(stays="drawn from the messages, here as there").info}

messages = sa.Table(
    "archive_messages",
    metadata,
    sa.Column("key", LONG_ID, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.BigInteger(), nullable=False),
    sa.Column("peer", sa.BigInteger(), nullable=False),  # see `peers.peer_of`
    sa.Column(
        "stanza",
        sa.LargeBinary(),
        nullable=False,
        info={
            "like": "<message xmlns='jabber:client' from='a@example/b' to='c@example'><body>{}</body></message>"
        },
    ),
    info={**_OF_OWNERS, **Carried(put=_put).info},
)

by_owner = sa.Table(
    "archive_by_owner",
    metadata,
    sa.Column("owner", sa.BigInteger(), nullable=False),
    sa.Column("key", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("owner", "key"),
    info=_DRAWN,
    sqlite_with_rowid=False,
)

by_peer = sa.Table(
    "archive_by_peer",
    metadata,
    sa.Column("owner", sa.BigInteger(), nullable=False),
    sa.Column("peer", sa.BigInteger(), nullable=False),
    sa.Column("key", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("owner", "peer", "key"),
    info=_DRAWN,
    sqlite_with_rowid=False,
)

indexed = sa.Table(
    "archive_indexed",
    metadata,
    sa.Column("key", sa.BigInteger(), nullable=False),  # one row: up to this key, on SQLite
)

texts_known = sa.Table(
    "archive_texts_known",
    metadata,
    sa.Column(
        "number", sa.BigInteger(), nullable=False
    ),  # one row: up to this number `texts` has entered words
)

gone = sa.Table(
    "archive_gone",
    metadata,
    # Owners that were removed, by a trigger of the database in the same transaction: their rows are left to be deleted.
    sa.Column("owner", LONG_ID, primary_key=True, autoincrement=False),
    info=_DRAWN,
)

waiting = sa.Table(
    "archive_waiting",
    metadata,
    sa.Column("owner", sa.BigInteger(), nullable=False),
    sa.Column("key", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("owner", "key"),
    info=_OF_OWNERS,
    sqlite_with_rowid=False,
)

retractions = sa.Table(
    "archive_retractions",
    metadata,
    # Messages that take others back, which has yet to be done; a row of theirs is written in the same commit.
    sa.Column("number", LONG_ID, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.BigInteger(), nullable=False),
    info={**_OF_OWNERS, **Carried(must_be_over=True).info},
)

origins = sa.Table(
    "archive_origins",
    metadata,
    sa.Column("origin", LONG_ID, primary_key=True, autoincrement=False),  # see `peers.origin_of`
    sa.Column("owner", sa.BigInteger(), nullable=False),
    sa.Column("number", sa.BigInteger(), nullable=False),
    info=_DRAWN,
)
