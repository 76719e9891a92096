"""What `rainbow-xmpp status` is told: sums since the start, and how things are now. Rates are left to the asker."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from rainbow_xmpp import process
from rainbow_xmpp.observe.figures import Health, NodeFigures
from rainbow_xmpp.observe.histogram import Histogram
from rainbow_xmpp.observe.metrics import Counters

if TYPE_CHECKING:
    from rainbow_xmpp.node import Node
    from rainbow_xmpp.observe.stalls import StallWatch

COMPANIES = 10
COMPANIES_EVERY_S = 2.0
"""Counting them looks at every session, so it is not done more often."""


class Status:
    """Answers requests on the control socket."""

    def __init__(self, node: Node, health: Health, stalls: StallWatch) -> None:
        self._node = node
        self._health = health
        self._stalls = stalls
        self._figures = NodeFigures(node, health)
        self._started = time.time()
        self._companies: list[tuple[str, int]] = []
        self._counted_at = -COMPANIES_EVERY_S

    async def asked(self, _: Mapping[str, object]) -> dict[str, object]:
        """Everything, as it is now."""
        node = self._node
        return {
            "time": time.time(),
            "started": self._started,
            "pid": os.getpid(),
            "domain": node.config.domain,
            "counters": _counts(node.counters),
            "times": self._times(),
            "queues": self._figures.queues(),
            "companies": self._top_companies(),
            "database": {"kind": node.store.dialect, "is_well": self._health.database()},
            "certificate_ends": self._health.certificate_ends,
            "audit": {"written": node.audit.written, "failed": node.audit.failed},
            "stall": self._stalls.last,
            "process": process.usage(),
        }

    def _times(self) -> dict[str, object]:
        times, database = self._node.timings, self._node.store.timings
        named = {
            "stanza": times.stanza,
            "login": times.login,
            "database_query": database.query,
            "database_read": database.read,
            "database_write": database.write,
            "loop_lag": times.loop_lag,
        }
        return {name: _histogram(histogram) for name, histogram in named.items()}

    def _top_companies(self) -> list[tuple[str, int]]:
        now = time.monotonic()
        if now - self._counted_at >= COMPANIES_EVERY_S:
            self._counted_at = now
            sessions = self._node.sessions.by_full.values()
            counts = Counter(session.account.company.name for session in sessions)
            self._companies = counts.most_common(COMPANIES)
        return self._companies


def _counts(counters: Counters) -> dict[str, int]:
    counts = {field.name: getattr(counters, field.name) for field in fields(counters)}
    counts["stream_errors"] = sum(counters.stream_errors.values())
    return counts


def _histogram(histogram: Histogram) -> dict[str, object]:
    return {"bounds": histogram.bounds, "counts": histogram.counts, "total": histogram.total}
