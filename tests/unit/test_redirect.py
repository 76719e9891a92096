"""The plain-text listener: a redirect to the configured place, or nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rainbow_xmpp.transport.redirect import MAX_BODY_BYTES, MAX_HEAD_BYTES, answer_to, redirect_factory
from tests.unit.http_client import exchange, parsed

PUBLIC = "https://chat.example.com:8443"


@asynccontextmanager
async def redirecting(public_url: str = PUBLIC, timeout_s: float = 5.0) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(redirect_factory(public_url, timeout_s), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def location(request: bytes) -> str | None:
    answer = answer_to(request + b"\r\n\r\n", PUBLIC, "now")
    return parsed(answer).headers["location"] if answer else None


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 301), ("HEAD", 301), ("POST", 308), ("PUT", 308), ("OPTIONS", 308)]
)
async def test_every_request_is_sent_to_https(method: str, status: int) -> None:
    async with redirecting() as port:
        request = f"{method} /a/b?c=d%20e HTTP/1.1\r\nHost: chat.example.com\r\n\r\n"
        answer = parsed(await exchange(port, request.encode()))
    assert answer.status == status
    assert answer.headers["location"] == "https://chat.example.com:8443/a/b?c=d%20e"
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-length"] == "0"
    assert answer.body == b""
    assert not {"server", "strict-transport-security"} & set(answer.headers)


@pytest.mark.parametrize(
    ("request_", "goes_to"),
    [
        (b"GET / HTTP/1.1\r\nHost: evil.example", PUBLIC + "/"),
        (b"GET / HTTP/1.0", PUBLIC + "/"),
        (b"GET http://evil.example/x?y HTTP/1.1\r\nHost: evil.example", PUBLIC + "/x?y"),
        (b"GET http://evil.example HTTP/1.1", PUBLIC + "/"),
        (b"GET //evil.example/ HTTP/1.1", PUBLIC + "//evil.example/"),
        (b"GET \\\\evil.example HTTP/1.1", PUBLIC + "/"),
        (b"GET @evil.example HTTP/1.1", PUBLIC + "/"),
        (b"GET .evil.example/ HTTP/1.1", PUBLIC + "/"),
        (b"OPTIONS * HTTP/1.1", PUBLIC + "/"),
        (b"CONNECT evil.example:443 HTTP/1.1", PUBLIC + "/"),
        (b"GET /a%0d%0aSet-Cookie:x HTTP/1.1", PUBLIC + "/a%0d%0aSet-Cookie:x"),
    ],
)
def test_nobody_is_sent_elsewhere(request_: bytes, goes_to: str) -> None:
    assert location(request_) == goes_to


@pytest.mark.parametrize(
    "request_",
    [
        b"hello",
        b"GET /",
        b"GET / HTTP/2.0",
        b"get / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 x",
        b"GET /\rSet-Cookie:x HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
    ],
)
def test_what_is_not_http_gets_no_answer(request_: bytes) -> None:
    assert location(request_) is None


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"<?xml version='1.0'?>",
        b"hello\r\n",
        b"hello\r\n\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000,
    ],
    ids=["TLS", "XMPP", "a word", "a head of words", "an endless line", "endless headers"],
)
async def test_junk_is_hung_up_on_before_the_time_is_over(junk: bytes) -> None:
    async with redirecting(timeout_s=60) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(junk)
        try:
            assert await asyncio.wait_for(reader.read(), 5) == b""
        except ConnectionResetError:
            pass  # hung up with some of it unread
        writer.close()


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n\r\n"])
async def test_who_is_slow_or_stays_is_cut_off(beginning: bytes) -> None:
    async with redirecting(timeout_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        raw = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert raw.startswith(b"HTTP/1.1 301 " if beginning.endswith(b"\r\n\r\n") else b"")
    assert bool(raw) == beginning.endswith(b"\r\n\r\n")


async def test_a_head_may_come_in_pieces() -> None:
    async with redirecting() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in b"GET /x HTTP/1.1\r\nHost: y\r\n\r\n":
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        answer = parsed(await asyncio.wait_for(reader.read(), 5))
        writer.close()
    assert answer.headers["location"] == f"{PUBLIC}/x"


async def test_a_body_does_not_cut_off_the_answer_unless_it_is_endless() -> None:
    async with redirecting(timeout_s=60) as port:
        head = b"POST /x HTTP/1.1\r\nHost: y\r\nContent-Length: 99999999\r\n\r\n"
        assert parsed(await exchange(port, head + bytes(20_000))).status == 308
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert parsed(await asyncio.wait_for(reader.read(), 5)).status == 308

        async def pour() -> None:
            while True:
                writer.write(bytes(MAX_BODY_BYTES))
                await writer.drain()

        with pytest.raises((ConnectionError, OSError)):
            await asyncio.wait_for(pour(), 5)
        writer.close()


async def test_only_the_first_request_is_answered() -> None:
    async with redirecting() as port:
        raw = await exchange(port, b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
    assert raw.count(b"HTTP/1.1 ") == 1


async def test_a_name_with_umlauts_is_sent_as_it_stands_in_the_dns() -> None:
    async with redirecting("https://bücher.example") as port:
        answer = parsed(await exchange(port, b"GET / HTTP/1.1\r\n\r\n"))
    assert answer.headers["location"] == "https://xn--bcher-kva.example/"
