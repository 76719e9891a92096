"""How often somebody may ask for something that costs, whichever way they ask."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MOST_REMEMBERED = 100_000


class Pace:
    """A token bucket for each account. 0 a minute = no limit."""

    def __init__(self, per_minute: Callable[[], int]) -> None:
        self._per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, account_id: str, now: float) -> int:
        """0 for what may be done, which is counted; else the seconds until it may."""
        most = self._per_minute()
        if not most:
            return 0
        left, at = self._left.pop(account_id, (float(most), now))
        left = min(float(most), left + (now - at) * most / 60)
        is_over = left < 1
        self._left[account_id] = (left if is_over else left - 1, now)
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        return max(1, round((1 - left) * 60 / most)) if is_over else 0
