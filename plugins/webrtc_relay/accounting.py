"""Who used how much of the relay: counted in memory, written as sums at intervals; a crash loses one interval."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from rainbow_xmpp.plugin import Account
from rainbow_xmpp.plugins.webrtc_relay.store import Owner, RelayUsage, Used

LEAST_BYTES_PER_SECOND = 200
"""Less than this are connectivity checks (RFC 7675), which go on all the time beside a call that needs no relay; it
costs nobody a minute. Speech has some thousands."""
MOST_REMEMBERED = 100_000
KEPT_MONTHS = 13
K = TypeVar("K")
V = TypeVar("V")
log = logging.getLogger(__name__)


def month_of(at: float) -> int:
    """The month of a Unix time (seconds), such as 202611, in UTC."""
    day = datetime.fromtimestamp(at, UTC)
    return day.year * 100 + day.month


def months_before(month: int, many: int) -> int:
    """The month that lies so many months before this one."""
    number = month // 100 * 12 + month % 100 - 1 - many
    return number // 12 * 100 + number % 12 + 1


class Accounting:
    """Adds up what the relay reports, by the userids of its credentials."""

    def __init__(self, usage: RelayUsage, now: Callable[[], float]) -> None:
        self._usage = usage
        self._now = now
        self._unwritten: dict[str, Used] = {}
        self._owners: OrderedDict[str, Owner] = OrderedDict()
        self._begun: OrderedDict[tuple[str, int], None] = OrderedDict()
        self.allocations: dict[str, int] = {}
        """How many are open, by userid."""

    async def begin(self, account: Account, userid: str) -> None:
        """Somebody gets credentials: what is reported of this userid is the account's from now on."""
        month = month_of(self._now())
        if (userid, month) not in self._begun:
            await self._usage.begin(account, userid, month, self._now())
            _remember(self._begun, (userid, month), None)
        _remember(self._owners, userid, Owner(account.company.id, account.id))

    async def owner_of(self, userid: str) -> Owner | None:
        """Whose userid it is; None for nobody's, and for a removed account's that was not seen lately."""
        owner = self._owners.get(userid)
        if owner is None:
            owner = await self._usage.owner_of(userid)
            if owner is not None:
                _remember(self._owners, userid, owner)
        return owner

    # -- what the relay reports ------------------------------------------------------------------------

    def opened(self, userid: str) -> None:
        """An allocation."""
        self.allocations[userid] = self.allocations.get(userid, 0) + 1
        self._add(userid, Used(allocations=1))

    def closed(self, userid: str) -> None:
        left = self.allocations.get(userid, 0) - 1
        if left > 0:
            self.allocations[userid] = left
        else:
            self.allocations.pop(userid, None)

    def all_closed(self) -> None:
        """The relay is gone, and every allocation with it."""
        self.allocations.clear()

    def moved(self, userid: str, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """So much passed in the last so many seconds, which count when it was more than checks."""
        is_media = bytes_in + bytes_out >= LEAST_BYTES_PER_SECOND * seconds
        self._add(userid, Used(round(seconds) if is_media else 0, 0, bytes_in, bytes_out))

    def _add(self, userid: str, used: Used) -> None:
        self._unwritten[userid] = self._unwritten.get(userid, Used()).plus(used)

    # -- sums ------------------------------------------------------------------------------------------

    async def write(self) -> None:
        """Write what was counted; what cannot be written is kept for the next time."""
        unwritten, self._unwritten = self._unwritten, {}
        if not unwritten:
            return
        try:
            owned = {userid: await self.owner_of(userid) for userid in unwritten}
            sums = {
                (owner, userid): unwritten[userid] for userid, owner in owned.items() if owner is not None
            }
            if sums:
                await self._usage.add(month_of(self._now()), sums)
        except Exception:
            log.exception("what was used of the relay could not be written; it is kept for the next time")
            for userid, used in unwritten.items():
                self._add(userid, used)

    async def seconds_of(self, account: Account, userid: str) -> int:
        """What a person used this month."""
        written = await self._usage.seconds(account.company.id, account.id, month_of(self._now()))
        return written + self._unwritten.get(userid, Used()).seconds

    async def seconds_of_company(self, company_id: str) -> int:
        """What a company's people used this month, as far as it is written."""
        return await self._usage.company_seconds(company_id, month_of(self._now()))

    async def forget_old(self) -> None:
        """Drop what people used more than a year ago."""
        await self._usage.forget_months(months_before(month_of(self._now()), KEPT_MONTHS))


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)
