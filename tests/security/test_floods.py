"""Floods: whatever is sent without end is counted, bounded or cut off, and nobody else has to wait for it."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.conformance import websocket_frames as ws
from tests.conformance.wire import Over, Wire, WssWire
from tests.doors import Door
from tests.process import RainbowServer
from tests.security.bystanders import Holdings
from tests.security.raw import AT_ONCE_S, Streams, rest_of
from tests.strict_server import LIMITS, STRICT, new_address

pytestmark = [pytest.mark.asyncio(loop_scope="module"), STRICT]

FLOOD_BYTES = 24_000_000
GROWTH_KIB = 16_000
"""Far less than what is sent; what one connection may make the server hold, and what others need meanwhile."""


@pytest_asyncio.fixture(loop_scope="module")
async def holdings(target: RainbowServer) -> AsyncIterator[Holdings]:
    """What the server holds; no test may leave it with much more."""
    held = Holdings(target.pid)
    before = held.resident_kib
    yield held
    assert held.resident_kib < before + GROWTH_KIB


@pytest.fixture
def door(target: RainbowServer, over: Over, stack: AsyncExitStack, source: str) -> Door:
    return Door(target, over, stack, source=source)


async def pour(writer: asyncio.StreamWriter, piece: bytes, most: int = FLOOD_BYTES) -> int:
    """Send this again and again and read nothing; returns how much the server took before it had enough of it."""
    chunk = piece * (65_536 // len(piece) + 1)
    sent = 0
    try:
        while sent < most and not writer.is_closing():
            writer.write(chunk)
            sent += len(chunk)
            await asyncio.wait_for(writer.drain(), 2)
    except (ConnectionError, TimeoutError):
        pass  # cut off, or not read any more
    return sent


FRAMES = {
    "pings": ws.frame(ws.PING, b"x" * 125),
    "empty pings": ws.frame(ws.PING),
    "pongs": ws.frame(ws.PONG),
    "empty pieces": ws.frame(ws.CONTINUATION, b"", fin=False),
}


@pytest.mark.parametrize("piece", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("stage", ["connect", "opened", "log_in"])
async def test_frames_that_are_no_messages_are_counted(
    target: RainbowServer, stack: AsyncExitStack, holdings: Holdings, source: str, piece: bytes, stage: str
) -> None:
    """Also where their answers are not read, which once made the server grow by 1.4 GB."""
    sockets = holdings.sockets
    wire: Wire = await getattr(Door(target, "wss", stack, source=source), stage)()
    assert isinstance(wire, WssWire)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    if piece is FRAMES["empty pieces"]:
        await wire.send_frame(ws.TEXT, b"<message ", fin=False)
    pouring = asyncio.create_task(pour(wire.writer, piece, 100 * FLOOD_BYTES))
    try:
        await holdings.until_sockets(sockets, 3 * AT_ONCE_S)
    finally:
        pouring.cancel()


async def test_pings_at_a_usual_pace_are_answered_for_ever(
    target: RainbowServer, stack: AsyncExitStack, source: str
) -> None:
    wire = await Door(target, "wss", stack, source=source).log_in()
    assert isinstance(wire, WssWire)
    for _ in range(6):
        for _ in range(90):
            await wire.send_frame(ws.PING, b"?")
        await wire.settle()
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("stage", "most"), [("opened", 10_240), ("log_in", LIMITS["stanza_bytes"])], ids=["before", "after"]
)
@pytest.mark.parametrize("claimed", [1, 1 << 20, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
async def test_a_frame_that_says_it_is_too_long_is_refused_at_its_header(
    target: RainbowServer, stack: AsyncExitStack, source: str, stage: str, most: int, claimed: int
) -> None:
    wire: Wire = await getattr(Door(target, "wss", stack, source=source), stage)()
    size = most + 1 if claimed == 1 else claimed
    length = (
        bytes([0xFE]) + size.to_bytes(2, "big") if size < 65_536 else bytes([0xFF]) + size.to_bytes(8, "big")
    )
    wire.writer.write(b"\x81" + length)
    await wire.expect_stream_error("policy-violation", AT_ONCE_S)


async def test_a_message_in_pieces_is_bounded_as_a_whole(
    target: RainbowServer, stack: AsyncExitStack, source: str
) -> None:
    wire = await Door(target, "wss", stack, source=source).log_in()
    assert isinstance(wire, WssWire)
    await wire.send_frame(ws.TEXT, b"<message xmlns='jabber:client'>", fin=False)
    for _ in range(LIMITS["stanza_bytes"] // 1000 + 1):
        await wire.send_frame(ws.CONTINUATION, b"x" * 1000, fin=False)
    await wire.expect_stream_error("policy-violation", AT_ONCE_S)


CLOSINGS = [
    b"",
    b"\x03",
    b"\x03\xed",
    b"\x00\x00",
    b"\x27\x0f\xff",
    b"\x03\xe8\xff\xfe",
    b"\x03\xe8" + b"x" * 123,
]


@pytest.mark.parametrize("payload", CLOSINGS, ids=repr)
@pytest.mark.parametrize("stage", ["connect", "log_in"])
async def test_whatever_a_close_frame_says_the_connection_ends(
    target: RainbowServer, stack: AsyncExitStack, source: str, stage: str, payload: bytes
) -> None:
    wire: Wire = await getattr(Door(target, "wss", stack, source=source), stage)()
    assert isinstance(wire, WssWire)
    wire.answers_closing = False
    await wire.send_frame(ws.CLOSE, payload)
    await wire.wait_end(AT_ONCE_S)
    assert wire.close_code in (1000, 1002)


STANZAS = {
    "messages to nobody": "<message to='nobody@localhost'/>",
    "presence": "<presence/>",
    "requests": "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    "requests to nobody": "<iq type='get' id='1' to='nobody@localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
    "requests to be seen": "<presence type='subscribe' to='nobody@localhost'/>",
    "the longest addresses": f"<message to='{'ä' * 500}@{'ö' * 60}.example/{'ü' * 500}'/>",
    "addresses of many marks": f"<message to='a{'&#x301;&#x316;' * 400}@localhost'/>",
}


@pytest.mark.parametrize("stanza", STANZAS.values(), ids=STANZAS)
async def test_stanzas_without_end_are_read_at_their_pace(
    door: Door, holdings: Holdings, stanza: str
) -> None:
    wire = await door.log_in(presence="")
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    text = stanza if door.over == "tls" else stanza.replace(" ", " xmlns='jabber:client' ", 1)
    if "xmlns" not in text and door.over == "wss":
        text = text.replace("/>", " xmlns='jabber:client'/>")
    piece = text.encode() if door.over == "tls" else ws.frame(ws.TEXT, text.encode())
    assert await pour(wire.writer, piece) < FLOOD_BYTES


async def test_white_space_without_end_stops_nobody(door: Door, holdings: Holdings) -> None:
    wire = await door.log_in()
    if door.over == "wss":
        await wire.send_bytes(b" ")
        await wire.expect_stream_error("not-well-formed", AT_ONCE_S)
    else:
        await pour(wire.writer, b" \n")
        await wire.settle()


async def test_a_lane_is_not_filled_while_the_database_is_locked(
    door: Door, holdings: Holdings, target: RainbowServer
) -> None:
    wire = await door.log_in(presence="")
    text = "<iq xmlns='jabber:client' type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>"
    piece = text.encode() if door.over == "tls" else ws.frame(ws.TEXT, text.encode())
    connection = sqlite3.connect(target.database_file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert await pour(wire.writer, piece) < FLOOD_BYTES
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    wire.abort()


# HTTP


async def test_requests_whose_answers_nobody_reads_are_not_taken_without_end(
    raw: Callable[..., Awaitable[Streams]], holdings: Holdings
) -> None:
    _, writer = await raw(alpn=("http/1.1",))
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    assert await pour(writer, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") < FLOOD_BYTES


@pytest.mark.parametrize(
    "head", [b"Content-Length: 99999999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
)
async def test_a_body_without_end_is_not_taken(
    raw: Callable[..., Awaitable[Streams]], holdings: Holdings, head: bytes
) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + head)
    chunk = b"10\r\n0123456789abcdef\r\n" if b"chunked" in head else b"x"
    began = time.monotonic()
    pouring = asyncio.create_task(pour(writer, chunk, 10 * FLOOD_BYTES))
    assert b" 405 " in (await rest_of(reader, 20)).partition(b"\r\n")[0]
    pouring.cancel()
    assert time.monotonic() - began < 15


# Nothing is left behind


async def test_a_thousand_bad_connections_leave_nothing_behind(
    raw: Callable[..., Awaitable[Streams]], holdings: Holdings, target: RainbowServer
) -> None:
    """Prosody CVE-2026-43506, Openfire OF-2896."""
    kinds: list[tuple[tuple[str, ...], bytes]] = [
        (("xmpp-client",), b"<stream:stream"),
        (("xmpp-client",), b"<a b='" + b"x" * 9000),
        (("xmpp-client",), b"<a>" * 3000),
        (("xmpp-client",), b"<!DOCTYPE a>"),
        (("xmpp-client",), b""),
        (("http/1.1",), b"GET /xmpp-websocket HTTP/1.1\r\n"),
        (("http/1.1",), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20),
        ((), b"\x00"),
    ]

    async def one(number: int) -> None:
        alpn, said = kinds[number % len(kinds)]
        try:
            _, writer = await raw(alpn=alpn, at=new_address())
        except ConnectionError:
            return
        writer.write(said)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async def many(count: int) -> None:
        for start in range(0, count, 40):
            await asyncio.gather(*map(one, range(start, start + 40)))

    sockets = holdings.sockets
    await many(200)
    await holdings.until_sockets(sockets)
    before = holdings.resident_kib
    await many(1_000)
    await holdings.until_sockets(sockets)
    assert holdings.resident_kib < before + 4_000
