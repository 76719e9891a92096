"""Connections over TCP and TLS, second by second: how long one may be idle, and how many handshakes begin."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.budgets import Rates
from rainbow_xmpp.plugins.webrtc_relay.dataplane import EpollDataPlane
from rainbow_xmpp.plugins.webrtc_relay.epoll import Loop
from rainbow_xmpp.plugins.webrtc_relay.packets import Packets
from rainbow_xmpp.plugins.webrtc_relay.streams import HANDSHAKES_A_TURN, IDLE_S, Streams, tls_context
from tests.certificates import make_certificates
from tests.plugins.webrtc_relay.simulated import SERVER, SimulatedWorld
from tests.plugins.webrtc_relay.turn_client import TurnClient, code_of


class Connections:
    """`Streams` with a loop that tests turn, and connections into it; a second passes when `sweep` is called."""

    is_stream = True

    def __init__(self) -> None:
        self.world = SimulatedWorld()
        self.loop = Loop()
        packets = Packets()
        plane = EpollDataPlane(self.loop, packets, Rates())
        self.streams = Streams(self.loop, packets, plane, self.world.control)
        self.sock, self.client = self.connect(), ("127.0.0.1", 1)

    def connect(self, *, is_clear: bool | None = None) -> socket.socket:
        mine, theirs = socket.socketpair()
        mine.settimeout(0.01)
        self.streams.take(theirs, ("127.0.0.1", len(self.streams.open) + 1), SERVER, is_clear=is_clear)
        return mine

    def turn(self) -> None:
        """Until nothing is left to do."""
        for _ in range(20):
            self.loop.at(self.loop.now, self.loop.stop)
            self.loop.run(lambda now: None)

    def sweep(self, now: float) -> None:
        self.streams.sweep(now)
        self.turn()

    def transact(self, data: bytes) -> bytes:
        self.send(data)
        return self.sock.recv(2048)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)
        self.turn()

    def receive(self) -> bytes | None:
        return None

    def is_open(self) -> bool:
        try:
            return self.sock.recv(2048) != b""
        except TimeoutError:
            return True


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections()
    yield made
    made.streams.close()
    made.loop.close()


def test_a_connection_without_an_allocation_ends_after_half_a_minute_whatever_it_says(
    connections: Connections,
):
    began = connections.loop.now
    connections.sweep(began + IDLE_S - 1)
    assert connections.transact(stun.encode(stun.BINDING, stun.REQUEST, bytes(12)))
    assert connections.is_open()
    connections.sweep(began + IDLE_S)
    assert not connections.is_open() and not connections.streams.open


def test_with_an_allocation_it_stays_and_half_a_minute_longer_than_that(connections: Connections):
    began = connections.loop.now
    client = TurnClient(connections, connections.world.credential())
    assert code_of(client.allocate()) == 0
    for seconds in (1, IDLE_S, 10 * IDLE_S):
        connections.sweep(began + seconds)
        assert connections.is_open()
    assert code_of(client.refresh(0)) == 0
    ended = began + 10 * IDLE_S
    connections.sweep(ended)
    connections.sweep(ended + IDLE_S - 1)
    assert connections.is_open()
    connections.sweep(ended + IDLE_S)
    assert not connections.is_open()


def test_so_many_handshakes_begin_in_a_second_and_the_others_wait_for_the_next(
    connections: Connections, tmp_path: Path
):
    files = make_certificates(tmp_path)
    connections.streams.context = tls_context(str(files.certificate), str(files.key))
    connections.streams.limits.handshakes_per_second = most = HANDSHAKES_A_TURN + 1
    connections.sweep(connections.loop.now)
    clients = [connections.connect(is_clear=False) for _ in range(2 * most + 1)]
    for client in clients:
        client.sendall(hello())
    begun = []
    for _ in range(3):
        connections.turn()
        begun.append(sum(map(has_come, clients)))
        connections.sweep(connections.loop.now)
    assert begun == [most, 2 * most, 2 * most + 1]
    assert connections.is_open(), "whoever is there already goes on meanwhile"


def hello() -> bytes:
    """What a client says first."""
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def has_come(sock: socket.socket) -> bool:
    """An answer has."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
