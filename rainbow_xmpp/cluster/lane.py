"""A lane: items from one node to another, each exactly once and in order, over a bus that may lose what it is given.

Plain values and counters, no I/O; the clock says only since when something waits.
What was sent is kept until the other side says that it has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import monotonic
from typing import NamedTuple

from rainbow_xmpp.cluster.items import Item, Stanza
from rainbow_xmpp.ids import new_stream_id

MOST_KEPT = 100_000
"""Items that wait to be acknowledged; a node that is so far behind begins anew."""
MOST_KEPT_BYTES = 64 * 1024 * 1024
MOST_ITEMS = 200
"""In one frame."""
MOST_FRAME_BYTES = 256 * 1024
"""Of stanzas in one frame, unless one alone is larger. A NATS server takes 1 MiB."""


class Batch(NamedTuple):
    """Items for one frame, and the number of the first."""

    first: int
    items: list[Item]


class Overdue(Exception):
    """Too much waits: the other side must be told everything anew."""


class Outgoing:
    """The end that sends."""

    def __init__(self) -> None:
        self.name = new_stream_id()
        self.acked = 0
        self._unacked: deque[Item] = deque()
        self._put_at: deque[float] = deque()
        self._sent = 0
        self._bytes = 0

    @property
    def is_waiting(self) -> bool:
        """Something was sent that the other side has not said it has."""
        return self._sent > self.acked

    @property
    def has_more(self) -> bool:
        """Something was not sent yet."""
        return self.acked + len(self._unacked) > self._sent

    def put(self, item: Item) -> None:
        """Behind everything else. Raises Overdue."""
        self._unacked.append(item)
        self._put_at.append(monotonic())
        self._bytes += _size(item)
        if len(self._unacked) > MOST_KEPT or self._bytes > MOST_KEPT_BYTES:
            raise Overdue

    def batches(self) -> Iterator[Batch]:
        """What was not sent yet."""
        while self.has_more:
            first, size, items = self._sent + 1, 0, list[Item]()
            for index in range(self._sent - self.acked, len(self._unacked)):
                item = self._unacked[index]
                size += _size(item)
                if items and (len(items) == MOST_ITEMS or size > MOST_FRAME_BYTES):
                    break
                items.append(item)
            self._sent += len(items)
            yield Batch(first, items)

    def got(self, upto: int) -> None:
        """The other side has everything up to this one."""
        for _ in range(min(upto, self._sent) - self.acked):
            self._bytes -= _size(self._unacked.popleft())
            self._put_at.popleft()
            self.acked += 1

    def send_again(self) -> None:
        """What was not acknowledged counts as not sent."""
        self._sent = self.acked

    def undelivered(self) -> list[tuple[Stanza, float]]:
        """The stanzas that the other side has not said it has, and when each was put here (monotonic, seconds)."""
        waiting = zip(self._unacked, self._put_at, strict=True)
        return [(item, at) for item, at in waiting if isinstance(item, Stanza)]


class Incoming:
    """The end that receives."""

    def __init__(self) -> None:
        self.name = ""
        """The lane that is received; "" before the first."""
        self.got = 0

    def take(self, name: str, first: int, items: list[Item]) -> list[Item] | None:
        """The items that are new, in order; None when some before them are missing. A lane that is new begins at 1."""
        if name != self.name:
            self.name, self.got = name, 0
        if first > self.got + 1:
            return None
        new = items[self.got + 1 - first :]
        self.got += len(new)
        return new


def _size(item: Item) -> int:
    return len(item.data) if isinstance(item, Stanza) else 200
