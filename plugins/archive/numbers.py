"""The numbers of messages: one for each, the same in every log, rising in the order in which they are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

EPOCH_MS = 1_577_836_800_000
"""Numbers count from 2020-01-01T00:00:00Z."""
SPARE_BITS = 21
"""Below the milliseconds: 13 for messages within one, 8 for the node. 41 above them last until 2089."""
NODES = 256

RECEIVED = 1
"""The last bit of a key in the log of whoever received the message; 0 in the sender's."""


class Numbers:
    """Draws numbers on one node. They rise even when the clock is set back."""

    def __init__(self, now: Callable[[], float], node: int = 0, last: int = 0) -> None:
        """`now` gives Unix time in seconds, `last` is the greatest number that was drawn before."""
        self._now = now
        self._node = node
        self._last = last
        self._from = self._until = 0.0
        """The millisecond of the last one; many are drawn within one."""

    def next(self) -> int:
        """A number that is greater than every one before."""
        now = self._now()
        if self._from <= now < self._until:
            self._last = number = self._last + NODES
            return number
        ms = int(now * 1000)
        self._from, self._until = now, (ms + 1) / 1000
        number = (ms - EPOCH_MS) << SPARE_BITS | self._node
        if number <= self._last:
            number = (self._last // NODES + 1) * NODES + self._node
        self._last = number
        return number


def time_of(number: int) -> float:
    """When a message was kept: Unix time in seconds, to the millisecond."""
    return ((number >> SPARE_BITS) + EPOCH_MS) / 1000


def first_at(at: float) -> int:
    """The least number that a message of this Unix time (seconds) can have; 0 for times before the first."""
    return max(0, (int(at * 1000) - EPOCH_MS) << SPARE_BITS)


def peer_of(bare: str) -> int:
    """A bare JID as a number of 63 bits, for indexes. Two may share one: compare the stanzas' addresses too."""
    return int.from_bytes(hashlib.blake2b(bare.encode(), digest_size=8).digest()) >> 1


def origin_of(owner: int, peer: int, origin_id: str) -> int:
    """What an account said to somebody under this origin-id (XEP-0359), as a number of 63 bits."""
    told = f"{owner} {peer} {origin_id}".encode()
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest()) >> 1
