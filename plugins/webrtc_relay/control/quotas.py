"""How many allocations of whom, and how many answers to strangers."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from rainbow_xmpp.plugins.webrtc_relay.control.settings import Limits
from rainbow_xmpp.plugins.webrtc_relay.credentials import company_part
from rainbow_xmpp.plugins.webrtc_relay.stun import packed_ip

_BUCKETS = 0xFFFF
_Key = TypeVar("_Key", str, bytes)


@lru_cache(maxsize=4096)
def source_of(ip: str) -> bytes:
    """What counts as one place: an IPv4 address, or a /64 of IPv6, of which one customer has all addresses."""
    return packed_ip(ip)[1][:8]


class Quotas:
    """Counts allocations; RFC 8656 §7.2 point 10."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._total = 0
        self._users: dict[str, int] = {}
        self._companies: dict[str, int] = {}
        self._sources: dict[bytes, int] = {}

    def full(self) -> bool:
        """Are there as many allocations as there may be at all?"""
        return self._total >= self.limits.allocations

    def may_have_another(self, userid: str, ip: str) -> bool:
        """Is there room for one more of this person, company and place?"""
        limits, company = self.limits, company_part(userid)
        return (
            self._users.get(userid, 0) < limits.per_user
            and self._companies.get(company, 0) < limits.company_allocations.get(company, limits.per_company)
            and self._sources.get(source_of(ip), 0) < limits.per_source
        )

    def add(self, userid: str, ip: str) -> None:
        """One more."""
        self._count(userid, ip, 1)

    def remove(self, userid: str, ip: str) -> None:
        """One less."""
        self._count(userid, ip, -1)

    def _count(self, userid: str, ip: str, step: int) -> None:
        self._total += step
        _step(self._users, userid, step)
        _step(self._companies, company_part(userid), step)
        _step(self._sources, source_of(ip), step)


def _step(counter: dict[_Key, int], key: _Key, step: int) -> None:
    number = counter.get(key, 0) + step
    if number > 0:
        counter[key] = number
    else:
        counter.pop(key, None)


class Strangers:
    """So many answers a second to one place; a flood from many places costs no more memory than from one.

    Counted in a table of fixed size that is emptied every second. Two places that meet in one entry share it.
    """

    def __init__(self) -> None:
        self._second = 0
        self._answered: dict[int, int] = {}

    def may_be_answered(self, ip: str, now: float, most: int) -> bool:
        """Counts one answer to this place."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._answered.clear()
        entry = hash(source_of(ip)) & _BUCKETS
        answered = self._answered.get(entry, 0)
        self._answered[entry] = answered + 1
        return answered < most
