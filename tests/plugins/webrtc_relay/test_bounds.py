"""What one client may cost the relay, and when its process ends."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow_xmpp.plugins.webrtc_relay import stun, wire
from rainbow_xmpp.plugins.webrtc_relay.budgets import LEAST_BURST, Budgets, Rates
from tests.plugins.webrtc_relay.running import PATIENCE_S, RunningRelay, RunningWorld
from tests.plugins.webrtc_relay.turn_client import code_of

pytestmark = pytest.mark.xdist_group("running relay bounds")


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningRelay]:
    running = RunningRelay(allocation_rate=100_000)
    yield running
    running.stop()


def connected(relay: RunningRelay) -> socket.socket:
    return socket.create_connection(relay.address, PATIENCE_S)


def is_closed(sock: socket.socket) -> bool:
    try:
        while sock.recv(65_536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x40\x00\x00\x04abcd", b"\xff" * 100],
    ids=["HTTP", "TLS without a certificate", "channel data first", "noise"],
)
def test_a_connection_that_does_not_begin_with_stun_is_closed(relay: RunningRelay, said: bytes):
    with connected(relay) as sock:
        sock.sendall(said)
        assert is_closed(sock)


def test_a_connection_without_an_allocation_may_send_four_kibibytes(relay: RunningRelay):
    request = stun.encode(stun.BINDING, stun.REQUEST, os.urandom(12))
    with connected(relay) as sock:
        for _ in range(4096 // len(request)):
            sock.sendall(request)
        assert sock.recv(32)
        sock.sendall(request * 20)
        assert is_closed(sock)


def test_who_does_not_read_loses_packets_and_the_relay_does_not_grow(relay: RunningRelay):
    world = RunningWorld(relay, "tcp")
    client, peer = world.client(), world.peer()
    address = client.allocated()
    assert code_of(client.bind(0x4000, peer.address)) == 0
    relay.tell(relay_settings(relay, allocation_rate=0.0))
    before = resident_kib(relay)
    for _ in range(200):
        for _ in range(100):
            peer._sock.sendto(bytes(1200), address)
        relay.settle()
    assert resident_kib(relay) - before < 4096
    received = 0
    client.wire._sock.settimeout(0.5)  # type: ignore[attr-defined]
    try:
        while data := client.wire._sock.recv(65_536):  # type: ignore[attr-defined]
            received += len(data)
    except TimeoutError:
        pass
    assert 0 < received < 200 * 100 * 1204
    assert received % 1204 == 0, "a packet comes whole or not at all"
    assert code_of(client.refresh()) == 0
    world.close()
    relay.tell(relay.settings)


def relay_settings(relay: RunningRelay, **others: object) -> wire.RelaySettings:
    fields = {name: getattr(relay.settings, name) for name in relay.settings.__struct_fields__}
    return wire.RelaySettings(**fields | others)  # type: ignore[arg-type]


def resident_kib(relay: RunningRelay) -> int:
    lines = Path(f"/proc/{relay.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_what_is_more_than_the_budget_of_an_allocation_is_dropped(relay: RunningRelay):
    world = RunningWorld(relay)
    client, peer = world.client(), world.peer()
    client.allocated()
    assert code_of(client.bind(0x4000, peer.address)) == 0
    for _ in range(200):
        client.send_channel(0x4000, bytes(1000))
    relay.settle()
    received = 0
    while peer.receive() is not None:
        received += 1
    assert 40 <= received < 150  # half a second ahead, and what comes meanwhile
    world.close()


def test_the_relay_ends_with_the_server_that_started_it():
    running = RunningRelay()
    running.line.close()
    assert running.ends() == 0
    running.stop()


def test_budgets_share_what_is_above_them():
    budgets = Budgets(Rates(allocation=1e6, company=50_000, total=0), 0.0)
    one, two = budgets.open("acme", 0.0), budgets.open("acme", 0.0)
    other = budgets.open("other", 0.0)
    assert one.take(0.0) + two.take(0.0) + one.take(0.0) == LEAST_BURST
    assert other.take(0.0) == LEAST_BURST
    assert one.take(0.1) == 5000 and two.take(0.1) == 0
    budgets.configure(Rates(allocation=1e6))
    assert two.take(0.1) > 5000
    for budget in (one, two):
        budgets.close("acme", budget)
    assert budgets.open("acme", 9.0).take(9.0) > 0
