"""What a page of a history costs: `python -m benchmarks.history [MESSAGES]`, a million unless told otherwise.

One person's log is filled behind the server's back; then pages of 50 are asked for through the server, without a
socket: the newest, the oldest, those in the middle, those of one talk. Says the time and the CPU of the whole process
for one page, the median of many, in milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import sqlalchemy as sa

from rainbow_xmpp.plugins.archive import Archive, tables
from rainbow_xmpp.plugins.archive.numbers import SPARE_BITS, first_at, peer_of
from rainbow_xmpp.testing import Client, TestServer

MESSAGES = 1_000_000
PEERS = 100
AT_ONCE = 20_000
TIMES = 60
DAYS_S = 20 * 86_400

_INDEX = (
    "INSERT INTO archive_by_owner (owner, key) SELECT owner, key FROM archive_messages",
    "INSERT INTO archive_by_peer (owner, peer, key) SELECT owner, peer, key FROM archive_messages ORDER BY peer, key",
    "UPDATE archive_indexed SET key = (SELECT max(key) FROM archive_messages)",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of page: the median of many, in milliseconds."""

    page: str
    messages: int
    ms: float
    cpu_ms: float


def costs(messages: int = MESSAGES) -> list[Cost]:
    """What each kind of page costs, of a log of so many messages."""
    return asyncio.run(_measure(messages))


async def _measure(messages: int) -> list[Cost]:
    async with TestServer([Archive]) as server:
        ann = await server.login("ann@acme")
        await ann.ask("get", "<prefs xmlns='urn:xmpp:mam:2'/>")  # gives the log its number
        first = first_at(server.clock() - DAYS_S)
        await _fill(server, ann.bare, first, messages)
        middle = first + ((messages // 2) << SPARE_BITS)
        talk = _form("with", f"p{PEERS // 2}@rainbow.test")
        pages = (
            ("newest", _page("<before/>")),
            ("oldest", _page("")),
            ("behind the middle", _page(f"<after>{middle}</after>")),
            ("before the middle", _page(f"<before>{middle}</before>")),
            ("newest of a talk", talk + _page("<before/>")),
            ("oldest of a talk", talk + _page("")),
        )
        return [await _cost(name, ann, query) for name, query in pages]


async def _fill(server: TestServer, bare: str, first: int, messages: int) -> None:
    async with server.store.write() as connection:
        owner = (await connection.execute(sa.select(tables.owners.c.number))).scalar_one()
        for rows in _rows(owner, bare, first, messages):
            await connection.execute(sa.insert(tables.messages), rows)
        for statement in _INDEX:
            await connection.execute(sa.text(statement))


def _rows(owner: int, bare: str, first: int, messages: int) -> Iterator[list[dict[str, object]]]:
    peers = [f"p{n}@rainbow.test" for n in range(PEERS)]
    for start in range(0, messages, AT_ONCE):
        yield [
            {
                "key": (first + (n << SPARE_BITS)) * 2 + 1,
                "owner": owner,
                "peer": peer_of(peers[n % PEERS]),
                "stanza": (
                    f"<message xmlns='jabber:client' from='{peers[n % PEERS]}/phone' to='{bare}' type='chat' "
                    f"id='{n}'><body>A message of the usual length, which has the number {n}</body></message>"
                ).encode(),
            }
            for n in range(start, min(start + AT_ONCE, messages))
        ]


async def _cost(name: str, client: Client, query: str) -> Cost:
    stanza = f"<iq type='set' id='1'><query xmlns='urn:xmpp:mam:2'>{query}</query></iq>"
    times, cpu_times, seen = [], [], 0
    for _ in range(TIMES):
        client.wire.unread.clear()
        began, cpu_began = perf_counter(), process_time()
        client.send(stanza)
        await client.session.idle()
        times.append(perf_counter() - began)
        cpu_times.append(process_time() - cpu_began)
        seen = len(client.wire.unread) - 1
    return Cost(name, seen, 1000 * median(times), 1000 * median(cpu_times))


def _page(inside: str) -> str:
    return f"<set xmlns='http://jabber.org/protocol/rsm'><max>50</max>{inside}</set>"


def _form(var: str, value: str) -> str:
    field = f"<field var='{var}'><value>{value}</value></field>"
    kind = "<field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{kind}{field}</x>"


if __name__ == "__main__":
    for cost in costs(int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES):
        print(f"{cost.page:20} {cost.messages} messages: {cost.ms:.2f} ms, CPU {cost.cpu_ms:.2f} ms")
