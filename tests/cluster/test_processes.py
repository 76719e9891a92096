"""Two real nodes on one PostgreSQL database, with a real NATS server between them."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from rainbow_xmpp.config import ClusterConfig, ConfigProblems, load
from tests.cluster.conftest import Databases, _make
from tests.conformance.test_stream_management import SM, Phone, say
from tests.doors import Door
from tests.nats import Nats
from tests.process import RainbowServer, ServerFault

Start = Callable[..., RainbowServer]


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    server = Nats(tmp_path)
    server.start()
    yield server
    server.kill()


class Pair:
    """Two nodes, and doors into both."""

    def __init__(self, servers: list[RainbowServer], doors: list[Door], nats: Nats) -> None:
        self.one, self.two = servers
        self.door_one, self.door_two = doors
        self.nats = nats


def settings(nats: Nats, number: int) -> dict[str, Any]:
    return {"cluster": {"servers": [f"nats://127.0.0.1:{nats.port}"], "number": number, "gone_after_s": 5}}


@pytest.fixture
def url(databases: Databases) -> str:
    """A database without tables; the first node makes them."""
    return _make(databases, "postgresql", migrated=False)


@pytest.fixture
async def pair(url: str, nats: Nats, start_server: Start) -> AsyncIterator[Pair]:
    one = start_server(settings(nats, 1), storage_url=url)
    two = start_server(settings(nats, 2), storage_url=url, shares=one)
    async with AsyncExitStack() as stack:
        yield Pair([one, two], [Door(one, "wss", stack), Door(two, "tls", stack)], nats)


async def test_people_on_two_nodes_chat_whatever_dies(pair: Pair) -> None:
    """One test: starting two nodes is what it costs."""
    ann_is, bob_is = pair.one.new_person(), pair.one.new_person()
    ann, bob = await pair.door_one.log_in(ann_is), await pair.door_two.log_in(bob_is)
    await asyncio.sleep(0.3)
    for number in range(50):
        await ann.send(f"<message to='{bob.jid}' id='a{number}' type='chat'><body>{number}</body></message>")
        await bob.send(f"<message to='{ann.jid}' id='b{number}' type='chat'><body>{number}</body></message>")
    for number in range(50):
        await bob.expect(f"message[@id='a{number}']", 30)
        await ann.expect(f"message[@id='b{number}']", 30)

    # the bus dies under 500 messages, and is back
    for number in range(500):
        if number == 100:
            pair.nats.kill()
        if number == 400:
            pair.nats.start()
        await ann.send(f"<message to='{bob.jid}' id='n{number}' type='chat'><body>{number}</body></message>")
    for number in range(500):
        await bob.expect(f"message[@id='n{number}']", 60)

    # a phone of node 2 is cut off, and goes on with its session on node 1: nothing lost, nothing twice
    phone = await Phone.on(pair.door_two)
    await say(ann, phone.wire.jid, "one")
    await phone.bodies(1)
    phone.wire.abort()
    await say(ann, phone.wire.jid, "two", "three")
    phone.door = pair.door_one
    resumed = await phone.again()
    assert resumed.tag == f"{{{SM}}}resumed", resumed
    assert await phone.bodies(2) == ["two", "three"]
    await say(ann, phone.wire.jid, "four")
    await say(bob, phone.wire.jid.partition("/")[0], "five")
    assert sorted(await phone.bodies(2)) == ["five", "four"]
    phone.door = pair.door_two
    assert (await phone.again()).tag == f"{{{SM}}}resumed"
    stranger = pair.one.new_person()
    assert (await phone.again(by=stranger)).tag == f"{{{SM}}}failed"

    # a node dies: its people are gone for the others, and back on the other node with what they missed
    pair.two.process.send_signal(signal.SIGKILL)
    pair.two.process.wait()
    pair.two._process = None
    await ann.send(
        f"<message to='{bob.jid.partition('/')[0]}' id='m' type='chat'><body>missed?</body></message>"
    )
    await asyncio.sleep(6.5)
    again = await pair.door_one.log_in(bob_is)
    await again.expect("message[@id='m']", 30)
    await ann.send(f"<message to='{again.jid}' id='last' type='chat'><body>here</body></message>")
    await again.expect("message[@id='last']", 30)

    # it starts again, and is stopped as it should be: what it kept goes on with the other
    pair.two.start()
    phone = await Phone.on(pair.door_two)
    await say(ann, phone.wire.jid, "six")
    pair.two.stop()
    await asyncio.sleep(0.5)
    phone.door = pair.door_one
    assert (await phone.again()).tag == f"{{{SM}}}resumed"
    assert await phone.bodies(1) == ["six"]
    await say(ann, phone.wire.jid, "seven")
    assert await phone.bodies(1) == ["seven"]
    pair.two.start()
    cem = await pair.door_two.log_in(pair.one.new_person())
    await cem.send(f"<message to='{ann.jid}' id='new' type='chat'><body>hello</body></message>")
    await ann.expect("message[@id='new']", 30)


def test_a_node_without_a_bus_says_so(tmp_path: Path, nats: Nats) -> None:
    nats.kill()
    node = RainbowServer(
        tmp_path / "node", settings=settings(nats, 1), storage_url="postgresql+asyncpg://u@h/d"
    )
    (node.folder / ".set-up").touch()  # it does not come so far as to look at its database
    with pytest.raises(ServerFault, match="no NATS server answers at nats://127"):
        node.start()


def test_several_nodes_need_postgresql(tmp_path: Path, nats: Nats) -> None:
    node = RainbowServer(tmp_path / "node", settings=settings(nats, 1))
    with pytest.raises(ConfigProblems, match="several nodes need one PostgreSQL database"):
        load(node.config_file, {})


def test_the_addresses_of_the_bus_are_judged() -> None:
    config = ClusterConfig(servers=("http://x", "nats://ann:secret@x:4222", "nats://x:4222/path"), user="ann")
    assert [key for key, _ in config.problems()] == ["servers", "servers", "servers", "password"]
