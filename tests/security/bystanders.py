"""Two well-behaved clients who chat while others attack the server, and what the server holds."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.conformance.wire import Wire
from tests.doors import Door
from tests.process import ChatServer, Person

LONGEST_WAIT_S = 3.0
"""A message between the two takes a millisecond; on a machine that is busy with other tests, seconds."""


class Bystanders:
    """Each answers the other's message at once; `assert_well` asks whether they noticed anything.

    They live in a thread of their own, so that a test that waits for a process does not hold them up.
    """

    def __init__(self, server: ChatServer, source: str = "") -> None:
        self._server = server
        self._source = source
        self._people = [server.new_person() for _ in range(2)]
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._exchanged = 0
        self._last = time.monotonic()
        self._longest = 0.0
        self._thread = threading.Thread(target=self._run)

    def arrive(self) -> None:
        """One over each transport; returns when they have begun to chat."""
        self._thread.start()
        give_up = time.monotonic() + 30
        while not self._exchanged and self._thread.is_alive() and time.monotonic() < give_up:
            time.sleep(0.01)
        assert self._exchanged, "the bystanders did not get to chat"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._live())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass  # told to leave
        finally:
            self._loop.close()

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            door = Door(self._server, "wss", stack, source=self._source)
            ways: list[tuple[Person, bool]] = [(self._people[0], True), (self._people[1], False)]
            pair = [await door.log_in(who, over="wss" if on_web else "tls") for who, on_web in ways]
            await self._chat(*pair)

    async def _chat(self, sender: Wire, receiver: Wire) -> None:
        self._last = time.monotonic()
        while True:
            number = self._exchanged
            await sender.send(f"<message to='{receiver.jid}' id='b{number}'><body>{number}</body></message>")
            message = await receiver.expect("message", 30)
            assert message.get("id") == f"b{number}"
            now = time.monotonic()
            self._longest = max(self._longest, now - self._last)
            self._last = now
            self._exchanged += 1
            sender, receiver = receiver, sender
            await asyncio.sleep(0.01)

    def start(self) -> None:
        """What went before does not count."""
        self._longest = 0.0

    async def assert_well(self) -> None:
        """They still chat, and no message took long since `start`."""
        seen = self._exchanged
        async with asyncio.timeout(LONGEST_WAIT_S):
            while self._exchanged == seen and self._thread.is_alive():
                await asyncio.sleep(0.002)
        assert self._thread.is_alive(), "the bystanders were disturbed"
        assert self._longest < LONGEST_WAIT_S

    def leave(self) -> None:
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)


class Holdings:
    """What a server process holds: sockets and memory, as the kernel sees them."""

    def __init__(self, pid: int) -> None:
        self._process = Path("/proc") / str(pid)

    @property
    def sockets(self) -> int:
        """How many file descriptors are sockets."""
        found = 0
        for descriptor in (self._process / "fd").iterdir():
            try:
                found += str(descriptor.readlink()).startswith("socket:")
            except FileNotFoundError:
                pass  # closed while we looked
        return found

    @property
    def resident_kib(self) -> int:
        for line in (self._process / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise ValueError(f"no VmRSS of {self._process}")

    async def until_sockets(self, at_most: int, timeout_s: float = 10.0) -> None:
        """Wait until so few are left; TimeoutError otherwise."""
        async with asyncio.timeout(timeout_s):
            while self.sockets > at_most:
                await asyncio.sleep(0.05)
