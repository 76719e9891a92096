"""How many requests a login, or an address without one, may make."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from rainbow_xmpp.plugin import too_many

MOST_REMEMBERED = 100_000


class Buckets:
    """A token bucket for each key; a full one is forgotten. 0 a minute = no limit."""

    def __init__(self, per_minute: Callable[[], int]) -> None:
        self._per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> None:
        """Count a request; raise Problem (429) when there were too many."""
        most = self._per_minute()
        if not most:
            return
        left, at = self._left.pop(key, (float(most), now))
        left = min(float(most), left + (now - at) * most / 60)
        if left < 1:
            self._left[key] = (left, now)
            wait_s = max(1, round((1 - left) * 60 / most))
            raise too_many(wait_s)
        self._left[key] = (left - 1, now)
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
