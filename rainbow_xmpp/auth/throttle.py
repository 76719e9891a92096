"""Slowing down those who guess passwords, without ever shutting the owner out.

Failures count for an account at one source, and for a source over all accounts; never for an account alone,
or else anybody could lock anybody out. No clock in here: the time is passed in.
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache

MAX_DELAY_S = 300.0
_FIRST_DELAY_S = 1.0


class Throttle:
    """Failures per minute that are free of charge; each one beyond doubles the wait. 0 = no limit."""

    def __init__(self, *, per_account: int = 10, per_source: int = 30, most: int = 50_000) -> None:
        """`per_account`: failures a minute for one account from one source; `per_source`: for all together.

        `most` bounds how many of each are remembered; beyond, the one that failed longest ago is forgotten.
        """
        self._accounts = _Counters(per_account, most)
        self._sources = _Counters(per_source, most)

    def limit(self, *, per_account: int, per_source: int) -> None:
        """So many are free of charge from now on."""
        self._accounts.free, self._sources.free = per_account, per_source

    def wait_s(self, account: str, source: str, now: float) -> float:
        """Seconds until this source may try this account again; a try before that is refused unjudged."""
        return max(self._accounts.wait_s((account, source), now), self._sources.wait_s(source, now))

    def may_try(self, account: str, source: str, now: float) -> bool:
        """Nothing is to be waited for."""
        return self.wait_s(account, source, now) == 0

    def failed(self, account: str, source: str, now: float) -> None:
        """A password was wrong, or the account does not exist."""
        self._accounts.add((account, source), now)
        self._sources.add(source, now)

    def succeeded(self, account: str, source: str) -> None:
        """The right password ends the count for this account at this source, not that for the source."""
        self._accounts.forget((account, source))

    def __len__(self) -> int:
        return len(self._accounts) + len(self._sources)


class _Counters:
    """Failures by key; one is forgiven every 60/`free` seconds."""

    def __init__(self, free: int, most: int) -> None:
        self.free = free
        self._most = most
        # Failures and when, by the hash of the key: what strangers call themselves may be long, and is not kept.
        self._entries: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def add(self, key: Hashable, now: float) -> None:
        if not self.free:
            return
        number = hash(key)
        self._entries[number] = self._failures(number, now) + 1, now
        self._entries.move_to_end(number)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def wait_s(self, key: Hashable, now: float) -> float:
        entry = self._entries.get(hash(key))
        if entry is None:
            return 0.0
        failures, at = entry
        beyond = failures - self.free
        if beyond < 0:
            return 0.0
        delay = min(math.ldexp(_FIRST_DELAY_S, min(int(beyond), 30)), MAX_DELAY_S)
        return max(0.0, at + delay - now)

    def forget(self, key: Hashable) -> None:
        self._entries.pop(hash(key), None)

    def __len__(self) -> int:
        return len(self._entries)

    def _failures(self, number: int, now: float) -> float:
        failures, at = self._entries.get(number, (0.0, now))
        return max(0.0, failures - max(0.0, now - at) * self.free / 60)


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or an IPv6 network of /64, which one person has whole."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip.packed[:8] + bytes(8), 64)))
