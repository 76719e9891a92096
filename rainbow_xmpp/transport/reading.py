"""One read buffer for all connections.

Where a protocol is not "buffered", aiofastnet reads into a new bytes object of 256 KiB each time and shrinks it
afterwards, which costs time and leaves the heap full of holes. The loop runs in one thread and what was read is
copied out at once, so everybody can read into the same memory.
"""

from __future__ import annotations

import asyncio

READ_BYTES = 16_384
_BUFFER = memoryview(bytearray(READ_BYTES))


class Reading(asyncio.BufferedProtocol):
    """A protocol that gets its bytes by `data_received` all the same."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_BUFFER[:nbytes]))
        if nbytes == READ_BYTES:
            self.had_much()

    def had_much(self) -> None:
        """The buffer was filled: there is more to read, and others may be waiting for their turn."""

    def data_received(self, data: bytes) -> None:
        """What the peer sent."""
        raise AssertionError("each protocol reads in its own way")
