"""One read buffer for all connections.

Where a protocol is not "buffered", aiofastnet reads into a new bytes object of 256 KiB each time and shrinks it
afterwards, which costs time and leaves the heap full of holes. The loop runs in one thread and what was read is
copied out at once, so everybody can read into the same memory.
"""

from __future__ import annotations

import asyncio

_BUFFER = memoryview(bytearray(65_536))


class Reading(asyncio.BufferedProtocol):
    """A protocol that gets its bytes by `data_received` all the same."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_BUFFER[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """What the peer sent."""
        raise AssertionError("each protocol reads in its own way")
