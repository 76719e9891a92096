"""Who is busy gets a socket of its own: nobody loses or gains a packet by that."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow_xmpp.plugins.webrtc_relay import lanes
from rainbow_xmpp.plugins.webrtc_relay.budgets import Rates
from rainbow_xmpp.plugins.webrtc_relay.control import FiveTuple, Opening
from rainbow_xmpp.plugins.webrtc_relay.dataplane import EpollDataPlane
from rainbow_xmpp.plugins.webrtc_relay.epoll import Loop
from rainbow_xmpp.plugins.webrtc_relay.packets import Packets, listener_reader
from rainbow_xmpp.plugins.webrtc_relay.relays import Listener
from tests.plugins.webrtc_relay.running import PATIENCE_S, RunningRelay, RunningWorld
from tests.plugins.webrtc_relay.test_bounds import relay_settings
from tests.plugins.webrtc_relay.turn_client import TurnClient, code_of, family

pytestmark = pytest.mark.xdist_group("running relay bounds")


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningRelay]:
    running = RunningRelay()
    yield running
    running.stop()


def sockets_of(relay: RunningRelay) -> int:
    return sum(1 for _ in Path(f"/proc/{relay.process.pid}/fd").iterdir())


def until_sockets(relay: RunningRelay, number: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while sockets_of(relay) != number:
        assert time.monotonic() < until, (sockets_of(relay), number)
        time.sleep(0.05)


def busy(client: TurnClient, peer, address, number: int = 0x4000) -> None:
    """So many packets both ways that both are busy; none is lost."""
    for count in range(lanes.BUSY + 5):
        client.send_channel(number, b"%d" % count)
        assert peer.receive() == (address, b"%d" % count)
        peer.send(address, b"back %d" % count)
        assert client.channel_data() == (number, b"back %d" % count)


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
def test_client_and_peer_have_a_socket_each_and_everything_is_as_it_was(relay: RunningRelay, six: bool):
    world = RunningWorld(relay)
    if six and not world.has_ipv6:
        pytest.skip("no IPv6 here")
    client, peer, other = (
        world.client(),
        world.peer("::1" if six else None),
        world.peer("::1" if six else None),
    )
    address = client.allocated(*([family(2)] if six else []))
    assert code_of(client.bind(0x4000, peer.address)) == 0
    before = sockets_of(relay)
    for is_settled in (False, True):  # as they are opened, and as they are read after a second
        if is_settled and not six:
            time.sleep(2)
        busy(client, peer, address)
        until_sockets(relay, before + 2)
    other.send(address, b"another port of a permitted address")
    assert client.data_indication() == (other.address, b"another port of a permitted address")
    client.send_indication(peer.address, b"by indication")
    assert peer.receive() == (address, b"by indication")
    if not six:
        world.peer("127.0.0.9").send(address, b"who is not permitted")
        assert client.wire.receive() is None
    assert code_of(client.refresh()) == 0
    assert code_of(client.bind(0x4001, other.address)) == 0
    client.send_channel(0x4001, b"another channel")
    assert other.receive() == (address, b"another channel")
    assert code_of(world.client("acme-bob").allocate()) == 0, "the port of all clients goes on"
    # The end, and what the same client says right after it.
    assert code_of(client.refresh(0)) == 0
    client.send_channel(0x4000, b"nothing any more")
    assert peer.receive() is None
    assert code_of(client.allocate()) == 0
    until_sockets(relay, before + 1)
    world.close()


def test_what_the_operator_denies_ends_with_the_socket(relay: RunningRelay):
    world = RunningWorld(relay)
    client, peer = world.client(), world.peer()
    address = client.allocated()
    assert code_of(client.bind(0x4000, peer.address)) == 0
    before = sockets_of(relay)
    busy(client, peer, address)
    until_sockets(relay, before + 2)
    relay.tell(relay_settings(relay, allow=[]))
    until_sockets(relay, before + 1)
    client.send_channel(0x4000, b"x")
    peer.send(address, b"x")
    assert peer.receive() is None and client.wire.receive() is None
    relay.tell(relay.settings)
    world.close()


def test_what_others_sent_before_the_socket_was_connected_is_theirs(monkeypatch: pytest.MonkeyPatch):
    """Between `bind` and `connect` the kernel gives it what anybody sends there."""
    loop, packets = Loop(), Packets()
    plane = EpollDataPlane(loop, packets, Rates())
    mine, client, peer, stranger = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4))
    for each in (mine, client, peer):
        each.bind(("127.0.0.1", 0))
    stranger.bind(("127.0.0.5", 0))
    listener = Listener(mine, lambda data, five_tuple, now: None)
    plane.add_listener(listener)
    mine.setblocking(False)
    loop.add(mine.fileno(), listener_reader(listener, mine, packets, loop))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        relayed = probe.getsockname()
    assert plane.open_relay(
        Opening(relayed, relayed, FiveTuple("udp", client.getsockname(), mine.getsockname()), "acme-ann")
    )
    plane.permit(relayed, "127.0.0.1", 1e9, True)
    plane.bind_channel(relayed, 0x4000, peer.getsockname(), 1e9)

    def late(sock: socket.socket, address: object) -> None:
        stranger.sendto(b"forged", relayed)
        connect(sock, address)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", late)
    for _ in range(lanes.BUSY):
        peer.sendto(b"hello", relayed)
        turn(loop)
    plane.look()
    turn(loop)
    monkeypatch.undo()
    for _ in range(2):
        plane.look()
        turn(loop)
    peer.sendto(b"goodbye", relayed)
    turn(loop)
    client.settimeout(PATIENCE_S)
    got = [client.recv(100) for _ in range(lanes.BUSY + 1)]
    assert [each[4:] for each in got] == [b"hello"] * lanes.BUSY + [b"goodbye"]
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(100)
    plane.close_relay(relayed)
    for each in (mine, client, peer, stranger):
        each.close()
    loop.close()


def turn(loop: Loop) -> None:
    loop.at(loop.now + 0.005, loop.stop)
    loop.run(lambda now: None)


def test_nobody_else_comes_to_the_address_meanwhile_or_later():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as common:
        common.bind(("127.0.0.1", 0))
        lane = lanes.connected(common, ("127.0.0.1", 9))
        assert lane is not None
        with lane, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind(common.getsockname())
    assert lanes.connected(common, ("127.0.0.1", 9)) is None, "what cannot be is done without"


def test_on_older_kernels_not_every_client_has_one():
    loop, packets = Loop(), Packets()
    assert lanes.Lanes(loop, packets, 0)._most_clients == 0
    assert lanes.most_clients_here() in (lanes.CLIENTS_BEFORE_6_13, 1 << 16)
    loop.close()
