"""How many messages each company sends, by day: for capacity and for bills. Nothing about people."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime

from rainbow_xmpp.plugin import Passage, Plugin, PluginOptions, Services, Stage, hook, option
from rainbow_xmpp.plugins.usage.store import UsageDays

log = logging.getLogger(__name__)

DAY_S = 86_400


class Usage(Plugin, name="usage"):
    """Counts in memory and writes the sums at intervals; a crash loses at most one interval."""

    class Options(PluginOptions):
        write_every_s: int = option(
            10, "Seconds between two writes of the sums.", ge=1, le=3600, reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._days = UsageDays(services.store)
        self._sent: defaultdict[str, int] = defaultdict(int)
        self._stopping = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._writing = asyncio.create_task(self._write_regularly(), name="usage")

    async def stop(self) -> None:
        self._stopping.set()
        if self._writing is not None:
            await self._writing

    @hook(Stage.RECORD, needed=False)
    def count(self, p: Passage) -> None:
        """One message that passed the gate, for its sender's company, where the sender is at home."""
        if p.kind == "message" and not p.sender.abroad:
            self._sent[p.sender.company.id] += 1

    async def write(self, at: float) -> None:
        """Write what was counted to the day of this Unix time (seconds)."""
        sent, self._sent = self._sent, defaultdict(int)
        if not sent:
            return
        try:
            await self._days.add(datetime.fromtimestamp(at, UTC).date(), sent)
        except Exception:
            log.exception("usage could not be written; it is kept for the next time")
            for company_id, messages in sent.items():
                self._sent[company_id] += messages

    async def _write_regularly(self) -> None:
        while not self._stopping.is_set():
            began = self.services.now()
            # A day's messages are written in its last moment, so none is counted for the next day.
            pause_s = min(self.options.write_every_s, DAY_S - began % DAY_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            await self.write(began)
