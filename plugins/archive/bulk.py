"""Many rows in few statements of SQLite.

The driver lets go of the interpreter for each statement that it runs, and queues for it again: with a statement for
each row a thread that writes four hundred messages stands in that queue eight hundred times.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain

SIZES = (240, 32, 4, 1)
"""Rows of one statement. Few sizes, so that each is compiled once; the most that older SQLite takes of four values."""


def insert(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[object]]) -> None:
    """Run `into` (INSERT … INTO …, without VALUES) for these rows, which are all of one width."""
    begin = 0
    for size in SIZES:
        while len(rows) - begin >= size:
            some = rows[begin : begin + size]
            connection.execute(_statement(into, len(some[0]), size), tuple(chain.from_iterable(some)))
            begin += size


@cache
def _statement(into: str, width: int, size: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{into} VALUES {', '.join([row] * size)}"
