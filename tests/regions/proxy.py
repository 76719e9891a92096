"""What is between two regions: a way that is long, and that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any


class Way:
    """Passes TCP connections on to a port of this machine, later and only while it is not cut."""

    def __init__(self, to_port: int, *, delay_s: float) -> None:
        self.port = 0
        self.delay_s = delay_s
        """Each way."""
        self.is_silent = False
        """Nothing arrives any more, and nobody is told: a black hole."""
        self.seen = bytearray()
        self._to_port = to_port
        self._is_cut = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> None:
        self.port = port
        self._server = await asyncio.start_server(self._came, "127.0.0.1", port)

    def cut(self) -> None:
        """Every connection ends, and no new one begins."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def heal(self) -> None:
        """As before; a connection that was in a black hole ends."""
        if self.is_silent:
            self.cut()
        self._is_cut = self.is_silent = False

    async def close(self) -> None:
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        self._spawn(self._pass(reader, far_writer, writer))
        self._spawn(self._pass(far_reader, writer, far_writer))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(65536):
                self.seen += data
                loop.call_later(self.delay_s, self._arrive, writer, data)
        except OSError:
            pass
        finally:
            with contextlib.suppress(RuntimeError):
                loop.call_later(self.delay_s, writer.close)
            self._writers.discard(other)

    def _arrive(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not (self.is_silent or self._is_cut or writer.is_closing()):
            writer.write(data)
