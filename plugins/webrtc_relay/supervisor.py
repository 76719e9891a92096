"""The server's side of the relay's process: opens its sockets, starts it, hears it, starts it again when it dies.

The sockets stay with the server, so a relay that dies leaves its ports to the next one. Chat needs nothing of all this:
what fails here is logged and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from rainbow_xmpp.plugins.webrtc_relay.sockets import RelaySockets
from rainbow_xmpp.plugins.webrtc_relay.wire import (
    CloseCompany,
    CloseUser,
    DrainRelay,
    PassedConnection,
    RelayClosed,
    RelayFigures,
    RelayLog,
    RelayMoved,
    RelayOpened,
    RelayReady,
    RelaySettings,
    Unpacker,
    packed,
    packed_connection,
    up_decoder,
)

log = logging.getLogger(__name__)
relay_log = logging.getLogger(f"{__name__}.relay")

CHILD = Path(__file__).parent.resolve() / "child.py"
READY_S = 20.0
SILENCE_S = 30.0
"""The relay says how it is every five seconds; one that says nothing for so long hangs, and is killed."""
FIRST_REST_S, LONGEST_REST_S = 0.5, 30.0
WELL_S = 60.0
"""Who lived so long begins with the shortest rest again."""
END_S = 3.0


class Hears(Protocol):
    """What is done with what the relay reports."""

    def ready(self) -> None:
        """It relays."""

    def opened(self, userid: str, transport: str) -> None:
        """An allocation came to life."""

    def closed(self, userid: str, transport: str, seconds: float, reason: str) -> None:
        """It ended."""

    def moved(self, userid: str, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """So much passed in the last so many seconds, through one relay of this userid."""

    def figures(self, allocations: int, connections: int, refused: Mapping[str, int]) -> None:
        """How many there are now, and what was refused since the last time."""

    def lost(self) -> None:
        """The process is gone, and every allocation with it."""

    def restarted(self) -> None:
        """Another one is there in its place."""


class Supervisor:
    """Keeps one relay running, from `start` to `stop`."""

    def __init__(self, sockets: RelaySockets, settings: Callable[[], RelaySettings], hears: Hears) -> None:
        self._sockets = sockets
        self._settings = settings
        self._hears = hears
        self._task: asyncio.Task[None] | None = None
        self._line: asyncio.StreamWriter | None = None
        self._door: socket.socket | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the relay's process, while there is one."""
        return self._process.pid if self._process is not None else None

    @property
    def is_ready(self) -> bool:
        """It relays now."""
        return self._ready.is_set()

    async def start(self) -> None:
        """Start it and wait until it relays; when it does not soon, it is tried again and logged."""
        self._task = asyncio.get_running_loop().create_task(self._keep_running(), name="relay")
        try:
            await self.wait_ready(READY_S)
        except TimeoutError:
            log.error("the relay does not begin; it is tried again")

    async def wait_ready(self, timeout_s: float) -> None:
        """Until it relays. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._ready.wait()

    async def stop(self, drain_s: float) -> None:
        """No new calls; those that there are may go on for so long."""
        self._stopping.set()
        self._sockets.close()
        self._tell(DrainRelay(drain_s))
        if self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=drain_s + END_S)
            if not done:
                self._task.cancel()
                await asyncio.wait([self._task])
            self._task = None

    # -- what it is told -------------------------------------------------------------------------------

    def configure(self) -> None:
        """The settings are others now."""
        self._tell(self._settings())

    def close_user(self, userid: str, revoked_until: float) -> None:
        """End a person's allocations; credentials that end by this Unix time (seconds) are void."""
        self._tell(CloseUser(userid, revoked_until))

    def close_company(self, company: str, revoked_until: float) -> None:
        """The same for everybody whose userid begins with `company` and `-`."""
        self._tell(CloseCompany(company, revoked_until))

    def pass_connection(
        self, sock: socket.socket, client: tuple[str, int], server: tuple[str, int], *, is_clear: bool
    ) -> bool:
        """Give a connection of the one port to the relay; the caller closes its own. False: it takes none."""
        if self._door is None or not self.is_ready:
            return False
        message = packed_connection(PassedConnection(client, server, is_clear))
        try:
            socket.send_fds(self._door, [message], [sock.fileno()])
        except OSError:
            return False
        return True

    def _tell(self, message: Struct) -> None:
        if self._line is not None and not self._line.is_closing():
            self._line.write(packed(message))

    # -- its life --------------------------------------------------------------------------------------

    async def _keep_running(self) -> None:
        rest_s = FIRST_REST_S
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._one_life()
            except OSError:
                log.exception("the relay cannot be started; it is tried again")
            if self._stopping.is_set():
                return
            if time.monotonic() - began > WELL_S:
                rest_s = FIRST_REST_S
            log.error("the relay has ended; calls through it are over. Another one begins in %.1f s", rest_s)
            self._hears.lost()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), rest_s)
            rest_s = min(rest_s * 2, LONGEST_REST_S)
            self._hears.restarted()

    async def _one_life(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        door, their_door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.setblocking(False)
        try:
            process = self._process = await asyncio.to_thread(start_child, theirs, their_door, self._sockets)
        except BaseException:
            ours.close()
            door.close()
            raise
        finally:
            theirs.close()
            their_door.close()
        reader, self._line = await asyncio.open_connection(sock=ours)
        self._door = door
        self._tell(self._settings())
        try:
            await self._hear(reader)
        finally:
            self._ready.clear()
            self._door = None
            door.close()
            self._line.close()  # it ends by this, if it has not
            self._line = None
            await asyncio.shield(asyncio.to_thread(_until_gone, process))
            self._process = None

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Until it ends, or says nothing any more."""
        unpacker = Unpacker()
        try:
            while data := await asyncio.wait_for(reader.read(65_536), SILENCE_S):
                for body in unpacker.feed(data):
                    self._heard(up_decoder.decode(body))
        except TimeoutError:
            log.error("the relay says nothing any more; it is killed")
            if self._process is not None:
                self._process.kill()
        except ConnectionError:
            return

    def _heard(self, message: object) -> None:
        match message:
            case RelayReady():
                self._ready.set()
                self._hears.ready()
            case RelayOpened(userid, transport):
                self._hears.opened(userid, transport)
            case RelayClosed(userid, transport, seconds, _, _, reason):
                self._hears.closed(userid, transport, seconds, reason)
            case RelayMoved(entries):
                for entry in entries:
                    self._hears.moved(*entry)
            case RelayFigures(allocations, connections, refused):
                self._hears.figures(allocations, connections, refused)
            case RelayLog(level, text):
                relay_log.log(level, "%s", text)


def start_child(line: socket.socket, door: socket.socket, sockets: RelaySockets) -> subprocess.Popen[bytes]:
    """The relay's process: it gets these descriptors and no others, no environment, no arguments of ours."""
    passed = [each.fileno() for each in (line, door, *sockets.udp, *sockets.tcp)]
    groups = [[line], [door], sockets.udp, sockets.tcp]
    arguments = [",".join(str(sock.fileno()) for sock in group) for group in groups]
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", str(CHILD), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=passed,
        env={},
        start_new_session=True,
    )


def _until_gone(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
        return
    process.kill()
    process.wait()
