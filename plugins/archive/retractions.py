"""Messages that their sender takes back (XEP-0424): what was said is wiped out in both logs, that it was said stays."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import sqlalchemy as sa

from rainbow_xmpp.plugin import Passage, Services
from rainbow_xmpp.plugins.archive import tables, texts
from rainbow_xmpp.plugins.archive.entries import Entry
from rainbow_xmpp.plugins.archive.log import Logged
from rainbow_xmpp.plugins.archive.numbers import RECEIVED
from rainbow_xmpp.plugins.archive.ranges import containing
from rainbow_xmpp.plugins.archive.results import stamp_of
from rainbow_xmpp.store import Store
from rainbow_xmpp.xml import names, scan_again, serialise

RETRACTED = f"{{{names.RETRACT}}}retracted"
LOOK_BACK = 10_000
"""So many messages of a talk are looked through; what is older stays as it is."""
MOST_WAITING = 1_000
"""Retractions that may wait for their turn."""
_ORIGIN_ID = f"{{{names.STANZA_ID}}}origin-id"
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@=+~ -]{1,256}").fullmatch
"""Ids that can be spelled in one way only."""
_m = tables.messages.c


class Retractions:
    """Done when the retraction is on the disk, one after the other."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store: Store = services.store
        self._mentions = services.store.prepare(containing(services.store.dialect, LOOK_BACK))
        self._turn = asyncio.Lock()
        self._waiting = 0

    def expect(self, entry: Entry, p: Passage) -> None:
        """This message is being kept; if it takes one back, that is done afterwards."""
        child = p.view.child("retract", names.RETRACT)
        if child is None or entry.commit is None:
            return
        of, by = p.view.child_element(child).get("id", ""), p.view.attrs.get("id", "")
        if _PLAIN(of) and by:
            entry.commit.after(self._settled, entry, of, by, p.sender_jid.partition("/")[0])

    def _settled(self, entry: Entry, of: str, by: str, sender: str) -> None:
        if entry.commit is not None and entry.commit.error is None and self._waiting < MOST_WAITING:
            self._waiting += 1
            self._services.spawn(self._retract(entry, of, by, sender))

    async def _retract(self, entry: Entry, of: str, by: str, sender: str) -> None:
        try:
            async with self._turn:
                found = await self._found(entry, of, sender)
                if found:
                    await self._wipe(found, entry.number, by)
                    self._services.counters.archive_retracted += len(found)
        finally:
            self._waiting -= 1

    async def _found(self, entry: Entry, of: str, sender: str) -> list[Logged]:
        """The sender's message of this id, newest first behind its corrections; in whichever log has them."""
        if entry.sender is not None:
            owner, peer = entry.sender.number, entry.peer
        elif entry.recipient is not None:
            owner, peer = entry.recipient.number, entry.writer
        else:
            return []
        parameters = {
            "owner": owner,
            "peer": peer,
            "least": 0,
            "greatest": entry.number * 2 - 1,
            "words": of.encode(),
        }
        rows = await self._store.fetch(self._mentions, parameters)
        return list(_concerned([Logged(row[0], bytes(row[1])) for row in rows], of, sender))

    async def _wipe(self, found: list[Logged], number: int, by: str) -> None:
        async with self._store.write() as connection:
            await texts.forget(connection, [message.number for message in found])
            for message in found:
                keys = (message.number * 2, message.number * 2 + RECEIVED)
                await connection.execute(
                    sa.update(tables.messages)
                    .where(_m.key.in_(keys))
                    .values(stanza=tombstone(message.stanza, by, stamp_of(number)))
                )


def tombstone(stanza: bytes, by: str, stamp: str) -> bytes:
    """The message with nothing in it but that it was taken back by this one, and what it is known by."""
    message = scan_again(stanza).element()
    origins = message.findall(_ORIGIN_ID)
    message[:] = [*origins, Element(RETRACTED, {"id": by, "stamp": stamp})]
    message.text = None
    for child in message:
        child.tail = None
    return serialise(message)


def _concerned(rows: list[Logged], of: str, sender: str) -> Iterator[Logged]:
    """Corrections of the message come behind it; with the message itself it is over."""
    for row in rows:
        view = scan_again(row.stanza)
        if view.attrs.get("from", "").partition("/")[0] != sender or view.has("retracted", names.RETRACT):
            continue
        if view.attrs.get("id") == of:
            yield row
            return
        child = view.child("replace", names.CORRECT)
        if child is not None and view.child_element(child).get("id") == of:
            yield row
