"""Pages of somebody's log (XEP-0313): what was asked for, read in one glance at the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rainbow_xmpp.plugin import JID
from rainbow_xmpp.plugins.archive import tables
from rainbow_xmpp.plugins.archive.asked import Wanted
from rainbow_xmpp.plugins.archive.log import Logged
from rainbow_xmpp.plugins.archive.numbers import RECEIVED, peer_of
from rainbow_xmpp.plugins.archive.ranges import number, page
from rainbow_xmpp.plugins.archive.texts import Texts
from rainbow_xmpp.plugins.archive.words import has_words, text_in, words_asked, words_in
from rainbow_xmpp.store import Store
from rainbow_xmpp.xml import scan_again

AT_ONCE = 64
"""Messages of one query of the database: the largest still fit into memory many times."""
MOST_BYTES = 262_144
"""A page that has grown beyond this is over."""

_m = tables.messages.c


@dataclass(frozen=True, slots=True)
class Found:
    """One page, oldest first."""

    messages: Sequence[Logged]
    is_complete: bool
    """Nothing more was to be found in its direction."""


class History:
    """Reads logs by ranges of keys, of one person or of one talk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._texts = Texts(store)
        self._pages = {
            (by_peer, is_backward): store.prepare(page(store.dialect, by_peer, is_backward))
            for by_peer in (False, True)
            for is_backward in (False, True)
        }
        self._numbers = {by_peer: store.prepare(number(store.dialect, by_peer)) for by_peer in (False, True)}

    async def page(
        self, owner: int, own_bare: str, wanted: Wanted, size: int, *, is_backward: bool = False
    ) -> Found:
        """The first `size` messages of what is wanted, or the last."""
        found = _Page(size)
        parts = await self._parts(wanted)
        for part, is_in_texts in reversed(parts) if is_backward else parts:
            if await self._overflows(found, owner, own_bare, part, is_backward, is_in_texts):
                return Found(_in_order(found.messages, is_backward), False)
        return Found(_in_order(found.messages, is_backward), True)

    async def number(self, owner: int, own_bare: str, wanted: Wanted) -> int | None:
        """How many messages are wanted; None where only reading them all would tell."""
        if wanted.ids is not None or wanted.words or _is_of_device(wanted):
            return None
        peer = _peer(wanted, own_bare)
        rows = await self._store.fetch(self._numbers[peer is not None], _parameters(owner, peer, wanted))
        return sum(int(row[0]) for row in rows)

    async def has_all(self, owner: int, numbers: Collection[int], *, least: int) -> bool:
        """Whether all of these stand in the log, from this key on."""
        if not numbers:
            return True
        statement = sa.select(sa.func.count()).where(
            _m.owner == owner, _m.key >= least, _m.key.in_(_keys_of(numbers))
        )
        async with self._store.read() as connection:
            return int((await connection.execute(statement)).scalar_one()) == len(set(numbers))

    # -- one query of the database ---------------------------------------------------------------------

    async def _parts(self, wanted: Wanted) -> Sequence[tuple[Wanted, bool]]:
        """The same in parts, and which of them the index of words answers for."""
        if not wanted.words or wanted.ids is not None:
            return ((wanted, False),)
        end = await self._texts.known() * 2 + RECEIVED
        return (wanted.within(0, end), True), (wanted.within(end + 1), False)

    async def _overflows(
        self, found: _Page, owner: int, own_bare: str, wanted: Wanted, is_backward: bool, is_in_texts: bool
    ) -> bool:
        """Put what is wanted on the page; whether there was more than it holds."""
        words = words_asked(wanted.words)
        if wanted.words and not words:
            return False
        is_exact = not _is_of_device(wanted) and (is_in_texts or not words)
        while wanted.least <= wanted.greatest:
            asked = min(found.room + 1, AT_ONCE) if is_exact else AT_ONCE
            messages = await self._some(owner, own_bare, wanted, asked, is_backward, is_in_texts)
            for message in messages:
                if _fits(message, wanted, own_bare, words) and not found.takes(message):
                    return True
            if len(messages) < asked or wanted.ids is not None:
                break
            last = messages[-1].key
            wanted = wanted.within(0, last - 1) if is_backward else wanted.within(last + 1)
        return False

    async def _some(
        self, owner: int, own_bare: str, wanted: Wanted, most: int, is_backward: bool, is_in_texts: bool
    ) -> Sequence[Logged]:
        if wanted.ids is not None:
            return await self._these(owner, wanted, is_backward)
        peer = _peer(wanted, own_bare)
        if is_in_texts:
            return await self._texts.find(owner, peer, wanted, most, is_backward=is_backward)
        query = self._pages[peer is not None, is_backward]
        rows = await self._store.fetch(query, _parameters(owner, peer, wanted) | {"most": most})
        messages = [Logged(row[0], bytes(row[1])) for row in rows]
        messages.sort(key=lambda message: message.key, reverse=is_backward)
        return messages

    async def _these(self, owner: int, wanted: Wanted, is_backward: bool) -> Sequence[Logged]:
        statement = (
            sa.select(_m.key, _m.stanza)
            .where(
                _m.owner == owner,
                _m.key.in_(_keys_of(wanted.ids or ())),
                _m.key.between(wanted.least, wanted.greatest),
            )
            .order_by(_m.key.desc() if is_backward else _m.key)
        )
        async with self._store.read() as connection:
            return [Logged(row[0], bytes(row[1])) for row in await connection.execute(statement)]


class _Page:
    """A page that is being filled."""

    def __init__(self, size: int) -> None:
        self.messages: list[Logged] = []
        self.room = size
        self._bytes = 0

    def takes(self, message: Logged) -> bool:
        """Put it on the page, if it fits on it."""
        if not self.room or (self.messages and self._bytes >= MOST_BYTES):
            return False
        self.messages.append(message)
        self.room -= 1
        self._bytes += len(message.stanza)
        return True


def _peer(wanted: Wanted, own_bare: str) -> int | None:
    """Whose talk is wanted; None for all: a device of one's own speaks with everybody."""
    with_ = wanted.with_
    if with_ is None or (with_.is_full and str(with_.bare) == own_bare):
        return None
    return peer_of(str(with_.bare))


def _parameters(owner: int, peer: int | None, wanted: Wanted) -> dict[str, object]:
    parameters: dict[str, object] = {"owner": owner, "least": wanted.least, "greatest": wanted.greatest}
    return parameters if peer is None else parameters | {"peer": peer}


def _keys_of(numbers: Collection[int]) -> list[int]:
    return [number * 2 + side for number in numbers for side in (0, RECEIVED)]


def _in_order(messages: list[Logged], is_backward: bool) -> list[Logged]:
    return messages[::-1] if is_backward else messages


def _is_of_device(wanted: Wanted) -> bool:
    """No index knows resources: the messages must be looked at, and most may not fit."""
    return wanted.with_ is not None and wanted.with_.is_full


def _fits(message: Logged, wanted: Wanted, own_bare: str, words: frozenset[str]) -> bool:
    """Whether it is from the address or to it (§4.1.1; with oneself, both), and has the words in it."""
    with_ = wanted.with_
    if with_ is None and not words:
        return True
    view = scan_again(message.stanza)
    if words and not has_words(words, words_in(text_in(view))):
        return False
    if with_ is None:
        return True
    is_from, is_to = (_is(view.attrs.get(name, own_bare), with_) for name in ("from", "to"))
    return (is_from and is_to) if str(with_) == own_bare else (is_from or is_to)


def _is(address: str, with_: JID) -> bool:
    wanted = str(with_)
    if address == wanted or (with_.is_bare and address.partition("/")[0] == wanted):
        return True
    jid = JID.parse(address)  # as its sender spelled it
    return (jid if with_.is_full else jid.bare) == with_
