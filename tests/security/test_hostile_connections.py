"""Connections that never mean to be clients, hang about, want too much or do not read."""

import asyncio
import socket
import ssl
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.conformance import websocket_frames as ws
from tests.conformance.wire import Over, Wire, WssWire, connect
from tests.doors import Door
from tests.process import RainbowServer
from tests.security.raw import AT_ONCE_S, Streams, rest_of
from tests.strict_server import LIMITS, STRICT, new_address

pytestmark = [pytest.mark.asyncio(loop_scope="module"), STRICT]


# What is neither TLS nor HTTP nor XMPP


@pytest.mark.parametrize(
    "first",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x80\x2e\x01\x00\x02",
        b"\x00\x00\x00\x00",
        b"SSH-2.0-client\r\n",
        b"\x05\x01\x00",
        b"\xff" * 100,
        b"{}",
        b"\x7fELF",
        b"*1\r\n$4\r\nPING\r\n",
        b"EHLO example.com\r\n",
    ],
)
async def test_what_nobody_speaks_here_is_hung_up_on(
    raw: Callable[..., Awaitable[Streams]], first: bytes
) -> None:
    reader, writer = await raw()
    writer.write(first)
    assert await rest_of(reader) == b""


async def test_every_first_byte_is_survived(raw: Callable[..., Awaitable[Streams]]) -> None:
    async def one(byte: int) -> None:
        reader, writer = await raw(at=new_address())
        writer.write(bytes([byte]) * 40 + b"\r\n\r\n")
        await rest_of(reader, 8)
        writer.transport.abort()

    for start in range(0, 256, 64):
        await asyncio.gather(*map(one, range(start, start + 64)))
    assert await is_let_in(raw, new_address())


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"<?xml version='1.0'?><stream:stream to='localhost'>",
        b"\x16\x03\x01\x00\x05hello",
        b"\x00" * 500,
        b"",
    ],
)
async def test_plain_text_on_the_tls_port_is_hung_up_on(
    raw: Callable[..., Awaitable[Streams]], said: bytes
) -> None:
    reader, writer = await raw(tls=False)
    writer.write(said)
    writer.write_eof()
    answer = await rest_of(reader)
    assert len(answer) <= 7  # at most a TLS alert


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_tls_is_refused(target: RainbowServer, source: str, version: ssl.TLSVersion) -> None:
    context = target.endpoint.tls_context(("xmpp-client",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(
            target.endpoint.host, target.endpoint.port, ssl=context, server_hostname="localhost",
            local_addr=(source, 0),
        )  # fmt: skip


async def test_the_relays_protocol_is_not_spoken_while_there_is_no_relay(
    raw: Callable[..., Awaitable[Streams]],
) -> None:
    try:
        reader, _ = await raw(alpn=("stun.turn",))
    except (ssl.SSLError, ConnectionError):
        return  # refused in the handshake, which is as well
    assert await rest_of(reader) == b""


# HTTP that means something else


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n" + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 30_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"G" * 20_000,
    ],
    ids=lambda data: repr(data[:50]),
)
async def test_http_that_is_no_proper_request_gets_a_refusal_or_nothing(
    raw: Callable[..., Awaitable[Streams]], request_bytes: bytes
) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    writer.write(request_bytes)
    answer = await rest_of(reader, 8)
    status = answer.split(b" ", 2)[1:2]
    assert answer == b"" or status[0][:1] in b"45" or (status == [b"200"] and b"elsewhere" in request_bytes)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"server:" not in answer.lower()
    assert b"aiohttp" not in answer.lower()


async def test_a_body_of_an_upgrade_request_is_not_a_second_request(
    raw: Callable[..., Awaitable[Streams]],
) -> None:
    reader, writer = await raw(alpn=("http/1.1",))
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    headers = {"Host": "localhost", "Connection": "Upgrade, close", "Content-Length": str(len(hidden))}
    with pytest.raises(ws.UpgradeRefused):
        await ws.upgrade(reader, writer, "/xmpp-websocket", headers)
    writer.write(hidden)
    assert b"200 OK" not in await rest_of(reader)


# Who takes too long


SLOW: list[tuple[dict[str, object], bytes]] = [
    ({"tls": False}, b""),
    ({"tls": False}, b"\x16\x03\x01\x02\x00\x01"),
    ({}, b""),
    ({"alpn": ("http/1.1",)}, b"GET /xmpp-websocket HTTP/1.1\r\nHost: "),
    ({"alpn": ("xmpp-client",)}, b""),
    ({"alpn": ("xmpp-client",)}, b"<stream:stream to='localhost"),
    ({"alpn": ("xmpp-client",)}, b"   \n"),
]
PATIENCE_S = LIMITS["handshake_timeout_s"] + LIMITS["login_timeout_s"] + 4


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Byte by byte, each to be seen by the server on its own."""
    for byte in data:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


async def test_connections_that_do_not_get_on_are_closed(raw: Callable[..., Awaitable[Streams]]) -> None:
    async def hang_about(how: dict[str, object], said: bytes, more: bytes) -> tuple[float, bool]:
        reader, writer = await raw(**how, at=new_address())
        writer.write(said)
        began = time.monotonic()
        dripping = asyncio.create_task(drip(writer, more))
        try:
            await rest_of(reader, PATIENCE_S)
        finally:
            dripping.cancel()
        return time.monotonic() - began, reader.at_eof()

    found = await asyncio.gather(
        *(hang_about(how, said, b"") for how, said in SLOW),
        hang_about({"alpn": ("http/1.1",)}, b"", b"GET / HTTP/1.1\r\nX: " + b"y" * 200),
        hang_about({"alpn": ("xmpp-client",)}, b"", b"<stream:stream " + b" " * 200),
    )
    assert all(lasted > 1 for lasted, _ in found)
    assert all(at_eof for _, at_eof in found)


async def test_who_does_not_log_in_is_told_and_cut_off(target: RainbowServer, stack: AsyncExitStack) -> None:
    async def hang_about(over: Over, how_far: str) -> None:
        wire: Wire = await getattr(Door(target, over, stack, source=new_address()), how_far)()
        if isinstance(wire, WssWire):
            await wire.send_frame(ws.TEXT, b"<open ", fin=False)
            for _ in range(10):
                await wire.send_frame(ws.PING)
        await wire.expect_stream_error("connection-timeout", PATIENCE_S)

    ways: list[tuple[Over, str]] = [
        (over, how_far) for over in ("wss", "tls") for how_far in ("connect", "opened", "authenticated")
    ]
    await asyncio.gather(*(hang_about(*way) for way in ways))
    assert len(ways) == 6


# Who wants too much


async def is_let_in(raw: Callable[..., Awaitable[Streams]], at: str) -> bool:
    """Whether one more connection from there gets as far as TLS."""
    try:
        await raw(alpn=("xmpp-client",), at=at)
    except (ConnectionError, ssl.SSLError):
        return False
    return True


async def is_soon_let_in(raw: Callable[..., Awaitable[Streams]], at: str) -> bool:
    """Whether one more gets in as soon as the server has noticed that others have gone."""
    end = asyncio.get_running_loop().time() + AT_ONCE_S
    while not await is_let_in(raw, at):
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.05)
    return True


async def test_an_address_has_only_so_many_connections_that_have_not_logged_in(
    raw: Callable[..., Awaitable[Streams]], source: str
) -> None:
    opened = [await raw(alpn=("xmpp-client",)) for _ in range(LIMITS["half_open_per_address"])]
    assert not await is_let_in(raw, source)
    assert await is_let_in(raw, new_address())
    opened[0][1].transport.abort()
    assert await is_soon_let_in(raw, source)


async def test_all_addresses_together_have_only_so_many_that_have_not_logged_in(
    start_server: Callable[..., RainbowServer], stack: AsyncExitStack
) -> None:
    """Whoever is in stays in, and somebody who leaves makes room."""
    server = start_server({"limits": {"half_open_connections": 3}})
    ann = await Door(server, "tls", stack).log_in()

    async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            server.endpoint.host, server.endpoint.port, local_addr=(new_address(), 0)
        )
        stack.callback(writer.transport.abort)
        return reader, writer

    strangers = [await connected() for _ in range(3)]
    late, _ = await connected()
    assert await rest_of(late) == b""
    await ann.settle()
    assert not any(reader.at_eof() for reader, _ in strangers)
    strangers[0][1].transport.abort()
    async with asyncio.timeout(5):
        while True:
            try:
                await Door(server, "wss", stack).log_in()
                break
            except OSError:  # that one has gone was not seen yet
                await asyncio.sleep(0.02)


async def test_an_address_has_only_so_many_connections(
    target: RainbowServer, stack: AsyncExitStack, raw: Callable[..., Awaitable[Streams]], source: str
) -> None:
    door = Door(target, "tls", stack, source=source)
    wires = [await door.log_in(presence="") for _ in range(LIMITS["connections_per_address"])]
    assert not await is_let_in(raw, source)
    assert await is_let_in(raw, new_address())
    await wires[0].close()
    assert await is_soon_let_in(raw, source)


async def test_an_address_has_no_more_connections_to_the_plain_port(
    target: RainbowServer, raw: Callable[..., Awaitable[Streams]], source: str
) -> None:
    """They count with the others, or they could use up what the process may open."""
    most = LIMITS["half_open_per_address"]
    opened = [await raw(tls=False, port=target.redirect_port) for _ in range(most)]
    reader, writer = await raw(tls=False, port=target.redirect_port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await rest_of(reader) == b""
    assert not await is_let_in(raw, source)
    for _, taken in opened:
        taken.transport.abort()
    assert await is_soon_let_in(raw, source)


async def test_connections_that_fail_their_handshake_are_counted_out_again(
    raw: Callable[..., Awaitable[Streams]], source: str
) -> None:
    for _ in range(3 * LIMITS["half_open_per_address"]):
        reader, writer = await raw(tls=False)
        writer.write(b"no TLS at all")
        await rest_of(reader)
        writer.transport.abort()
    assert await is_soon_let_in(raw, source)


@pytest.mark.parametrize("how", ["binary frame", "bad XML", "bad upgrade", "silence"])
async def test_a_connection_is_counted_out_however_it_ends(
    target: RainbowServer,
    stack: AsyncExitStack,
    raw: Callable[..., Awaitable[Streams]],
    source: str,
    how: str,
) -> None:
    for _ in range(2 * LIMITS["half_open_per_address"]):
        if how == "bad upgrade":
            reader, writer = await raw(alpn=("http/1.1",))
            writer.write(
                b"GET /xmpp-websocket HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: !\r\n\r\n"
            )
            await rest_of(reader, 8)
            continue
        wire = await connect(target.endpoint, "wss", source=source)
        stack.callback(wire.abort)
        assert isinstance(wire, WssWire)
        if how == "binary frame":
            await wire.send_frame(ws.BINARY, b"x")
        elif how == "bad XML":
            await wire.send_bytes(b"<a><b></a>")
        else:
            wire.abort()
            await asyncio.sleep(0.05)
            continue
        await wire.wait_end(AT_ONCE_S)
    assert await is_let_in(raw, source)


async def test_an_account_has_only_so_many_devices(
    target: RainbowServer, stack: AsyncExitStack, over: Over, source: str
) -> None:
    door, person = Door(target, over, stack, source=source), target.new_person()
    devices = [await door.log_in(person, presence="") for _ in range(LIMITS["resources_per_account"])]
    late = await door.authenticated(person)
    answer = await late.iq("set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
    assert (
        answer.find("{jabber:client}error/{urn:ietf:params:xml:ns:xmpp-stanzas}resource-constraint")
        is not None
    )
    await devices[0].close()
    assert await late.bind()
    for device in devices[1:]:
        await device.settle()


async def test_who_sends_too_fast_is_read_more_slowly_and_loses_nothing(
    target: RainbowServer, stack: AsyncExitStack, over: Over, source: str
) -> None:
    door = Door(target, over, stack, source=source)
    ann, bob = await door.log_in(), await door.log_in()
    parts: list[bytes] = []
    ann.writer.write = parts.append  # type: ignore[method-assign, assignment]
    for number in range(300):
        await ann.send(f"<message to='{bob.jid}' id='m{number}'><body>x</body></message>")
    del ann.writer.write
    began = time.monotonic()
    ann.writer.write(b"".join(parts))
    assert [(await bob.expect("message")).get("id") for _ in range(300)] == [f"m{n}" for n in range(300)]
    assert time.monotonic() - began > 0.9  # a burst of 100, perhaps twice, and the rest at 50 a second


# Who does not read


async def test_a_client_that_does_not_read_is_cut_off_and_nobody_waits_for_it(
    target: RainbowServer, stack: AsyncExitStack, over: Over, source: str
) -> None:
    door = Door(target, over, stack, source=source)
    deaf, watcher = await door.log_in(), await door.log_in()
    await watcher.send(f"<presence to='{deaf.jid}'/>")
    sock: socket.socket = deaf.writer.get_extra_info("socket")
    deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
    assert sock.fileno() >= 0
    senders = [await Door(target, over, stack, source=new_address()).log_in() for _ in range(3)]
    text = "x" * 60_000
    sent = 0
    async with asyncio.timeout(60):
        while True:
            for sender in senders:
                await sender.send(
                    f"<iq type='get' id='s{sent}' to='{deaf.jid}'><q xmlns='urn:x'>{text}</q></iq>"
                )
                await sender.settle(30)
                sent += 1
            if any(sender.pop("iq[@type='error']") is not None for sender in senders):
                break
    assert sent * 60_000 < 40_000_000  # the kernel's buffers, and the budget
    await watcher.settle()


async def test_a_client_that_asks_and_does_not_read_is_cut_off(
    target: RainbowServer, stack: AsyncExitStack, over: Over, source: str
) -> None:
    door = Door(target, over, stack, source=source)
    deaf = await door.log_in(presence="")
    await deaf.iq("set", f"<vCard xmlns='vcard-temp'><DESC>{'x' * 15_000}</DESC></vCard>")
    deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
    ask = b"<iq xmlns='jabber:client' type='get' id='q'><vCard xmlns='vcard-temp'/></iq>"
    async with asyncio.timeout(60):
        while not deaf.writer.transport.is_closing():
            try:
                await deaf.send_bytes(ask)
            except ConnectionError:
                break
            await asyncio.sleep(0)
    assert deaf.writer.transport.is_closing()
