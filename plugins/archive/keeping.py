"""How long messages are kept: by days and by number as the service level says, and not beyond their owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from rainbow_xmpp.config.levels import ServiceLevel
from rainbow_xmpp.plugin import Services, every
from rainbow_xmpp.plugins.archive.numbers import first_at
from rainbow_xmpp.plugins.archive.options import ArchiveOptions
from rainbow_xmpp.plugins.archive.shelves import Row, Shelves
from rainbow_xmpp.plugins.archive.tail import Tail
from rainbow_xmpp.plugins.archive.texts import Texts
from rainbow_xmpp.store.group_commit import PATIENCE_S, TRANSACTION_S

DAY_S = 86_400
COUNTED_AGAIN_S = 3600
"""Messages may be entered into the index after they were written."""
WRITTEN_S = PATIENCE_S + TRANSACTION_S
"""So long after its number was drawn a message may come to the disk."""
MUCH = 4_000
"""Messages between two looks, beyond which the processor is left to them."""
BUSY_FOR_S = 3600
PAUSE_S = 0.05
"""Between two transactions: the database is everybody's."""


class Keeping:
    """The jobs that take out of the logs what is not to be kept any longer."""

    def __init__(self, services: Services, options: Callable[[], ArchiveOptions], tail: Tail) -> None:
        self._services = services
        self._options = options
        self._shelves = Shelves(services.store, tail)
        self._texts = Texts(services.store)
        self._counted_to = 0
        """Up to this key it is known which logs are too long."""
        self._counted_at = 0.0
        """When all of them were counted."""
        self._empty: set[int] = set()
        """Removed owners of whom nothing was left at the last look."""

        self._said_before = 0
        self._entered_at = services.now()
        """When words were entered."""

    @every(hours=1)
    async def expire(self) -> None:
        """Delete what is too old or too much, log by log."""
        now = self._services.now()
        await self._wait_no_longer(_key_at(now - self._options().wait_days * DAY_S))
        is_count_due = now - self._counted_at >= DAY_S  # service levels change
        counted_to, after = 0 if is_count_due else self._counted_to, 0
        while owners := await self._shelves.levels(after):
            after = owners[-1][0]
            for name in {name for _, name in owners}:
                level = self._services.levels.named(name)
                of_level = [number for number, other in owners if other == name]
                await self._expire_by_days(of_level, level, now)
                await self._expire_by_number(of_level, level, counted_to)
            await asyncio.sleep(PAUSE_S)
        self._counted_to = _key_at(now - COUNTED_AGAIN_S)
        if is_count_due:
            self._counted_at = now

    async def _wait_no_longer(self, key: int) -> None:
        while await self._shelves.forget_waiting(key):  # noqa: ASYNC110  # a pause, for others
            await asyncio.sleep(PAUSE_S)

    async def _expire_by_days(self, owners: Collection[int], level: ServiceLevel, now: float) -> None:
        oldest = _key_at(now - level.archive_days * DAY_S)
        for owner in await self._shelves.owners_with(owners, below=oldest):
            await self._clear(owner, oldest)

    async def _expire_by_number(self, owners: Collection[int], level: ServiceLevel, counted_to: int) -> None:
        if not level.archive_messages:
            return
        for owner in await self._shelves.owners_with(owners, above=counted_to):
            key = await self._shelves.key_of_newest(owner, level.archive_messages - 1)
            await self._clear(owner, key)

    async def _clear(self, owner: int, key: int) -> None:
        """Delete a log's messages in front of this key, but for those that wait."""
        while rows := await self._shelves.below(owner, key):
            await self._take_out(rows)
            self._services.counters.archive_expired += len(rows)

    @every(minutes=1)
    async def erase(self) -> None:
        """Delete what removed accounts have left. They are looked at twice: a message may have been on its way."""
        gone = await self._shelves.gone()
        empty = set()
        for owner in gone:
            if not await self._erase(owner):
                empty.add(owner)
        over = [owner for owner in gone if owner in empty and owner in self._empty]
        if over:
            await self._shelves.forget_gone(over)
        self._empty = empty

    async def _erase(self, owner: int) -> bool:
        """Whether there was anything."""
        found = False
        while rows := await self._shelves.some_of(owner):
            found = True
            await self._take_out(rows)
            self._services.counters.archive_erased += len(rows)
        return found

    async def _take_out(self, rows: Sequence[Row]) -> None:
        await self._shelves.take_out(rows)
        await asyncio.sleep(PAUSE_S)

    @every(seconds=20)
    async def enter_words(self) -> None:
        """Write the index of words up to what every writer of the database has written by now."""
        if not self._options().full_text or not self._is_time_for_words():
            return
        before = first_at(self._services.now() - WRITTEN_S)
        while await self._texts.enter_some(before):  # noqa: ASYNC110  # a pause, for others
            await asyncio.sleep(PAUSE_S)

    def _is_time_for_words(self) -> bool:
        """Not while people write much, unless they have done so for long: searches look at what is missing."""
        now, said = self._services.now(), self._services.counters.messages_in
        lately, self._said_before = said - self._said_before, said
        if lately > MUCH and now - self._entered_at < BUSY_FOR_S:
            return False
        self._entered_at = now
        return True

    @every(hours=6)
    async def forget_origins(self) -> None:
        """Forget what was said long ago: it does not come again."""
        before = first_at(self._services.now() - self._options().resend_days * DAY_S)
        after: int | None = -1
        while after is not None:
            after = await self._shelves.forget_origins(after, before)
            await asyncio.sleep(PAUSE_S)


def _key_at(at: float) -> int:
    return first_at(at) << 1
