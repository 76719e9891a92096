"""Taking connections in: refusals before any work, a lack of files, and STARTTLS."""

import asyncio
import errno
import functools
import inspect
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from rainbow_xmpp.transport import accept, quick_tls
from rainbow_xmpp.transport.accept import TlsAcceptor, TlsUpgrade
from rainbow_xmpp.transport.tls import server_context
from tests.certificates import Certificates, make_certificates

QUICK_OR_NOT = pytest.mark.parametrize("quick", [True, False], ids=["quick", "the loop's own"])


def on_each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test on asyncio's loop and on uvloop, which the server runs on."""

    @functools.wraps(test)
    def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test(**arguments))

    signature = inspect.signature(test)
    own = inspect.Parameter("loop_factory", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]  # where pytest looks
        parameters=[*signature.parameters.values(), own]
    )
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("loop_factory", loops, ids=["asyncio", "uvloop"])(run)


def context_of(files: Certificates, quick: bool) -> ssl.SSLContext:
    """The server's context; not quick: as it is where aiofastnet is missing."""
    with pytest.MonkeyPatch.context() as patch:
        if not quick:
            patch.setattr(quick_tls, "openssl_compat", None)
        return server_context(files.certificate, files.key)


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


class Echo(asyncio.Protocol):
    """Sends back what it gets, and remembers what became of it."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.lost = asyncio.Event()
        self.times_lost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.times_lost += 1
        self.lost.set()


@asynccontextmanager
async def accepting(files: Certificates, **options: Any) -> AsyncIterator[TlsAcceptor]:
    options = {"quick": True, "handshake_timeout_s": 5.0} | options
    acceptor = TlsAcceptor(lambda arrival: Echo(), context_of(files, options["quick"]), **options)
    acceptor.listen("127.0.0.1", 0)
    try:
        yield acceptor
    finally:
        acceptor.close()


async def echoed(port: int, files: Certificates) -> bytes:
    trusting = ssl.create_default_context(cafile=files.ca)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting, server_hostname="localhost"
    )
    writer.write(b"ping")
    answer = await asyncio.wait_for(reader.readexactly(4), 5)
    writer.close()
    return answer


@on_each_loop
@QUICK_OR_NOT
async def test_an_admitted_connection_becomes_a_protocol(files: Certificates, quick: bool) -> None:
    asked: list[str] = []

    def admit(address: str) -> bool:
        asked.append(address)
        return True

    failed: list[str] = []
    async with accepting(files, quick=quick, admit=admit, failed=failed.append) as acceptor:
        assert await echoed(acceptor.port, files) == b"ping"
    assert asked == ["127.0.0.1"]
    assert failed == []


async def test_a_refused_connection_is_closed_unread(files: Certificates) -> None:
    failed: list[str] = []
    async with accepting(files, admit=lambda address: False, failed=failed.append) as acceptor:
        reader, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    assert failed == []


@on_each_loop
@QUICK_OR_NOT
@pytest.mark.parametrize("what", [b"GET / HTTP/1.1\r\n\r\n", b""], ids=["plain text", "nothing"])
async def test_who_does_not_finish_the_handshake_is_reported_once(
    files: Certificates, quick: bool, what: bytes
) -> None:
    failures: asyncio.Queue[str] = asyncio.Queue()
    options = {"quick": quick, "handshake_timeout_s": 0.2, "failed": failures.put_nowait}
    async with accepting(files, **options) as acceptor:
        reader, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
        writer.write(what)
        assert await asyncio.wait_for(failures.get(), 5) == "127.0.0.1"
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert failures.empty()


async def test_junk_that_is_there_at_once_is_reported_and_not_logged(
    files: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    failures: asyncio.Queue[str] = asyncio.Queue()
    async with accepting(files, failed=failures.put_nowait) as acceptor:
        with socket.create_connection(("127.0.0.1", acceptor.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")  # before the loop comes to accept
            assert await asyncio.wait_for(failures.get(), 5) == "127.0.0.1"
    assert [record for record in caplog.records if record.name.startswith("rainbow_xmpp")] == []


async def test_out_of_files_it_rests_and_goes_on(
    files: Certificates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accept, "REST_S", 0.05)
    attempts = 0

    class Poor:
        """A listening socket in a process without a free descriptor, at first."""

        def __init__(self, real: socket.socket) -> None:
            self._real = real

        def accept(self) -> tuple[socket.socket, Any]:
            nonlocal attempts
            attempts += 1
            if attempts <= 2:
                raise OSError(errno.EMFILE, "Too many open files")
            return self._real.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    async with accepting(files) as acceptor:
        loop = asyncio.get_running_loop()
        listener = acceptor._listener
        assert listener is not None
        loop.remove_reader(listener)
        poor: Any = Poor(listener)
        acceptor._listener = poor
        loop.add_reader(poor, acceptor._ready)
        with caplog.at_level(logging.WARNING):
            assert await echoed(acceptor.port, files) == b"ping"
    told = [record.getMessage() for record in caplog.records if record.name == accept.__name__]
    assert told == ["no connection can be accepted for a while: Too many open files"] * 2
    # Two failures, one connection, and each time round the look whether there is another.
    assert attempts <= 6


async def test_a_closed_acceptor_does_not_come_back_from_its_rest(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "REST_S", 0.01)
    async with accepting(files) as acceptor:
        acceptor._rest(OSError(errno.EMFILE, "Too many open files"))
        acceptor.close()
        await asyncio.sleep(0.03)
        assert acceptor._listener is None


async def test_a_port_that_is_taken_is_an_error(files: Certificates) -> None:
    async with accepting(files) as acceptor:
        other = TlsAcceptor(
            lambda arrival: Echo(),
            server_context(files.certificate, files.key),
            quick=True,
            handshake_timeout_s=1,
        )
        with pytest.raises(OSError) as caught:
            other.listen("127.0.0.1", acceptor.port)
        assert caught.value.errno == errno.EADDRINUSE


class Plain(asyncio.Protocol):
    """Waits for `<starttls/>`, says `<proceed/>` and goes on in TLS as `Echo`."""

    def __init__(self, upgrade: TlsUpgrade, echo: Echo) -> None:
        self._upgrade = upgrade
        self._echo = echo
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert data == b"<starttls/>"
        self.transport.write(b"<proceed/>")
        self.transport.set_protocol(self._echo)
        self._upgrade.begin(self.transport, self._echo)


@asynccontextmanager
async def starttls_server(
    files: Certificates, quick: bool, timeout_s: float
) -> AsyncIterator[tuple[int, Echo]]:
    upgrade = TlsUpgrade(context_of(files, quick), quick=quick, handshake_timeout_s=timeout_s)
    echo = Echo()
    server = await asyncio.get_running_loop().create_server(lambda: Plain(upgrade, echo), "127.0.0.1", 0)
    async with AsyncExitStack() as closing:
        closing.callback(server.close)
        yield server.sockets[0].getsockname()[1], echo


@on_each_loop
@QUICK_OR_NOT
async def test_a_connection_that_began_in_plain_text_goes_on_in_tls(files: Certificates, quick: bool) -> None:
    async with starttls_server(files, quick, 5) as (port, echo):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"<starttls/>")
        assert await asyncio.wait_for(reader.readexactly(10), 5) == b"<proceed/>"
        await writer.start_tls(ssl.create_default_context(cafile=files.ca), server_hostname="localhost")
        writer.write(b"ping")
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"ping"
        assert echo.times_lost == 0
        if quick:
            assert echo.transport.get_extra_info("ssl_incoming_use_membio") is False
        writer.close()
        await asyncio.wait_for(echo.lost.wait(), 5)
        assert echo.times_lost == 1


@on_each_loop
@QUICK_OR_NOT
@pytest.mark.parametrize(
    "after",
    [lambda writer: writer.write(b"no handshake at all"), lambda writer: writer.close(), lambda writer: None],
    ids=["junk", "gone", "silent"],
)
async def test_a_failed_upgrade_is_a_lost_connection(
    files: Certificates, quick: bool, after: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with starttls_server(files, quick, 0.3) as (port, echo):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"<starttls/>")
        await asyncio.wait_for(reader.readexactly(10), 5)
        after(writer)
        await asyncio.wait_for(echo.lost.wait(), 5)
        writer.close()
    await asyncio.sleep(0)
    assert echo.times_lost == 1
