"""A TCP relay between a client and the server, to lose a connection the way a network does."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Passes bytes on between its own `port` and the server's, until it is cut."""

    def __init__(self, host: str, server_port: int) -> None:
        self.host = host
        self.port = 0
        self._server_port = server_port
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        """Lets connections through, from the start or after a cut."""
        self._listener = await asyncio.start_server(self._pass_on, self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Resets every connection in both directions and refuses new ones: no stream end, no TLS close."""
        if self._listener is not None:
            self._listener.close()
        for writer in self._writers:
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(self.host, self._server_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer))
        self._writers -= {writer, upstream_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        writer.transport.abort()
        return
    writer.close()


@asynccontextmanager
async def relay(host: str, server_port: int) -> AsyncIterator[Relay]:
    """A relay in front of the server, cut at the end."""
    made = Relay(host, server_port)
    await made.mend()
    try:
        yield made
    finally:
        made.cut()
