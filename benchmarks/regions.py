"""What a message to somebody of another region costs, beside one to somebody of the same.

    python -m benchmarks.regions [--messages N] [--rounds N]

The regions of the demonstration on this machine, with archive and NATS servers as `make run-regions` starts them, and
no distance between them. CPU time is that of each server's process, by the kernel's clock; the client is a Python
process whose time is not counted. Rounds of both kinds take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import re
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import cpu_of
from demo.places import DOMAIN, Place
from demo.servers import PLACES, Demonstration

STREAM = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
    f"to='{DOMAIN}'>"
)
IN_FLIGHT = 100
OTHER_PORTS = 500
UNLIMITED = {"limits.stanzas_per_second": 0, "limits.bytes_per_second": 0}
READ_BYTES = 65_536
PATIENCE_S = 120.0
_NUMBER = re.compile(rb"<body>m(\d+)</body>")
_READY_FOR_SASL, _LOGGED_IN, _BOUND = b"</stream:features>", b"<success", b"</jid>"


class Client:
    """Just enough of XMPP to write and to count."""

    def __init__(self, port: int, ca: Path) -> None:
        self._port = port
        self._ca = ca
        self.heard: list[tuple[int, float]] = []
        """Numbers of messages, and when they came."""
        self._buffer = b""

    async def log_in(self, localpart: str, password: str) -> None:
        context = ssl.create_default_context(cafile=str(self._ca))
        context.set_alpn_protocols(["xmpp-client"])
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=context, server_hostname=DOMAIN
        )
        plain = base64.b64encode(f"\0{localpart}\0{password}".encode()).decode()
        await self._say(STREAM, _READY_FOR_SASL)
        auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        await self._say(auth, _LOGGED_IN)
        await self._say(STREAM, _READY_FOR_SASL)
        bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        await self._say(bind, _BOUND)
        self._writer.write(b"<presence/>")
        self._reading = asyncio.create_task(self._read())

    async def _say(self, text: str, until: bytes) -> None:
        self._writer.write(text.encode())
        heard = b""
        async with asyncio.timeout(30):
            while until not in heard:
                part = await self._reader.read(READ_BYTES)
                if not part:
                    raise ConnectionError(f"the server hung up: {heard[-300:]!r}")
                heard += part

    async def _read(self) -> None:
        while part := await self._reader.read(READ_BYTES):
            self._buffer += part
            end = 0
            for match in _NUMBER.finditer(self._buffer):
                self.heard.append((int(match[1]), time.perf_counter()))
                end = match.end()
            self._buffer = self._buffer[end:][-4096:]

    def write(self, to: str, number: int) -> None:
        self._writer.write(
            f"<message to='{to}' type='chat' id='m{number}'><body>m{number}</body></message>".encode()
        )

    def close(self) -> None:
        self._reading.cancel()
        self._writer.close()


async def talk(sender: Client, receiver: Client, to: str, messages: int) -> list[float]:
    """Seconds that each message took; `IN_FLIGHT` of them are on their way at a time."""
    receiver.heard.clear()
    sent: list[float] = []
    async with asyncio.timeout(PATIENCE_S):
        for number in range(messages):
            while number - len(receiver.heard) >= IN_FLIGHT:
                await asyncio.sleep(0.0005)
            sent.append(time.perf_counter())
            sender.write(to, number)
        while len(receiver.heard) < messages:
            await asyncio.sleep(0.001)
    if [number for number, _ in receiver.heard] != list(range(messages)):
        raise SystemExit("FAULT: messages are missing, doubled or out of order")
    return [at - sent[number] for number, at in receiver.heard]


async def measure(demo: Demonstration, messages: int, rounds: int) -> None:
    ports = {name: place.door for name, place in demo.places.by_name.items()}
    people = {"alice": "emea", "bea": "emea", "nora": "na"}
    clients = {name: Client(ports[region], demo.places.ca) for name, region in people.items()}
    for name, client in clients.items():
        await client.log_in(name, demo.password)
    await asyncio.sleep(1)
    found: dict[str, list[tuple[Mapping[str, float], list[float]]]] = {"same": [], "other": []}
    for number in range(rounds + 1):
        for kind, receiver in (("same", "bea"), ("other", "nora")):
            before = {name: cpu_of(pid).total_s for name, pid in demo.processes().items()}
            to = f"{receiver}@{DOMAIN}"
            took = await talk(clients["alice"], clients[receiver], to, messages)
            after = {name: cpu_of(pid).total_s for name, pid in demo.processes().items()}
            if number:  # the first one warms up
                costs = {name: (after[name] - before[name]) / messages * 1e6 for name in before}
                found[kind].append((costs, took))
    for client in clients.values():
        client.close()
    report(found)


def elsewhere(place: Place) -> Place:
    """The same on other ports, so that a demonstration may run meanwhile."""
    borders, buses = ([port + OTHER_PORTS for port in ports] for ports in (place.borders, place.buses))
    return replace(place, borders=borders, buses=buses, door=place.door + OTHER_PORTS)


def add_colleague(demo: Demonstration) -> None:
    """Somebody of the same region for the first one to write to."""
    table = demo.places.folder / "bea.csv"
    table.write_text(f"email,company,localpart,password\nbea@acme.example,Acme,bea,{demo.password}\n")
    demo.cli("emea", "user", "import", str(table))


def report(found: Mapping[str, list[tuple[Mapping[str, float], list[float]]]]) -> None:
    for kind, rounds in found.items():
        names = rounds[0][0]
        costs = {name: statistics.median(cost[name] for cost, _ in rounds) for name in names}
        took = sorted(each for _, times in rounds for each in times)
        print(f"to somebody of the {kind} region, CPU µs a message (median of {len(rounds)} rounds):")
        for name, cost in costs.items():
            if cost >= 1:
                print(f"  {name:22}{cost:8.1f}")
        print(f"  {'all':22}{sum(costs.values()):8.1f}")
        p50, p99 = took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3
        print(f"  p50 {p50:.1f} ms, p99 {p99:.1f} ms with {IN_FLIGHT} in flight\n")


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--messages", type=int, default=5_000, help="in each round")
    asked.add_argument("--rounds", type=int, default=3)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="rainbow-bench-") as folder:
        demo = Demonstration(
            Path(folder), [elsewhere(place) for place in PLACES if place.keeps_data], UNLIMITED
        )
        try:
            demo.start()
            add_colleague(demo)
            asyncio.run(measure(demo, options.messages, options.rounds))
        finally:
            demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
