"""Two well-behaved clients who chat while others attack the server, and what the server holds."""

import asyncio
import time
from pathlib import Path

from tests.conformance.wire import Wire
from tests.doors import Door

LONGEST_WAIT_S = 3.0
"""A message between the two takes a millisecond; on a machine that is busy with other tests, seconds."""


class Bystanders:
    """Each answers the other's message at once, until `stop`; `assert_well` asks whether they noticed anything."""

    def __init__(self, one: Wire, other: Wire) -> None:
        self._pair = one, other
        self._exchanged = 0
        self._last = time.monotonic()
        self._longest = 0.0
        self._beat = asyncio.Event()
        self._task = asyncio.create_task(self._chat())

    @classmethod
    async def arrive(cls, door: Door) -> "Bystanders":
        """One over each transport."""
        return cls(await door.log_in(over="wss"), await door.log_in(over="tls"))

    async def _chat(self) -> None:
        sender, receiver = self._pair
        while True:
            number = self._exchanged
            await sender.send(f"<message to='{receiver.jid}' id='b{number}'><body>{number}</body></message>")
            message = await receiver.expect("message")
            assert message.get("id") == f"b{number}"
            self._exchanged += 1
            now = time.monotonic()
            self._longest = max(self._longest, now - self._last)
            self._last = now
            self._beat.set()
            sender, receiver = receiver, sender
            await asyncio.sleep(0.005)

    def start(self) -> None:
        """What went before does not count."""
        self._longest = 0.0
        self._last = time.monotonic()

    async def assert_well(self) -> None:
        """They still chat, and no message took long since `start`."""
        self._beat.clear()
        done, _ = await asyncio.wait(
            (self._task, beat := asyncio.create_task(self._beat.wait())),
            timeout=LONGEST_WAIT_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        beat.cancel()
        if self._task in done:
            self._task.result()
        assert done, "the bystanders do not hear each other any more"
        assert self._longest < LONGEST_WAIT_S

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))


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
