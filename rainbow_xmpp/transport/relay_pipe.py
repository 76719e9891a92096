"""A client of the relay that came by the one port: TLS is done here, everything else in the relay's process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from rainbow_xmpp.transport.reading import READ_BYTES, Reading

MOST_WAITING_BYTES = 65_536
"""So much of what a client sends may wait for the relay; then nothing more is read of it."""
PIPE_BYTES = 65_536
"""Of the socket between the two processes, each way: a relay drops what does not fit."""


class RelayPipe(Reading):
    """Passes bytes on, both ways, without a task and with bounds: whoever does not read is not read from."""

    __slots__ = ("_is_watched", "_left", "_loop", "_pipe", "_transport", "_waiting")

    def __init__(self, transport: Any, pipe: socket.socket, left: Callable[[], None]) -> None:
        """`left` is called once, when the connection is gone."""
        self._transport = transport
        self._pipe = pipe
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._is_watched = False
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if not self._waiting:
            try:
                data = data[self._pipe.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self._transport.abort()
                return
            if not data:
                return
            self._loop.add_writer(self._pipe, self._go_on)
        self._waiting += data
        if len(self._waiting) > MOST_WAITING_BYTES:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        try:
            del self._waiting[: self._pipe.send(self._waiting)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._transport.abort()
            return
        if not self._waiting:
            self._loop.remove_writer(self._pipe)
            self._transport.resume_reading()

    def _from_relay(self) -> None:
        try:
            data = self._pipe.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._transport.write(data)
        else:
            self.pause_writing()
            self._transport.close()

    def pause_writing(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._pipe)

    def resume_writing(self) -> None:
        if not self._is_watched and self._pipe.fileno() >= 0:
            self._is_watched = True
            self._loop.add_reader(self._pipe, self._from_relay)

    def eof_received(self) -> None:
        """The relay hears of it when the connection is gone, which it is now."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.pause_writing()
        if self._pipe.fileno() >= 0:
            self._loop.remove_writer(self._pipe)
            self._pipe.close()
            self._left()


def pipe_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a local stream, with small buffers."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_BYTES)
    return ours, theirs
