"""Load balancers say whose connections they bring; nobody else is believed, and they are believed no more than that."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.plugins.rest import basic
from tests.process import RainbowServer, free_port
from tests.proxy_headers import LOCAL, ON_TLS, header
from tests.security.raw import Streams, rest_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("proxied server")]
BALANCER, STRANGER = "127.9.0.1", "127.8.0.1"
CLIENT = "198.51.100.7"
"""Where a client is that a load balancer brings."""
HELLO = b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
HELLO += b"xmlns:stream='http://etherx.jabber.org/streams'>"
READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""What load balancers ask."""


@pytest.fixture(scope="module")
def plain_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, plain_port: int) -> Iterator[RainbowServer]:
    settings = {
        "listen": {"proxy_from": ["127.9.0.0/24"], "plain_port": plain_port},
        "limits": {"half_open_per_address": 3, "login_failures_per_address_per_minute": 3},
    }
    running = RainbowServer(tmp_path_factory.mktemp("proxied"), settings=settings)
    running.start()
    yield running
    running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def dial(server: RainbowServer) -> AsyncIterator[Callable[..., Awaitable[Streams]]]:
    """Opens connections from an address, says something in plain text, and shakes hands then, or does not."""
    opened: list[asyncio.StreamWriter] = []

    async def open_one(
        first: bytes, *, at: str = BALANCER, port: int = 0, tls: bool = True, alpn: tuple[str, ...] = ()
    ) -> Streams:
        endpoint = server.endpoint
        reader, writer = await asyncio.open_connection(
            endpoint.host, port or endpoint.port, local_addr=(at, 0)
        )
        opened.append(writer)
        writer.write(first)
        if tls:
            await writer.start_tls(endpoint.tls_context(alpn), server_hostname="localhost")
        return reader, writer

    yield open_one
    for writer in opened:
        writer.transport.abort()


async def is_served(streams: Streams) -> bool:
    reader, writer = streams
    writer.write(READY)
    return (await rest_of(reader)).startswith(b"HTTP/1.1 200")


async def answer_to(streams: Streams, said: bytes) -> bytes:
    reader, writer = streams
    writer.write(said)
    async with asyncio.timeout(5):
        return await reader.read(4096)


async def test_a_load_balancer_brings_clients_and_asks_for_itself(dial: Callable[..., Any]) -> None:
    assert await is_served(await dial(header(CLIENT)))
    assert await is_served(await dial(header("2001:db8::7", fields=ON_TLS)))
    assert await is_served(await dial(LOCAL))


async def test_a_header_may_come_in_pieces(dial: Callable[..., Any]) -> None:
    reader, writer = await dial(b"", tls=False)
    for byte in header(CLIENT):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.001)
    endpoint_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    endpoint_context.check_hostname, endpoint_context.verify_mode = False, ssl.CERT_NONE
    await writer.start_tls(endpoint_context)
    assert await is_served((reader, writer))


@pytest.mark.parametrize(
    "first",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        header(CLIENT)[:12] + b"\x21\x11\xff\xff" + bytes(600),
        header(CLIENT)[:13] + b"\x31" + header(CLIENT)[14:],
    ],
    ids=["no header", "version 1", "plain text", "a header without end", "a local socket"],
)
async def test_a_load_balancer_that_does_not_say_whose_it_is_gets_no_answer(
    dial: Callable[..., Any], first: bytes
) -> None:
    reader, _ = await dial(first, tls=False)
    assert await rest_of(reader) == b""


async def test_nobody_else_may_say_who_they_are(dial: Callable[..., Any], server: RainbowServer) -> None:
    reader, _ = await dial(header(CLIENT) + b"\x16\x03\x01", at=STRANGER, tls=False)
    assert len(await rest_of(reader)) <= 7  # at most a TLS alert: these bytes are no handshake
    assert await is_served(await dial(b"", at=STRANGER))


async def test_limits_are_those_of_the_client_and_not_of_the_load_balancer(
    dial: Callable[..., Any],
) -> None:
    one, other = "198.51.100.20", "198.51.100.21"
    held = [await dial(header(one), alpn=("xmpp-client",)) for _ in range(3)]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await dial(header(one), alpn=("xmpp-client",))
    assert await is_served(await dial(header(other)))
    assert len(held) == 3


async def test_failed_logins_are_counted_where_the_client_is(
    server: RainbowServer, dial: Callable[..., Any]
) -> None:
    async def log_in(client: str, password: str) -> int:
        token = basic(person.email, password)
        request = (
            f"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        reader, writer = await dial(header(client))
        writer.write(request.encode())
        return int((await rest_of(reader, 10)).split(b" ")[1])

    person = server.new_person()
    answers = [await log_in("198.51.100.30", "wrong") for _ in range(8)]
    assert (answers[0], answers[-1]) == (401, 429)
    assert await log_in("198.51.100.30", person.password) == 429
    assert await log_in("198.51.100.31", person.password) == 200


# The port without TLS


async def test_who_came_to_the_load_balancer_by_tls_is_served_in_plain_text(
    dial: Callable[..., Any], plain_port: int
) -> None:
    come = header(CLIENT, fields=ON_TLS)
    assert await is_served(await dial(come, port=plain_port, tls=False))
    answer = await answer_to(await dial(come, port=plain_port, tls=False), HELLO)
    assert b"SCRAM-SHA-256<" in answer
    assert b"-PLUS" not in answer, "a channel that ends elsewhere cannot be bound"
    assert b"starttls" not in answer


async def test_what_client_and_balancer_agreed_on_counts(dial: Callable[..., Any], plain_port: int) -> None:
    on_http = header(CLIENT, fields=ON_TLS + b"\x01\x00\x08http/1.1")
    assert await is_served(await dial(on_http, port=plain_port, tls=False))
    reader, writer = await dial(on_http, port=plain_port, tls=False)
    writer.write(HELLO)
    assert await rest_of(reader) == b""


@pytest.mark.parametrize(
    ("at", "first"),
    [
        (STRANGER, header(CLIENT, fields=ON_TLS)),
        (STRANGER, b""),
        (BALANCER, header(CLIENT)),
        (BALANCER, b""),
    ],
    ids=["somebody else", "somebody else without a header", "a client without TLS", "no header"],
)
async def test_nobody_else_gets_in_there(
    dial: Callable[..., Any], plain_port: int, at: str, first: bytes
) -> None:
    reader, writer = await dial(first, at=at, port=plain_port, tls=False)
    writer.write(READY)
    assert await rest_of(reader) == b""


async def test_a_check_there_speaks_http_and_nothing_else(dial: Callable[..., Any], plain_port: int) -> None:
    assert await is_served(await dial(LOCAL, port=plain_port, tls=False))
    reader, writer = await dial(LOCAL, port=plain_port, tls=False)
    writer.write(HELLO)
    assert await rest_of(reader) == b""


async def test_a_channel_that_ends_at_the_load_balancer_is_not_bound(dial: Callable[..., Any]) -> None:
    seen = await answer_to(await dial(header(CLIENT), alpn=("xmpp-client",)), HELLO)
    ended = await answer_to(await dial(header(CLIENT, fields=ON_TLS), alpn=("xmpp-client",)), HELLO)
    assert b"SCRAM-SHA-256-PLUS<" in seen
    assert b"-PLUS" not in ended


async def test_starttls_has_the_header_too(dial: Callable[..., Any], server: RainbowServer) -> None:
    port = server.endpoint.starttls_port
    assert b"starttls" in await answer_to(await dial(header(CLIENT), port=port, tls=False), HELLO)
    reader, _ = await dial(HELLO, port=port, tls=False)
    assert await rest_of(reader) == b""


async def test_the_administrator_is_told_once_and_without_addresses(
    dial: Callable[..., Any], server: RainbowServer
) -> None:
    for _ in range(3):
        reader, _ = await dial(b"PROXY UNKNOWN\r\n", tls=False)
        await rest_of(reader)
    told = [line for line in server.log_text().splitlines() if "listen.proxy_from" in line]
    assert 1 <= len(told) <= 3  # once for each port in a minute, whatever else was refused here
    assert not any(BALANCER in line or CLIENT in line for line in told)
