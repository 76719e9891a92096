"""The server's end of a connection that is not there: it keeps what is sent."""

import asyncio
from collections.abc import Callable
from itertools import count

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.xml import names

_NUMBERS = count(1)


class MemoryWire:
    """What a session writes to (see `session.Wire`). Stanzas need no xmlns, as in a TCP stream."""

    def __init__(self, ended: Callable[[], None], lost: Callable[[], None] | None = None) -> None:
        """`lost` is called in place of `ended` when nobody closed the stream."""
        self.stanza_ns = names.CLIENT
        self.number = next(_NUMBERS)
        self.source = "192.0.2.1"
        self.prefixes: dict[str, str] = {}
        self.unread: list[bytes] = []
        self.violation: PeerViolation | None = None
        """The stream error that ended the stream."""
        self.is_open = True
        self.is_choked = False
        """The client reads too slowly."""
        self.is_paused = False
        """The server does not read from this connection for the moment."""
        self.pings = 0
        self._ended = ended
        self._lost = lost or ended
        self._arrival = asyncio.Event()

    async def arrival(self) -> None:
        """Wait until something more is sent."""
        self._arrival.clear()
        await self._arrival.wait()

    def send(self, data: bytes) -> None:
        if self.is_open:
            self.unread.append(data)
            self._arrival.set()

    def fail(self, violation: PeerViolation) -> None:
        if self.is_open:
            self.violation = violation
            self.abort()

    def end(self, data: bytes = b"") -> None:
        if data:
            self.send(data)
        self.abort()

    def peer_closed(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._close(self._ended)

    def lose(self) -> None:
        """The connection is lost, without a word."""
        self._close(self._lost)

    def give_way(self) -> None:
        self.violation = PeerViolation(StreamCondition.CONFLICT)
        self._close(lambda: None)

    def _close(self, told: Callable[[], None]) -> None:
        if self.is_open:
            self.is_open = False
            self._arrival.set()
            asyncio.get_running_loop().call_soon(told)  # as a socket would tell: a moment later

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def slowed(self) -> None:
        pass

    def ping(self) -> None:
        self.pings += 1
