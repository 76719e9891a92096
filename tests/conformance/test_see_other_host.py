"""A server that is being emptied sends its clients to another (RFC 6120 §4.9.3.19, RFC 7395 §3.6.1)."""

import asyncio
import http.client
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from rainbow_xmpp.config import Listen
from rainbow_xmpp.observe.control import ask
from tests.conformance.wire import Over, Wire, WssWire, child, connect
from tests.doors import Door
from tests.process import RainbowServer

TARGET = "node2.example.com:443"
LEAVING = pytest.mark.xdist_group("leaving server")
"""So that it is started once and not by each worker."""


@pytest.fixture(scope="module")
def leaving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """A server that wants to be rid of its clients."""
    server = RainbowServer(tmp_path_factory.mktemp("leaving"), settings={"listen": {"drain_to": TARGET}})
    server.start()
    yield server
    server.stop()


async def test_a_running_server_is_emptied(start_server: Callable[..., RainbowServer], over: Over) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:
        door = Door(server, over, stack)
        ann, waiting = await door.log_in(), await door.authenticated()
        folder = server.config_file.parent / "conf.d"
        folder.mkdir()
        (folder / "50-drain.toml").write_text(f'[listen]\ndrain_to = "{TARGET}"\n')
        told = await asyncio.to_thread(ask, server.run_folder, "reload")
        assert told == {"applied": ["listen.drain_to"], "restart": [], "problems": []}
        late = await door.connect()
        await late.send_header("to='localhost' version='1.0'")
        await expect_target(late)
        await ann.settle()  # whoever is in stays until the server stops
        server.process.send_signal(signal.SIGTERM)
        await expect_target(ann)
        await expect_target(waiting)


async def expect_target(wire: Wire) -> None:
    """The stream ends, and says where it goes on."""
    if isinstance(wire, WssWire):
        await wire.wait_end()
        assert wire.closing == {"see-other-uri": f"wss://{TARGET}/xmpp-websocket"}
        assert not wire.inbox
    else:
        error = await wire.expect("stream:error")
        assert child(error, "streams:see-other-host").text == TARGET
        await wire.wait_end()
    assert wire.stream_closed


@LEAVING
@pytest.mark.parametrize("over", ["wss", "tls"])
async def test_a_new_stream_is_answered_and_sent_there(leaving: RainbowServer, over: Over) -> None:
    async with await connect(leaving.endpoint, over) as wire:
        await wire.send_header("to='localhost' version='1.0'")
        await expect_target(wire)
        assert wire.header["from"] == "localhost"
        assert wire.header["id"]


@LEAVING
async def test_on_a_connection_in_plain_text_nobody_is_sent_anywhere(leaving: RainbowServer) -> None:
    async with await connect(leaving.endpoint, "starttls") as wire:  # which opens a stream before TLS
        wire._restart()
        await wire.send_header("to='localhost' version='1.0'")
        await expect_target(wire)


@LEAVING
async def test_what_is_wrong_with_a_header_comes_first(leaving: RainbowServer) -> None:
    async with await connect(leaving.endpoint, "tls") as wire:
        await wire.send_header("to='elsewhere.example' version='1.0'")
        await wire.expect_stream_error("host-unknown")


@LEAVING
async def test_a_load_balancer_is_told_to_leave_it_out(leaving: RainbowServer) -> None:
    endpoint = leaving.endpoint

    def ask() -> int:
        context = endpoint.tls_context(("http/1.1",))
        connection = http.client.HTTPSConnection(endpoint.domain, endpoint.port, context=context, timeout=30)
        connection.request("GET", "/readyz")
        return connection.getresponse().status

    assert await asyncio.to_thread(ask) == 503


@pytest.mark.parametrize(
    "target",
    [
        "node2.example.com",
        "node2.example.com:443",
        "192.0.2.7",
        "192.0.2.7:5222",
        "[2001:db8::7]",
        "[2001:db8::7]:443",
    ],
)
def test_a_target_is_a_host_and_maybe_a_port(target: str) -> None:
    assert list(Listen(drain_to=target).problems()) == []


@pytest.mark.parametrize(
    "target",
    [
        "https://node2",
        "node2/path",
        "node 2",
        "a@node2",
        "node2:",
        "node2:x",
        "node2:99999",
        ":443",
        "[node2]",
        "2001:db8::7",
        "-",
    ],
)
def test_anything_else_is_none(target: str) -> None:
    assert [key for key, _ in Listen(drain_to=target).problems()] == ["drain_to"]
