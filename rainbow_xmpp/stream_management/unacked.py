"""What a session was sent and has not acknowledged: counters and a queue, with no I/O (XEP-0198 §4)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from rainbow_xmpp.stream_management.elements import WRAP


class Sent(NamedTuple):
    """A stanza that the peer may not have got."""

    number: int
    """How many were sent before it."""
    at: int
    """When it was sent, Unix time in seconds."""
    stanza: bytes


class Unacked:
    """Oldest first. The bytes are those that were written: nothing is copied."""

    __slots__ = ("acked", "bytes", "stanzas", "times")

    def __init__(self) -> None:
        self.acked = 0
        """Stanzas that the peer has acknowledged, without wrapping."""
        self.stanzas: list[bytes] = []
        self.times = array("Q")
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.stanzas)

    def __iter__(self) -> Iterator[Sent]:
        for place, (stanza, at) in enumerate(zip(self.stanzas, self.times, strict=True)):
            yield Sent(self.acked + place, at, stanza)

    @property
    def sent(self) -> int:
        """Stanzas that were sent, without wrapping."""
        return self.acked + len(self.stanzas)

    def add(self, stanza: bytes, at: int) -> None:
        """One was sent, at this Unix time in seconds."""
        self.stanzas.append(stanza)
        self.times.append(at)
        self.bytes += len(stanza)

    def newly(self, h: int) -> int | None:
        """How many more `h` acknowledges than were; None: `h` is older than what was. More than `len`: it is a lie."""
        more = (h - self.acked) % WRAP
        return more if more < WRAP // 2 else None

    def forget(self, count: int) -> None:
        """The oldest ones arrived."""
        self.bytes -= sum(map(len, self.stanzas[:count]))
        del self.stanzas[:count]
        del self.times[:count]
        self.acked += count
