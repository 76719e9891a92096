"""What is done to a running server: it is killed, its disk is full, its PostgreSQL goes away; and how it says so."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import aiohttp

from tests.conformance.wire import Endpoint
from tests.postgres import PrivatePostgres
from tests.process import Person, RainbowServer

NOTICED_S = 20.0
"""So long the server may take to say that its database takes nothing, or takes something again."""
TOLD = (("takes nothing", "takes messages again"), ("does not answer", "answers again"))
"""What the log says of an outage, and of its end, by what was noticed first."""
LOG_ROOM = 262_144
"""What the server may still write into its log while files may not grow."""


class TroubleFault(AssertionError):
    """The server did not say what is wrong, or that it is over."""


class Reached(Protocol):
    """What clients connect to: a server, or a region of several."""

    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def storage_url(self) -> str: ...
    def new_person(self) -> Person: ...


R = TypeVar("R", bound=Reached)


class Trouble(ABC, Generic[R]):
    """Something that is done to the server, more than once. It serves again when `strike` returns."""

    kind: str

    @abstractmethod
    async def strike(self, server: R, chance: random.Random) -> float:
        """Do it, and undo it; the seconds from its end until the server says that it serves. Raises TroubleFault."""


class Death(Trouble[RainbowServer]):
    """The process is killed, or asked to stop, and started again."""

    def __init__(self, kind: str, ended: Callable[[], None] = lambda: None) -> None:
        """`kind` is "kills" or "stops"; `ended` is called when the process is gone."""
        self.kind = kind
        self._ended = ended

    async def strike(self, server: RainbowServer, chance: random.Random) -> float:
        server.process.send_signal(signal.SIGKILL if self.kind == "kills" else signal.SIGTERM)
        await asyncio.to_thread(server.process.wait)
        began = time.monotonic()
        self._ended()
        await asyncio.to_thread(server.start)
        return time.monotonic() - began


class Outage(Trouble[RainbowServer]):
    """The database takes nothing for some seconds. The server says so, serves on, and comes back by itself."""

    is_readable = True
    """What is in the database can be read meanwhile."""

    def __init__(self, least_s: float, most_s: float) -> None:
        """How long it lasts after the server has noticed."""
        self._lasts_s = least_s, most_s

    @abstractmethod
    async def _begin(self, server: RainbowServer) -> None: ...

    @abstractmethod
    async def _end(self, server: RainbowServer) -> None: ...

    async def strike(self, server: RainbowServer, chance: random.Random) -> float:
        since = server.log_file.stat().st_size
        await self._begin(server)
        try:
            await until(lambda: _says(server, is_well=False), "the server says nothing of it")
            await asyncio.sleep(chance.uniform(*self._lasts_s))
        finally:
            await self._end(server)
        began = time.monotonic()
        await until(lambda: _says(server, is_well=True), "the server does not say that it is over")
        seconds = time.monotonic() - began
        log = server.log_text(since)
        if not any(began in log and over in log for began, over in TOLD):
            raise TroubleFault(f"the log does not say so:\n{log[-2000:]}")
        return seconds


class SmallDisk:
    """A file system of its own, a few megabytes in size, that can be filled to its last byte. For root."""

    def __init__(self, folder: Path, megabytes: int = 64) -> None:
        """Mounts it at `folder`, with what was in there."""
        self._folder = folder
        self._ballast = folder / "ballast"
        content = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "rainbow-test", str(folder)]
        subprocess.run(mount, check=True)
        for name, data in content.items():
            (folder / name).write_bytes(data)

    def fill(self) -> None:
        """Until there is no space left on it."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            for size in (1_048_576, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def empty(self) -> None:
        """There is space again."""
        self._ballast.unlink()

    def unmount(self) -> None:
        """It is gone, with all that was on it."""
        subprocess.run(["umount", "-l", str(self._folder)], check=True)


class DiskFull(Outage):
    """No space is left where the database lies: `ENOSPC`."""

    kind = "times disk full"

    def __init__(self, disk: SmallDisk, least_s: float = 1.0, most_s: float = 14.0) -> None:
        super().__init__(least_s, most_s)
        self._disk = disk

    async def _begin(self, server: RainbowServer) -> None:
        await asyncio.to_thread(self._disk.fill)

    async def _end(self, server: RainbowServer) -> None:
        self._disk.empty()


class FilesMayNotGrow(Outage):
    """What needs no root: the process may not write behind so many bytes of any file (`RLIMIT_FSIZE`, `EFBIG`)."""

    kind = "times no file may grow"

    def __init__(self, least_s: float = 1.0, most_s: float = 14.0) -> None:
        super().__init__(least_s, most_s)

    async def _begin(self, server: RainbowServer) -> None:
        room = server.log_file.stat().st_size + LOG_ROOM
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    async def _end(self, server: RainbowServer) -> None:
        unlimited = resource.RLIM_INFINITY, resource.RLIM_INFINITY
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)


class PostgresGone(Outage):
    """PostgreSQL is stopped, in one of its three ways or by `kill -9`, and started again."""

    kind = "times PostgreSQL gone"
    is_readable = False

    def __init__(self, postgres: PrivatePostgres, least_s: float = 1.0, most_s: float = 14.0) -> None:
        super().__init__(least_s, most_s)
        self._postgres = postgres
        self._ways = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    async def _begin(self, server: RainbowServer) -> None:
        self._ways = (*self._ways[1:], self._ways[0])
        await asyncio.to_thread(self._postgres.stop, self._ways[0])

    async def _end(self, server: RainbowServer) -> None:
        await asyncio.to_thread(self._postgres.start)


async def until(holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    """Wait until it does; raises TroubleFault with these words."""
    try:
        async with asyncio.timeout(NOTICED_S):
            while not await holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TroubleFault(f"{otherwise} within {NOTICED_S:.0f} s") from None


async def _says(server: RainbowServer, *, is_well: bool) -> bool:
    """Both `/readyz` and the figures say that the database is well, or both say that it is not."""
    tls = server.endpoint.tls_context(())
    async with aiohttp.ClientSession() as http:
        async with http.get(f"https://localhost:{server.endpoint.port}/readyz", ssl=tls) as ready:
            status = ready.status
        async with http.get(f"http://127.0.0.1:{server.metrics_port}/metrics") as figures:
            text = await figures.text()
    up = next(line for line in text.splitlines() if line.startswith("rainbow_database_up "))
    return (status, float(up.split()[1])) == ((200, 1.0) if is_well else (503, 0.0))


def can_mount(folder: Path) -> bool:
    """Whether this user may mount a file system there."""
    if os.geteuid() != 0:
        return False
    try:
        SmallDisk(folder, 1).unmount()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
