"""What goes to other regions and is not kept: queries and their answers, presence, chat states.

One batch for each region is on its way at a time, and what comes meanwhile goes with the next: nothing is overtaken.
When a region does not answer, whoever asked it something is told; presence is lost, and asked for anew when the region
is back (`Reach`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from rainbow_xmpp.border import Border, Refused, Unreachable
from rainbow_xmpp.regions.parcels import (
    STANZAS,
    Batch,
    Malformed,
    Parcel,
    Receipts,
    Reply,
    as_many_as_fit,
    decode,
    encode,
)

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""For one region; what comes on top is lost as if the region were away."""
ANSWER_S = 3.0

Lost = Callable[[], None]
"""Called for what did not arrive, or perhaps not."""


@dataclass(slots=True)
class _Way:
    parcels: list[tuple[Parcel, Lost | None]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    is_busy: bool = False


class Passing:
    """`heard` is told of each region whether it answered."""

    def __init__(
        self,
        border: Border,
        replies: Callable[[str, Sequence[Reply], Sequence[Parcel]], Awaitable[None]],
        heard: Callable[[str, bool], None],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        self._border = border
        self._take_replies = replies
        self._heard = heard
        self._spawn = spawn
        self._ways = {region: _Way() for region in border.others}

    def send(self, region: str, parcel: Parcel, lost: Lost | None = None) -> None:
        """Send a stanza; `lost` is called when it did not arrive."""
        way = self._ways.get(region)
        if way is None or len(way.parcels) >= MOST_WAITING:
            if lost is not None:
                lost()
            return
        way.parcels.append((parcel, lost))
        self._go(region, way)

    def answer(self, region: str, reply: Reply) -> None:
        """Send something back to who asked; it is lost when the region is away."""
        way = self._ways.get(region)
        if way is not None and len(way.replies) < MOST_WAITING:
            way.replies.append(reply)
            self._go(region, way)

    async def ping(self, region: str) -> None:
        """Find out whether a region is there."""
        await self._pass(region, Batch([], []), [])

    def _go(self, region: str, way: _Way) -> None:
        if not way.is_busy:
            way.is_busy = True
            self._spawn(self._walk(region, way))

    async def _walk(self, region: str, way: _Way) -> None:
        try:
            await asyncio.sleep(0)  # with everything else of this turn of the loop
            while way.parcels or way.replies:
                most = as_many_as_fit(_size(parcel) for parcel, _ in way.parcels)
                parcels, way.parcels = way.parcels[:most], way.parcels[most:]
                most = as_many_as_fit(len(reply.stanza) for reply in way.replies)
                replies, way.replies = way.replies[:most], way.replies[most:]
                await self._pass(region, Batch([parcel for parcel, _ in parcels], replies), parcels)
        finally:
            way.is_busy = False

    async def _pass(self, region: str, batch: Batch, parcels: list[tuple[Parcel, Lost | None]]) -> None:
        try:
            answer = await self._border.ask(region, STANZAS, encode(batch), within_s=ANSWER_S)
            receipts = decode(answer, Receipts)
        except (Unreachable, Refused, Malformed) as error:
            log.debug("%d stanzas for the region %s are lost: %s", len(parcels), region, error)
            self._heard(region, False)
            for _, lost in parcels:
                if lost is not None:
                    lost()
            return
        self._heard(region, True)
        await self._take_replies(region, receipts.replies, [parcel for parcel, _ in parcels])


def _size(parcel: Parcel) -> int:
    return len(parcel.stanza) + len(parcel.sender.company) + len(parcel.sender_jid) + len(parcel.to)
