"""Private things of pinned packages, which the server relies on and which an update could take away."""

import asyncio
import configparser
import ctypes
import importlib.metadata
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiofastnet import constants

from rainbow_xmpp.process import tune_allocator
from rainbow_xmpp.transport import quick_tls
from rainbow_xmpp.transport.accept import TlsAcceptor
from rainbow_xmpp.transport.tls import quick_tls_available, server_context
from tests.certificates import Certificates, make_certificates

ROOT = Path(__file__).resolve().parents[2]
_SSL_CTRL_GET_READ_AHEAD = 40
_SSL_CTRL_GET_SESS_CACHE_MODE = 45


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
def small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads of 64 KiB instead of 256, so that a burst that needs two fits into the kernel's buffer."""
    monkeypatch.setattr(constants, "DATA_RECEIVED_MAX_SIZE", 65_536)
    monkeypatch.setattr(constants, "MAX_READ_BYTES_PER_CYCLE_HINT", 65_536)  # puts it back afterwards


@pytest.mark.parametrize("package", ["aiofastnet", "http-ece", "py-vapid"])
def test_the_installed_version_is_the_pinned_one(package: str) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = config["options"]["install_requires"].splitlines()
    assert f"{package} =={importlib.metadata.version(package)}" in wanted


def test_the_quick_engine_is_in_use() -> None:
    assert quick_tls_available() == (True, "")


async def test_the_quick_engine_can_be_proved_while_a_loop_runs() -> None:
    assert quick_tls_available() == (True, "")


class _StaticallyLinked:
    OPENSSL_DYN_LIBS = None


@pytest.mark.parametrize(
    ("module", "words"),
    [(None, "aiofastnet is not installed"), (_StaticallyLinked, "linked statically")],
    ids=["missing", "static OpenSSL"],
)
def test_what_is_lost_without_the_quick_engine_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, module: Any, words: str
) -> None:
    monkeypatch.setattr(quick_tls, "openssl_compat", module)
    available, reason = quick_tls_available()
    assert not available
    assert words in reason
    assert "KiB" in reason


def test_an_ignored_socket_bio_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_tls, "SOCKET_BIO_ATTRIBUTE", "_no_such_hook")
    available, reason = quick_tls_available()
    assert not available
    assert "socket BIO" in reason


def test_without_the_quick_engine_a_context_is_as_strict_but_not_prepared_for_it(
    monkeypatch: pytest.MonkeyPatch, files: Certificates
) -> None:
    for part in ("constants", "openssl_compat", "ssl_transport"):
        monkeypatch.setattr(quick_tls, part, None)
    context = server_context(files.certificate, files.key)
    assert not hasattr(context, quick_tls.SOCKET_BIO_ATTRIBUTE)
    native = quick_tls._native_context(context)
    assert native is not None
    lib, pointer = native
    # With read-ahead uvloop's own TLS does not notice data that comes with the end of the handshake.
    assert lib.SSL_CTX_ctrl(pointer, _SSL_CTRL_GET_READ_AHEAD, 0, None) == 0
    assert lib.SSL_CTX_ctrl(pointer, _SSL_CTRL_GET_SESS_CACHE_MODE, 0, None) == 0


def test_the_library_asked_is_the_one_that_python_uses() -> None:
    lib = quick_tls._libssl()
    assert lib is not None
    lib.OpenSSL_version_num.restype = ctypes.c_ulong
    assert lib.OpenSSL_version_num() == ssl.OPENSSL_VERSION_NUMBER


def test_settings_that_python_has_no_name_for_reach_openssl(files: Certificates) -> None:
    context = server_context(files.certificate, files.key)
    native = quick_tls._native_context(context)
    assert native is not None
    lib, pointer = native
    assert lib.SSL_CTX_ctrl(pointer, _SSL_CTRL_GET_READ_AHEAD, 0, None) == 1
    assert lib.SSL_CTX_ctrl(pointer, _SSL_CTRL_GET_SESS_CACHE_MODE, 0, None) == 0


def test_a_pointer_that_is_no_openssl_context_is_not_used(files: Certificates) -> None:
    lib = quick_tls._libssl()
    assert lib is not None
    ours, foreign = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert quick_tls._is_ssl_ctx(lib, ours, quick_tls._pointer_of(ours))
    assert not quick_tls._is_ssl_ctx(lib, ours, quick_tls._pointer_of(foreign))
    assert not quick_tls._is_ssl_ctx(lib, ours, ctypes.c_void_p())


class _Gathering(asyncio.Protocol):
    """Keeps its transport and counts what arrives."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.made = asyncio.Event()
        self.complete = asyncio.Event()
        self.missing = 0

    async def expect(self, size: int, send: Callable[[], object], timeout_s: float) -> None:
        """Returns when so many bytes more have arrived."""
        self.missing = size
        self.complete.clear()
        send()
        await asyncio.wait_for(self.complete.wait(), timeout_s)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing == 0:
            self.complete.set()


async def test_connections_use_the_socket_and_no_memory_buffers(files: Certificates) -> None:
    protocol = _Gathering()
    context = server_context(files.certificate, files.key)
    acceptor = TlsAcceptor(lambda arrival: protocol, context, quick=True, handshake_timeout_s=5)
    acceptor.listen("127.0.0.1", 0)
    _, writer = await asyncio.open_connection(
        "127.0.0.1",
        acceptor.port,
        ssl=ssl.create_default_context(cafile=files.ca),
        server_hostname="localhost",
    )
    await asyncio.wait_for(protocol.made.wait(), 5)
    assert type(protocol.transport.get_extra_info("ssl_object")).__name__ == "SSLEngineDirect"
    assert protocol.transport.get_extra_info("ssl_incoming_use_membio") is False
    assert protocol.transport.get_extra_info("ssl_outgoing_use_membio") is False
    writer.close()
    acceptor.close()


# With 64,000 bytes before them: the limit lies within these, and all of them in OpenSSL's buffer by then.
SMALL_RECORDS = (6, 7, 8)


async def _burst_arrives(files: Certificates, small_records: int, timeout_s: float) -> bool:
    """Send a little more than one read takes, the end in small records, while the loop is busy."""
    bulk, end = b"a" * 64_000, [b"b" * 300] * small_records
    protocol = _Gathering()
    context = server_context(files.certificate, files.key)
    acceptor = TlsAcceptor(lambda arrival: protocol, context, quick=True, handshake_timeout_s=5)
    acceptor.listen("127.0.0.1", 0)
    assert acceptor._listener is not None
    acceptor._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    trusting = ssl.create_default_context(cafile=files.ca)

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", acceptor.port), timeout=5)
        return trusting.wrap_socket(plain, server_hostname="localhost")

    client = await asyncio.to_thread(connect)
    await asyncio.wait_for(protocol.made.wait(), 5)
    for _ in range(40):  # the kernel takes more at once from a peer it has taken much from
        await protocol.expect(16_000, lambda: client.sendall(b"c" * 16_000), 5)
    waiting = protocol.expect(len(bulk) + 300 * small_records, lambda: None, timeout_s)
    for part in (bulk, *end):  # in this thread, so that all of it waits in the kernel before it is read
        client.sendall(part)
    try:
        await waiting
    except TimeoutError:
        return False
    finally:
        client.close()
        acceptor.close()
    return True


@pytest.mark.usefixtures("small_reads")
@pytest.mark.parametrize("small_records", SMALL_RECORDS)
async def test_a_burst_is_read_to_its_end(files: Certificates, small_records: int) -> None:
    assert await _burst_arrives(files, small_records, 10)


@pytest.mark.usefixtures("small_reads")
async def test_with_aiofastnets_own_limit_the_end_of_a_burst_would_wait(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When this fails, aiofastnet reads to the end by itself and READ_AT_ONCE_BYTES may go."""
    monkeypatch.setattr(quick_tls, "READ_AT_ONCE_BYTES", 65_536)
    assert not all([await _burst_arrives(files, count, 0.5) for count in SMALL_RECORDS])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="glibc only")
def test_glibc_takes_the_allocators_settings() -> None:
    assert tune_allocator()
