"""Messages that their sender takes back (XEP-0424): what was said is wiped out in both logs, that it was said stays."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element

import sqlalchemy as sa

from rainbow_xmpp.plugin import Passage, Services, every
from rainbow_xmpp.plugins.archive import tables, texts
from rainbow_xmpp.plugins.archive.entries import Entry
from rainbow_xmpp.plugins.archive.log import Logged
from rainbow_xmpp.plugins.archive.numbers import RECEIVED
from rainbow_xmpp.plugins.archive.ranges import containing
from rainbow_xmpp.plugins.archive.results import stamp_of
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.xml import View, names, scan_again, serialise

RETRACTED = f"{{{names.RETRACT}}}retracted"
LOOK_BACK = 10_000
"""So many messages of a talk are looked through; what is older stays as it is."""
AT_ONCE = 100
"""Retractions between two looks at who else has some."""
AGAIN_S = 20.0
"""So long after an outage, at most, they go on."""
_ORIGIN_ID = f"{{{names.STANZA_ID}}}origin-id"
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@=+~ -]{1,256}").fullmatch
"""Ids that can be spelled in one way only."""
_m, _r = tables.messages.c, tables.retractions.c

log = logging.getLogger(__name__)


class Retractions:
    """Done when the retraction is on the disk, one after the other.

    That it has yet to be done is written with it, and gone with what it takes back: what the end of the server or an
    outage comes between is done afterwards, by any node, and may be done twice.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store: Store = services.store
        self._mentions = services.store.prepare(containing(services.store.dialect, LOOK_BACK))
        self._is_at_work = False
        self._is_due = False
        self._failed: set[int] = set()
        """Those that a fault of ours is in the way of: left to the next start."""

    def expect(self, entry: Entry, p: Passage) -> None:
        """This message is being kept; if it takes one back, that is done afterwards."""
        if entry.commit is not None and _Retraction.of(p.view) is not None:
            entry.takes_back = True
            entry.commit.after(self._settled, entry)

    def _settled(self, entry: Entry) -> None:
        if entry.commit is not None and entry.commit.error is None:
            self.look()

    def look(self) -> None:
        """Do what is left to be done."""
        self._services.spawn(self.go_on())

    @every(seconds=AGAIN_S)
    async def go_on(self) -> None:
        """Do what is left to be done, such as what an outage came between; it is over when this returns."""
        self._is_due = True
        if self._is_at_work:
            return
        self._is_at_work = True
        try:
            while self._is_due:
                self._is_due = False
                while numbers := await self._next():
                    for number in numbers:
                        await self._do(number)
        finally:
            self._is_at_work = False

    async def _next(self) -> list[int]:
        """The oldest of each owner: nobody's many keep others waiting."""
        oldest = sa.func.min(_r.number)
        statement = (
            sa.select(oldest)
            .where(_r.number.not_in(self._failed))
            .group_by(_r.owner)
            .order_by(oldest)
            .limit(AT_ONCE)
        )
        async with self._store.read() as connection:
            return list((await connection.execute(statement)).scalars())

    async def _do(self, number: int) -> None:
        try:
            found, by = await self._found(number)
            await self._wipe(found, number, by)
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("a message could not be taken back")
            self._failed.add(number)
        else:
            self._services.counters.archive_retracted += len(found)

    async def _found(self, number: int) -> tuple[Sequence[Logged], str]:
        """What this retraction takes back, and its id: what its sender said under the id that stands in it, newest
        first behind its corrections; in whichever log has them."""
        statement = (
            sa.select(_m.owner, _m.peer, _m.stanza)
            .where(_m.key.in_((number * 2, number * 2 + RECEIVED)))
            .order_by(_m.key)
            .limit(1)
        )
        async with self._store.read() as connection:
            kept = (await connection.execute(statement)).one_or_none()
        if kept is None:  # taken out of every log meanwhile
            return (), ""
        view = scan_again(bytes(kept.stanza))
        retraction = _Retraction.of(view)
        assert retraction is not None, "looked at before it was kept"
        parameters = {
            "owner": kept.owner,
            "peer": kept.peer,
            "least": 0,
            "greatest": number * 2 - 1,
            "words": retraction.takes_back.encode(),
        }
        rows = await self._store.fetch(self._mentions, parameters)
        sender = view.attrs.get("from", "").partition("/")[0]
        messages = [Logged(row[0], bytes(row[1])) for row in rows]
        return list(_concerned(messages, retraction.takes_back, sender)), retraction.id

    async def _wipe(self, found: Sequence[Logged], number: int, by: str) -> None:
        async with self._store.write() as connection:
            await texts.forget(connection, [message.number for message in found])
            for message in found:
                keys = (message.number * 2, message.number * 2 + RECEIVED)
                await connection.execute(
                    sa.update(tables.messages)
                    .where(_m.key.in_(keys))
                    .values(stanza=tombstone(message.stanza, by, stamp_of(number)))
                )
            await connection.execute(sa.delete(tables.retractions).where(_r.number == number))


@dataclass(frozen=True, slots=True)
class _Retraction:
    """What a message says that takes one back."""

    id: str
    takes_back: str

    @classmethod
    def of(cls, view: View) -> Self | None:
        """None when it does not, or in a way that nothing can be found by."""
        child = view.child("retract", names.RETRACT)
        if child is None:
            return None
        id, takes_back = view.attrs.get("id", ""), view.child_element(child).get("id", "")
        return cls(id, takes_back) if id and _PLAIN(takes_back) else None


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
    """Corrections of the message come behind it; with the message itself it is over, or with what is left of it."""
    for row in rows:
        view = scan_again(row.stanza)
        if view.attrs.get("from", "").partition("/")[0] != sender:
            continue
        is_wiped = view.has("retracted", names.RETRACT)
        if view.attrs.get("id") == of:
            if not is_wiped:
                yield row
            return
        if is_wiped:
            continue
        child = view.child("replace", names.CORRECT)
        if child is not None and view.child_element(child).get("id") == of:
            yield row
