"""The end of the log that is not in its indexes yet, on SQLite, and how it gets there.

People write in a random order: entering each batch into the indexes at once would touch hundreds of pages for it. So
some thousand messages are gathered first, and then entered person by person, in small transactions between two batches
of messages: each page of an index is touched once or twice, and nobody waits for more than a small step. The boundary
in `archive_indexed` moves when all of them are in. Until then readers do not look at the index beyond it
(`ranges.py`), so that they see each message once at any moment; a round that a crash cut short is done again.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from rainbow_xmpp.plugins.archive import bulk
from rainbow_xmpp.plugins.archive.entries import Entry, Mark
from rainbow_xmpp.plugins.archive.numbers import RECEIVED

ROUND = 10_000
"""Rows, two for most messages, with which a round begins even while people write."""
STEP = 600
"""Rows that are entered in one transaction: one or two milliseconds."""
LOAD = 5_000
"""Rows that are read at once of what an earlier process has left."""

_BOUNDARY = "SELECT key FROM archive_indexed"
_LAST = "SELECT max(key) FROM archive_messages"
_MOVE = "UPDATE archive_indexed SET key = ?"
_LEFT = "SELECT owner, peer, key FROM archive_messages WHERE key > ? ORDER BY key LIMIT ?"
_THERE = "SELECT key FROM archive_messages WHERE key IN (%s)"
_BY_OWNER = "INSERT OR IGNORE INTO archive_by_owner (owner, key)"
_BY_PEER = "INSERT OR IGNORE INTO archive_by_peer (owner, peer, key)"

Rows = dict[int, list[tuple[int, int]]]
"""Peer and key, by owner."""


class Tail:
    """Belongs to the thread that writes, but for `removing`; see `rainbow_xmpp.store.group_commit.Upkeep`."""

    def __init__(self) -> None:
        self._new: Rows = defaultdict(list)
        self._number = 0
        """Rows in `_new`."""
        self._last = 0
        """The greatest key in `_new`, or the boundary."""
        self._round: Rows = {}
        """What is being entered now."""
        self._owners: list[int] = []
        """Of the round, the next one last."""
        self._end = 0
        """Where the boundary will be when the round is over."""
        self._boundary = 0
        self._is_known = False
        """What the database has behind the boundary is in `_new` or in the round."""
        self._removals = 0
        """Times that messages were deleted."""
        self._removals_before = 0
        """When the first of `_new` was written."""
        self._removals_before_round = 0
        """When the first of the round was written."""

    def removing(self) -> None:
        """Messages are being deleted, perhaps some that are in no index yet: these must not be entered any more.

        To be called inside the transaction that does it: that one and a step of this never run at once.
        """
        self._removals += 1

    def lost(self) -> None:
        """The connection is gone, and it may be unknown what of the last transaction was kept."""
        self._is_known = False
        self._round, self._owners = {}, []

    def committed(self, entries: Iterable[Entry | Mark]) -> None:
        """These are on the disk."""
        if not self._is_known:
            return
        new, last, number = self._new, self._last, self._number
        for entry in entries:
            if isinstance(entry, Mark) or entry.was_known:
                continue
            sender, recipient, key = entry.sender, entry.recipient, entry.number * 2
            if sender is not None:
                new[sender.number].append((entry.peer, key))
                last, number = key, number + 1
            if recipient is not None:
                last, number = key + RECEIVED, number + 1
                new[recipient.number].append((entry.writer, last))
        self._last, self._number = last, number

    def is_due(self, *, is_quiet: bool) -> bool:
        """Whether a step is to be done now."""
        if not self._is_known or self._owners:
            return True
        return self._number >= ROUND or (is_quiet and self._number > 0)

    def step(self, connection: sqlite3.Connection) -> None:
        """Enter a few of them, in the transaction that is open."""
        if not self._owners:
            self._begin(connection)
        if self._owners:
            self._enter(connection, self._next())
        if self._round and not self._owners:
            connection.execute(_MOVE, (self._end,))
            self._round = {}
            self._boundary = self._end

    def _load(self, connection: sqlite3.Connection) -> None:
        """Begin a round with what stands behind the boundary, whoever wrote it."""
        self._removals_before = self._removals
        self._boundary = connection.execute(_BOUNDARY).fetchone()[0]
        rows = connection.execute(_LEFT, (self._boundary, LOAD)).fetchall()
        self._new, self._number = defaultdict(list), len(rows)
        for owner, peer, key in rows:
            self._new[owner].append((peer, key))
        self._last = rows[-1][2] if rows else self._boundary
        self._take_up()
        self._is_known = len(rows) < LOAD

    def _begin(self, connection: sqlite3.Connection) -> None:
        if self._is_known:
            boundary = connection.execute(_BOUNDARY).fetchone()[0]
            last = connection.execute(_LAST).fetchone()[0] or 0
            if boundary == self._boundary and last <= self._last:
                self._take_up()
                return  # else somebody else has written to this file
        self._load(connection)

    def _take_up(self) -> None:
        self._round, self._new = self._new, defaultdict(list)
        self._owners = sorted(self._round, reverse=True)
        self._end, self._number = self._last, 0
        self._removals_before_round, self._removals_before = self._removals_before, self._removals

    def _next(self) -> list[tuple[int, int, int]]:
        """The next rows of the round: owner, peer, key."""
        rows: list[tuple[int, int, int]] = []
        while self._owners and len(rows) < STEP:
            owner = self._owners[-1]
            theirs, room = self._round[owner], STEP - len(rows)
            rows += [(owner, peer, key) for peer, key in theirs[:room]]
            if len(theirs) > room:
                self._round[owner] = theirs[room:]
            else:
                self._owners.pop()
        return rows

    def _enter(self, connection: sqlite3.Connection, rows: list[tuple[int, int, int]]) -> None:
        if self._removals != self._removals_before_round:
            rows = _still_there(connection, rows)
        bulk.insert(connection, _BY_OWNER, [(owner, key) for owner, _, key in rows])
        rows.sort()
        bulk.insert(connection, _BY_PEER, rows)


def _still_there(
    connection: sqlite3.Connection, rows: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    marks = ", ".join("?" * len(rows))
    there = {row[0] for row in connection.execute(_THERE % marks, [key for _, _, key in rows])}
    return [row for row in rows if row[2] in there]
