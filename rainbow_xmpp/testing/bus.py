"""A bus in memory for tests, which loses, doubles and cuts what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rainbow_xmpp.bus import Handler

Fate = Callable[[str, bytes], int]
"""How often something that is published arrives: 1 as it should be, 0 lost, 2 doubled."""


def _once(subject: str, data: bytes) -> int:
    return 1


class Hub:
    """What the buses of a test hang on."""

    def __init__(self) -> None:
        self.buses: list[FakeBus] = []
        self.fate: Fate = _once

    def bus(self) -> FakeBus:
        """One more connection."""
        made = FakeBus(self)
        self.buses.append(made)
        return made


class FakeBus:
    """A `Bus`; while it is cut, nothing that it publishes leaves, and nothing arrives."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._handlers: list[tuple[str, Handler]] = []
        self.is_connected = True

    def publish(self, subject: str, data: bytes) -> None:
        if self.is_connected:
            for _ in range(self._hub.fate(subject, data)):
                for bus in self._hub.buses:
                    asyncio.get_running_loop().call_soon(bus._arrive, subject, data)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        self._handlers.append((subject, handler))

    async def close(self) -> None:
        await asyncio.sleep(0)
        self._hub.buses.remove(self)

    def _arrive(self, subject: str, data: bytes) -> None:
        if self.is_connected:
            for wanted, handler in self._handlers:
                if wanted == subject:
                    handler(data)
