"""People who came through another region are asked to come to their own directly, but not for ever.

Where they are sent leads to this region's own servers, who serve them, and send nobody on. If it leads to the other
region all the same, by DNS that is not ours, they come through it again: after `MOST_IN_A_ROW` redirects within `ROW_S`
they are served as they come. It is told by the account, which has been proven: a client does not say where it has been.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from rainbow_xmpp.errors import SeeOther

MOST_IN_A_ROW = 2
ROW_S = 60.0
MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Row:
    began: float
    count: int = 0


class Redirects:
    """Remembers in memory who was sent where they should come in."""

    def __init__(self, violation: Callable[[], SeeOther], clock: Callable[[], float]) -> None:
        """`violation` is what sends them; `clock` gives seconds of a monotonic clock."""
        self._violation = violation
        self._clock = clock
        self._rows: OrderedDict[str, _Row] = OrderedDict()

    def of(self, account_id: str) -> SeeOther | None:
        """What ends this account's stream; None: it is served."""
        now = self._clock()
        while self._rows and now - next(iter(self._rows.values())).began > ROW_S:
            self._rows.popitem(last=False)
        row = self._rows.get(account_id)
        if row is None:
            if len(self._rows) >= MOST_REMEMBERED:
                return None
            row = self._rows[account_id] = _Row(now)
        if row.count >= MOST_IN_A_ROW:
            return None
        row.count += 1
        return self._violation()
