"""Carries what is kept for other regions: in the order in which it was written, until it is there.

One batch for each region is on its way at a time, so nothing overtakes anything (docs/decisions/0046); a batch takes as
much as waits, so the way there and back costs a person nothing but its length. One node of a region carries: the one
with the lowest number. What it did not finish the next one finds in the database.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from rainbow_xmpp.border import Border, Refused, Unreachable
from rainbow_xmpp.regions.parcels import (
    MOST_PARCELS,
    STANZAS,
    Batch,
    Fate,
    Malformed,
    Parcel,
    Receipts,
    Reply,
    as_many_as_fit,
    decode,
    encode,
)
from rainbow_xmpp.store.group_commit import Overloaded
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.outbox import Outbox, Waiting

log = logging.getLogger(__name__)

MOST_OF_COMPANY = 50_000
"""So much of one company's may wait for one region; then its people are told to wait."""
LOOK_S = 1.0
"""So often the database is looked at when nobody says that there is something: another node may have died."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 3.0
"""Between two tries while a region does not answer."""
ANSWER_S = 3.0
"""So long an answer to a batch is waited for: what is lost with a link is lost without a word."""
MOST_ANSWER_S = 30.0
"""The same after several in vain: the other region may be slow."""


class Ways(NamedTuple):
    """What the carrier does with what comes of it."""

    replies: Callable[[str, Sequence[Reply], Sequence[Parcel]], Awaitable[None]]
    """What the other region says to the senders of these parcels."""
    moved: Callable[[str], None]
    """Somebody (by address) has another home: forget what is known."""
    undelivered: Callable[[Parcel], None]
    """It was given up: its sender is to be told."""
    heard: Callable[[str, bool], None]
    """A region answered, or it did not."""
    speaks: Callable[[], bool]
    """This node is the one that carries."""


class Carrier:
    """`now` gives Unix time in seconds."""

    def __init__(self, border: Border, outbox: Outbox, ways: Ways, now: Callable[[], float]) -> None:
        self._border = border
        self._outbox = outbox
        self._ways = ways
        self._now = now
        self._news: dict[str, asyncio.Event] = {}
        self._runs: list[asyncio.Task[None]] = []
        self._carrying: set[str] = set()
        self.give_up_s = 86_400.0
        """So long a parcel is tried."""
        self.waiting: Counter[tuple[str, str]] = Counter()
        """How many wait, by region and company, as of the last look."""

    async def start(self) -> None:
        """Carry what is there, and what comes."""
        for region in self._border.others:
            self._news[region] = asyncio.Event()
            self._runs.append(asyncio.create_task(self._run(region), name=f"carrier to {region}"))

    async def stop(self) -> None:
        """What is on its way is carried again by whoever comes next."""
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)

    @property
    def is_busy(self) -> bool:
        """Something is being carried, or is just about to be."""
        return bool(self._carrying) or any(news.is_set() for news in self._news.values())

    def poke(self, region: str) -> None:
        """There is something for a region."""
        if (event := self._news.get(region)) is not None:
            event.set()

    def make_room(self, region: str, company_id: str) -> None:
        """One more is for this region. Raises Overloaded when too much of this company's waits there."""
        if self.waiting[region, company_id] >= MOST_OF_COMPANY:
            raise Overloaded
        self.waiting[region, company_id] += 1

    async def look(self) -> None:
        """Count what waits."""
        self.waiting = Counter(await self._outbox.counts())

    async def _run(self, region: str) -> None:
        news, pause_s, answer_s = self._news[region], FIRST_PAUSE_S, ANSWER_S
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await news.wait()
            except TimeoutError:
                pass
            news.clear()
            self._carrying.add(region)
            try:
                while self._ways.speaks() and await self._carry_some(region, answer_s):
                    pause_s, answer_s = FIRST_PAUSE_S, ANSWER_S
            except (Unreachable, Refused, Malformed) as error:
                log.debug("what is for the region %s waits: %s", region, error)
                self._ways.heard(region, False)
                await asyncio.sleep(pause_s * (500 + secrets.randbelow(500)) / 1000)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                answer_s = min(1.5 * answer_s, MOST_ANSWER_S)
                news.set()
            except Exception as error:
                if is_outage(error):
                    log.warning("what is for the region %s waits until the database answers", region)
                else:
                    log.exception("what is for the region %s could not be carried", region)
                await asyncio.sleep(LONGEST_PAUSE_S)
            finally:
                self._carrying.discard(region)

    async def _carry_some(self, region: str, answer_s: float) -> bool:
        """One batch; whether there may be more."""
        rows = await self._fresh(region, await self._outbox.next(region, most=MOST_PARCELS))
        if not rows:
            return False
        rows = rows[: as_many_as_fit(len(row.parcel) for row in rows)]
        parcels = [_parcel(row) for row in rows]
        answer = await self._border.ask(region, STANZAS, encode(Batch(parcels, [])), within_s=answer_s)
        receipts = decode(answer, Receipts)
        self._ways.heard(region, True)
        if len(receipts.receipts) != len(rows):
            raise Malformed("there is not one receipt for each parcel")
        there: set[int] = set()
        is_for_later = False
        for row, parcel, receipt in zip(rows, parcels, receipts.receipts, strict=True):
            if receipt.fate == Fate.TAKEN:
                there.add(row.id)
            elif (
                receipt.fate == Fate.MOVED
                and receipt.region in self._border.others
                and receipt.region != region
            ):
                self._ways.moved(parcel.to)
                await self._outbox.readdress(row.id, receipt.region)
                self.poke(receipt.region)
            else:
                is_for_later = True
        if there:
            await self._outbox.remove([*there])
            self.waiting -= Counter((region, row.company_id) for row in rows if row.id in there)
        await self._ways.replies(region, receipts.replies, parcels)
        if is_for_later:
            raise Unreachable(f"{region} takes nothing at the moment")
        return True

    async def _fresh(self, region: str, rows: list[Waiting]) -> list[Waiting]:
        """Without what was tried for too long: its senders are told."""
        least = self._now() - self.give_up_s
        if not rows or rows[0].at >= least:
            return rows
        old = [row for row in rows if row.at < least]
        await self._outbox.remove([row.id for row in old])
        log.warning(
            "%d parcels for the region %s were given up: it did not take them in time", len(old), region
        )
        for row in old:
            self._ways.undelivered(_parcel(row))
        return [row for row in rows if row.at >= least]


def _parcel(row: Waiting) -> Parcel:
    return msgspec.structs.replace(decode(row.parcel, Parcel), id=row.id)
