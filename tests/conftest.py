"""Fixtures that every kind of test may use: the server as a real process."""

import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.doors import door, over, server_store, source, strict, strict_door, strict_process, tcp, wss
from tests.interop.prosody import ProsodyServer
from tests.process import ChatServer, RainbowServer

# Here and not beside the tests that use them: each conftest would have a strict server of its own.
__all__ = ["door", "over", "server_store", "source", "strict", "strict_door", "strict_process", "tcp", "wss"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interop-server",
        choices=("rainbow", "prosody"),
        default="rainbow",
        help="The server that `server` starts; prosody (Debian's package) proves the tests themselves.",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was left out, a line for each reason, however many tests it concerns."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, tests in reasons.most_common():
        terminalreporter.write_line(f"{tests} skipped: {reason}")


@pytest.fixture(scope="session")
def page_listener() -> Iterator[socket.socket]:
    """A listening socket for a web page of another origin, bound before the server must know that origin."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(scope="session")
def page_origin(page_listener: socket.socket) -> str:
    """The origin of the page on `page_listener`; the server lets it use the WebSocket."""
    return f"http://localhost:{page_listener.getsockname()[1]}"


@pytest.fixture(scope="session")
def server_process(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, page_origin: str
) -> Iterator[ChatServer]:
    """One running server for all tests of this process; ending it checks its exit and its log."""
    folder = tmp_path_factory.mktemp("server")
    if pytestconfig.getoption("--interop-server") == "prosody":
        server: ChatServer = ProsodyServer(folder)
    else:
        server = RainbowServer(folder, origins=[page_origin])
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(server_process: ChatServer) -> Iterator[ChatServer]:
    """The running server; a traceback that it logs meanwhile fails this very test."""
    since = server_process.log_file.stat().st_size
    yield server_process
    server_process.assert_no_fault(since)


@pytest.fixture(scope="session")
def prosody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProsodyServer]:
    """Debian's Prosody beside our own server, where it is installed."""
    if shutil.which("prosody") is None:
        pytest.skip("Debian's prosody is not installed")
    server = ProsodyServer(tmp_path_factory.mktemp("prosody"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RainbowServer]]:
    """Starts a Rainbow server of the test's own: `start_server({"limits": {"resources_per_account": 2}})`."""
    with ExitStack() as stopping:

        def start(settings: Mapping[str, Any] | None = None, **named: Any) -> RainbowServer:
            server = RainbowServer(tmp_path_factory.mktemp("own-server"), settings=settings, **named)
            stopping.callback(server.stop)
            server.start()
            return server

        yield start
