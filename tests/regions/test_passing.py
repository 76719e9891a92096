"""Connections for another region are passed on unread: TLS ends there, and here only addresses are seen."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from rainbow_xmpp.config import Config, Limits, Listen, Region, RegionKind
from rainbow_xmpp.config.sections import Sections
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.transport import passing
from rainbow_xmpp.transport.accept import TlsAcceptor
from rainbow_xmpp.transport.gatekeeper import Gatekeeper
from rainbow_xmpp.transport.passing import Passages, Way, proxy_header, ways_elsewhere
from rainbow_xmpp.transport.tls import server_context
from tests.certificates import Certificates, make_certificates

NA = "na.chat.test"


class Links:
    """What passages need of a server's links."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.limits = Limits()
        self.keeper = Gatekeeper(3, 3)

    def logged_in(self, source: str) -> None:
        self.keeper.logged_in(source)

    def left(self, source: str, *, was_half_open: bool) -> None:
        self.keeper.left(source, was_half_open=was_half_open)


class Own(asyncio.Protocol):
    """Says whose server it is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"here")


@pytest.fixture
def there(tmp_path: Path) -> Certificates:
    (tmp_path / "there").mkdir()
    return make_certificates(tmp_path / "there", NA)


@pytest.fixture
def here(tmp_path: Path) -> Certificates:
    (tmp_path / "here").mkdir()
    return make_certificates(tmp_path / "here", "uk.chat.test")


@asynccontextmanager
async def region(files: Certificates, talk: Any) -> AsyncIterator[int]:
    """Another region's server: `talk(reader, writer)`; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def door(files: Certificates, way: Way, links: Links, *, most: int = 10) -> AsyncIterator[TlsAcceptor]:
    passages = Passages({NA: way}, links, most=most)  # type: ignore[arg-type]
    acceptor = TlsAcceptor(
        lambda arrival: Own(),
        server_context(files.certificate, files.key),
        quick=True,
        handshake_timeout_s=2,
        admit=links.keeper.admit,
        failed=lambda address: links.left(address, was_half_open=True),
        diverts=passages.take,
    )
    acceptor.listen("127.0.0.1", 0)
    try:
        yield acceptor
    finally:
        acceptor.close()
        passages.close()


async def enter(
    port: int, files: Certificates, name: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=files.ca)
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def gone(reader: asyncio.StreamReader, within_s: float) -> bool:
    """The connection is closed, or reset, with nothing said but perhaps an alert of TLS."""
    try:
        return len(await asyncio.wait_for(reader.read(), within_s)) < 10
    except ConnectionError:
        return True


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


def way(port: int, **more: Any) -> Way:
    return Way("na", NA, (("127.0.0.1", port),), more.get("proxy", False))


async def test_who_asks_for_a_host_of_another_region_speaks_with_it(
    here: Certificates, there: Certificates
) -> None:
    links = Links()
    async with region(there, echo) as port, door(here, way(port), links) as acceptor:
        reader, writer = await enter(acceptor.port, there, NA.upper())  # its certificate, not ours
        writer.write(b"x" * 300_000)
        assert await asyncio.wait_for(reader.readexactly(300_000), 5) == b"x" * 300_000
        assert links.counters.connections_passed == 1
        assert links.keeper.half_open == 0
        writer.close()
        await until(lambda: not len(links.keeper))
        assert links.counters.connections_passed == 0


async def test_everybody_else_is_served_here(here: Certificates, there: Certificates) -> None:
    async with region(there, echo) as port, door(here, way(port), Links()) as acceptor:
        reader, writer = await enter(acceptor.port, here, "uk.chat.test")
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"here"
        writer.close()
        with pytest.raises(
            ssl.SSLCertVerificationError
        ):  # no such host anywhere: our own certificate answers
            await enter(acceptor.port, here, "de.chat.test")


async def test_a_hello_that_comes_in_pieces_is_waited_for(here: Certificates, there: Certificates) -> None:
    async with region(there, echo) as port, door(here, way(port), Links()) as acceptor:
        context = ssl.create_default_context(cafile=there.ca)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=NA)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        reader, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
        for piece in (hello[:3], hello[3:7], hello[7:100], hello[100:]):
            writer.write(piece)
            await asyncio.sleep(0.02)
        incoming.write(await asyncio.wait_for(reader.read(65536), 5))
        tls.do_handshake()
        assert ("DNS", NA) in tls.getpeercert()["subjectAltName"]  # type: ignore[index]
        writer.close()


async def test_who_never_ends_the_hello_is_gone_in_time(here: Certificates, there: Certificates) -> None:
    links = Links()
    async with region(there, echo) as port, door(here, way(port), links) as acceptor:
        reader, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        assert await gone(reader, 10)
        writer.close()
        ended_reader, ended = await asyncio.open_connection("127.0.0.1", acceptor.port)
        ended.write(b"\x16\x03\x01\x02\x00\x01")
        ended.write_eof()  # which nobody waits behind
        assert await gone(ended_reader, 1.5)
        ended.close()
        await until(lambda: not len(links.keeper))


async def test_the_region_is_told_whose_connection_it_is(here: Certificates) -> None:
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.readexactly(28 + 5))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with door(here, way(server.sockets[0].getsockname()[1], proxy=True), Links()) as acceptor:
        context = ssl.create_default_context()
        entering = asyncio.create_task(
            asyncio.open_connection("127.0.0.1", acceptor.port, ssl=context, server_hostname=NA)
        )
        said = await asyncio.wait_for(got, 5)
        assert said[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
        assert said[16:24] == bytes((127, 0, 0, 1)) * 2
        assert int.from_bytes(said[26:28], "big") == acceptor.port
        assert said[28] == 0x16, "the hello itself follows"
        with pytest.raises(OSError):
            await entering
    server.close()


def test_addresses_of_both_kinds_are_told_as_one() -> None:
    four, six = ("192.0.2.1", 40_000), ("2001:db8::1", 443, 0, 0)
    assert len(proxy_header(four, ("192.0.2.9", 443))) == 16 + 12
    assert proxy_header(("::ffff:192.0.2.1", 40_000, 0, 0), ("192.0.2.9", 443)) == proxy_header(
        four, ("192.0.2.9", 443)
    )
    mixed = proxy_header(four, six)
    assert mixed[13] == 0x21
    assert len(mixed) == 16 + 36


async def test_a_region_that_is_down_costs_a_connection_and_no_more(
    here: Certificates, there: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    links = Links()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with door(here, way(port), links) as acceptor:
        with pytest.raises(OSError):
            await enter(acceptor.port, there, NA)
        await until(lambda: not len(links.keeper))
        assert links.counters.passages_failed == 1
        assert links.counters.connections_passed == 0
        assert "for na could not be passed on" in caplog.text
        assert "127.0.0.1" not in caplog.text.split("could not be passed on")[0], "no client's address"


async def test_what_leads_back_here_is_not_passed_on(
    here: Certificates, there: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    links = Links()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    passages = Passages({NA: way(port)}, links, most=9)  # type: ignore[arg-type]
    acceptor = TlsAcceptor(
        Own, server_context(here.certificate, here.key), quick=True, handshake_timeout_s=2, diverts=passages.take,
        admit=links.keeper.admit,
    )  # fmt: skip
    acceptor.listen("127.0.0.1", port)
    with pytest.raises(OSError):
        await enter(port, there, NA)
    await until(lambda: not len(links.keeper))
    assert "leads back here" in caplog.text
    acceptor.close()
    passages.close()


async def test_there_are_not_more_than_allowed(here: Certificates, there: Certificates) -> None:
    links = Links()
    async with region(there, echo) as port, door(here, way(port), links, most=1) as acceptor:
        _, first = await enter(acceptor.port, there, NA)
        with pytest.raises(OSError):
            await enter(acceptor.port, there, NA)
        assert links.counters.connections_refused == 1
        first.close()
        await until(lambda: not len(links.keeper))
        _, second = await enter(acceptor.port, there, NA)
        second.close()


async def test_who_reads_slowly_is_not_waited_for_in_memory(here: Certificates, there: Certificates) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.read(1)
        for _ in range(600):
            writer.write(bytes(100_000))
            sent += 100_000
            await writer.drain()
        writer.close()

    async with region(there, pour) as port, door(here, way(port), Links()) as acceptor:
        reader, writer = await enter(acceptor.port, there, NA)
        writer.transport.pause_reading()
        writer.write(b"x")
        await until(lambda: sent)
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 40_000_000, "it stopped in the buffers of the kernel"
        passed = [end for passage in _open_passages() for end in passage._ends]
        assert passed
        waiting = [end._transport.get_write_buffer_size() for end in passed]
        assert max(waiting) <= passing.HIGH_BYTES + 16_384
        writer.transport.resume_reading()
        total = 0
        while data := await asyncio.wait_for(reader.read(1 << 20), 20):
            total += len(data)
        assert total == 60_000_000
        writer.close()


def _open_passages() -> list[Any]:
    import gc

    return [
        each for each in gc.get_objects() if isinstance(each, passing._Passage) and each in each._all._open
    ]


async def test_silence_of_both_ends_a_connection(
    here: Certificates, there: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "SWEEP_S", 0.05)
    links = Links()
    links.limits = replace(links.limits, idle_ping_s=5, ping_timeout_s=1)
    async with region(there, echo) as port, door(here, way(port), links) as acceptor:
        reader, writer = await enter(acceptor.port, there, NA)
        writer.write(b"x")
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"x"
        await asyncio.sleep(0.1)  # what TLS says behind its handshake is heard as well
        for passage in _open_passages():
            passage.last_heard -= 12
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


def test_where_connections_go_is_configuration_alone() -> None:
    regions = Sections(
        {
            "emea": Region(country="FR", hosts=("emea.chat.test", "chat.test")),
            "na": Region(
                country="CA", hosts=("na.chat.test", "bücher.test:8443"), upstreams=("10.0.0.1:9443",)
            ),
            "de": Region(country="DE", hosts=("de.chat.test:444", "same.test:1"), proxy=True),
            "apac": Region(country="SG", hosts=("same.test:2",)),
            "uk": Region(country="GB", kind=RegionKind.EDGE, hosts=("uk.chat.test",)),
        }
    )
    config = Config(
        domain="chat.test",
        default_region="emea",
        regions=regions,
        listen=Listen(public_url="https://www.chat.test"),
    )
    ways = ways_elsewhere(config)
    assert set(ways) == {"na.chat.test", "xn--bcher-kva.test", "de.chat.test"}
    assert ways["na.chat.test"] == Way("na", "na.chat.test", (("10.0.0.1", 9443),), False)
    assert ways["de.chat.test"] == Way("de", "de.chat.test", (("de.chat.test", 444), ("same.test", 1)), True)
    at_the_edge = replace(config, region="uk")
    assert "emea.chat.test" in ways_elsewhere(at_the_edge)
    assert "uk.chat.test" not in ways_elsewhere(at_the_edge)
    assert at_the_edge.passes_on and not config.passes_on
