"""Three regions and an edge as real NATS servers from the generated configuration, with a long way to each border.

emea has two servers of each kind. The way to a region is passed by whatever others send to it; its own answers leave by
the ways to the others, so a region whose way is cut answers nobody.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

from demo.nats import NatsProcess, start_all
from demo.places import Place, Places
from rainbow_xmpp.border.nats import NatsBorder
from tests.regions.proxy import Way

T = TypeVar("T")
DELAY_S = 0.04
LAYOUT = (("emea", 2, 2, ""), ("de", 1, 1, ""), ("na", 1, 1, ""), ("uk", 0, 1, "emea"))
"""Name, border servers, bus servers, and of an edge what it hangs on."""


def free_ports(number: int) -> int:
    """The first of so many free ports beside each other, below those that the kernel gives away."""
    for _ in range(200):
        first = SystemRandom().randrange(15_000, 32_000 - number)
        if all(_is_free(port) for port in range(first, first + number)):
            return first
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Rig:
    """Its ways live in a thread of their own, so that tests need not share a loop."""

    def __init__(self, folder: Path) -> None:
        places = []
        self.ways: dict[str, list[Way]] = {}
        seen_at = {}
        for name, borders, buses, hangs_on in LAYOUT:
            at = [free_ports(4) for _ in range(borders)]
            self.ways[name] = [Way(port, delay_s=DELAY_S) for port in at]
            for port in at:
                seen_at[port] = free_ports(4)
            places.append(Place(name, name, "FR", at, [free_ports(2) for _ in range(buses)], 443, hangs_on))
        # Leaves take the port after the one that others see, and so pass no way.
        self.places = Places(folder, places, seen_at)
        self._seen_at = seen_at
        self.servers: dict[str, list[NatsProcess]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.places.write()
        for name, ways in self.ways.items():
            for way, port in zip(ways, self.places.by_name[name].borders, strict=True):
                self.in_thread(way.open(self._seen_at[port]))
            self.servers[name] = self.places.nats(name)
        start_all(server for servers in self.servers.values() for server in servers)

    def stop(self) -> None:
        for servers in self.servers.values():
            for server in servers:
                server.kill()
        for ways in self.ways.values():
            for way in ways:
                self.in_thread(way.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def in_thread(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def cut(self, name: str) -> None:
        for way in self.ways[name]:
            self._loop.call_soon_threadsafe(way.cut)

    def silence(self, name: str) -> None:
        for way in self.ways[name]:
            way.is_silent = True

    def heal(self, name: str) -> None:
        for way in self.ways[name]:
            self._loop.call_soon_threadsafe(way.heal)

    def seen(self) -> bytes:
        """All that was on the ways so far."""
        return b"".join(bytes(way.seen) for ways in self.ways.values() for way in ways)

    async def border(self, name: str, bus: int = 0) -> NatsBorder:
        """An end of a region, at one of its bus servers."""
        config = self.places.config(name)
        cluster = replace(config.cluster, servers=(config.cluster.servers[bus],))
        return await NatsBorder.open(replace(config, cluster=cluster))
