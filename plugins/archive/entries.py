"""What goes to the disk for one message, and how a batch of that is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rainbow_xmpp.plugin import Kept
from rainbow_xmpp.plugins.archive import bulk
from rainbow_xmpp.plugins.archive.numbers import NODES, RECEIVED, time_of
from rainbow_xmpp.plugins.archive.owners import Owner
from rainbow_xmpp.store import outbox
from rainbow_xmpp.store.outbox import Arrived, Leaving
from rainbow_xmpp.xml import names, scan_again


class Entry(Kept):
    """One message on its way into the logs of both sides, or of one."""

    __slots__ = (
        "account", "arrived", "earlier", "leaving", "origin", "origin_id", "peer", "recipient", "sender", "stanza",
        "takes_back", "waits", "writer",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        data: bytes,
        stanza: bytes,
        account: int = 0,
        sender: Owner | None = None,
        recipient: Owner | None = None,
        writer: int = 0,
        peer: int = 0,
    ) -> None:
        self.number = number
        self.data = data
        self.leaves = False
        self.commit = None
        self.was_known = False
        self.stanza = stanza
        """As it is kept: without an id of ours."""
        self.account = account
        """The sender's number as an owner, whether its log has the message or not."""
        self.sender = sender
        """Whose log has it as sent."""
        self.recipient = recipient
        """Whose log has it as received."""
        self.writer = writer
        """The sender's number as a peer."""
        self.peer = peer
        """The recipient's number as a peer."""
        self.origin = 0
        """What it is known by when it is sent again; 0 when its sender gave it no origin-id."""
        self.origin_id = ""
        self.earlier = 0
        """The number that it was kept under before, when it `was_known`."""
        self.leaving: Leaving | None = None
        """What goes to the recipient's region."""
        self.arrived: Arrived | None = None
        """By what it is known when its sender's region sends it again."""
        self.waits = False
        """Nobody of the recipient's is there to take it."""
        self.takes_back = False
        """It retracts another one; that this has yet to be done is written with it."""

    def kept_before(self) -> tuple[int, float] | None:
        return (self.earlier % NODES, time_of(self.earlier)) if self.earlier else None

    def as_before(self) -> None:
        self.number = self.earlier
        if self.recipient is not None:
            self.data = self.recipient.marked(self.stanza, self.number)

    def for_sender(self) -> bytes:
        return self.stanza if self.sender is None else self.sender.marked(self.stanza, self.number)

    @property
    def received_key(self) -> int:
        """Its key in the recipient's log."""
        return self.number * 2 + RECEIVED


class Mark:
    """A message of somebody's waits for a device, or does so no more."""

    __slots__ = ("keys", "owner", "waits")

    def __init__(self, owner: int, keys: Sequence[int], *, waits: bool) -> None:
        self.owner = owner
        self.keys = keys
        self.waits = waits


Row = tuple[int, int, int, bytes]
"""Key, owner, peer, stanza."""
Pair = tuple[int, int]
"""Owner, key."""


class Sorted(NamedTuple):
    """What a batch writes, table by table."""

    rows: list[Row]
    waiting: list[Pair]
    taken: list[Pair]
    """What waits no more."""
    retracting: list[Pair]
    """Number, and an owner in whose log it is."""


_SAID = "INSERT OR IGNORE INTO archive_origins (origin, owner, number) VALUES (?, ?, ?)"
_SAID_BEFORE = "SELECT owner, number FROM archive_origins WHERE origin = ?"
_KEEP = "INSERT INTO archive_messages (key, owner, peer, stanza)"
_WAIT = "INSERT OR IGNORE INTO archive_waiting (owner, key) VALUES (?, ?)"
_TAKEN = "DELETE FROM archive_waiting WHERE owner = ? AND key = ?"
_RETRACT = "INSERT INTO archive_retractions (number, owner) VALUES (?, ?)"
_STANZA = "SELECT stanza FROM archive_messages WHERE key IN (?, ?)"


def write_sqlite(connection: sqlite3.Connection, entries: list[Entry | Mark]) -> None:
    """Write a batch inside the transaction that is open."""
    said = origins_of(entries)
    if said:
        written = connection.executemany(_SAID, [(e.origin, e.account, e.number) for e in said])
        if written.rowcount != len(said):
            for entry in said:
                found = connection.execute(_SAID_BEFORE, (entry.origin,)).fetchone()
                if found is not None and found[1] != entry.number:
                    earlier = connection.execute(_STANZA, (found[1] * 2, found[1] * 2 + RECEIVED)).fetchone()
                    entry.was_known = is_same(entry, found[0], earlier)
                    entry.earlier = found[1]
    for entry in _arrived(entries):
        entry.was_known = entry.arrived is not None and outbox.arrive_sqlite(connection, entry.arrived)
    if leaving := _leaving(entries):
        outbox.leave_sqlite(connection, leaving)
    rows, waiting, taken, retracting = _sorted_out(entries)
    if rows:
        bulk.insert(connection, _KEEP, rows)
    if waiting:
        connection.executemany(_WAIT, waiting)
    if taken:
        connection.executemany(_TAKEN, taken)
    if retracting:
        connection.executemany(_RETRACT, retracting)


_PG_SAID = """INSERT INTO archive_origins (origin, owner, number)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING RETURNING number"""
_PG_KEEP = """INSERT INTO archive_messages (key, owner, peer, stanza)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[]) ON CONFLICT DO NOTHING"""
_PG_BY_OWNER = """INSERT INTO archive_by_owner (key, owner)
    SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING"""
_PG_BY_PEER = """INSERT INTO archive_by_peer (key, owner, peer)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING"""
_PG_WAIT = """INSERT INTO archive_waiting (owner, key)
    SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING"""
_PG_TAKEN = """DELETE FROM archive_waiting WHERE (owner, key) IN
    (SELECT * FROM unnest($1::bigint[], $2::bigint[]))"""
_PG_RETRACT = """INSERT INTO archive_retractions (number, owner)
    SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING"""


async def write_postgresql(connection: Any, entries: list[Entry | Mark]) -> None:
    """Write a batch inside the transaction that is open. A batch whose commit was not answered may come again."""
    said = origins_of(entries)
    if said:
        origins = _columns((e.origin, e.account, e.number) for e in said)
        new = {row[0] for row in await connection.fetch(_PG_SAID, *origins)}
        for entry in said:
            if entry.number in new:
                continue
            found = await connection.fetchrow(_SAID_BEFORE.replace("?", "$1"), entry.origin)
            if found is not None and found[1] != entry.number:
                keys = (found[1] * 2, found[1] * 2 + RECEIVED)
                earlier = await connection.fetchrow(_STANZA.replace("?, ?", "$1, $2"), *keys)
                entry.was_known = is_same(entry, found[0], earlier)
                entry.earlier = found[1]
    for entry in _arrived(entries):
        if entry.arrived is not None:
            entry.was_known = await outbox.arrive_postgresql(connection, entry.arrived)
    if leaving := _leaving(entries):
        await outbox.leave_postgresql(connection, leaving)
    rows, waiting, taken, retracting = _sorted_out(entries)
    if rows:
        columns = _columns(rows)
        await connection.execute(_PG_KEEP, *columns)
        await connection.execute(_PG_BY_OWNER, *columns[:2])
        await connection.execute(_PG_BY_PEER, *columns[:3])
    if waiting:
        await connection.execute(_PG_WAIT, *_columns(waiting))
    if taken:
        await connection.execute(_PG_TAKEN, *_columns(taken))
    if retracting:
        await connection.execute(_PG_RETRACT, *_columns(retracting))


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def origins_of(entries: Iterable[Entry | Mark]) -> list[Entry]:
    """Those that would be known when they were said again."""
    return [e for e in entries if isinstance(e, Entry) and e.origin]


def _arrived(entries: Iterable[Entry | Mark]) -> list[Entry]:
    return [e for e in entries if isinstance(e, Entry) and e.arrived is not None]


def _leaving(entries: Iterable[Entry | Mark]) -> list[Leaving]:
    return [e.leaving for e in entries if isinstance(e, Entry) and e.leaving is not None and not e.was_known]


def is_same(entry: Entry, owner: int, earlier: Sequence[bytes] | None) -> bool:
    """What the number of an origin-id was known for is this message, and not one with the same number by chance."""
    if owner != entry.account:
        return False
    if earlier is None:  # in nobody's log any more
        return True
    view = scan_again(earlier[0])
    child = view.child("origin-id", names.STANZA_ID)
    return child is not None and view.child_element(child).get("id") == entry.origin_id


def _sorted_out(entries: Iterable[Entry | Mark]) -> Sorted:
    rows, waiting, taken, retracting = to = Sorted([], [], [], [])
    for e in entries:
        if isinstance(e, Mark):
            (waiting if e.waits else taken).extend((e.owner, key) for key in e.keys)
        elif not e.was_known:
            sender, recipient, key = e.sender, e.recipient, e.number * 2
            if sender is not None:
                rows.append((key, sender.number, e.peer, e.stanza))
            if recipient is not None:
                rows.append((key + RECEIVED, recipient.number, e.writer, e.stanza))
                if e.waits:
                    waiting.append((recipient.number, key + RECEIVED))
            if e.takes_back and (owner := sender or recipient) is not None:
                retracting.append((e.number, owner.number))
    return to
