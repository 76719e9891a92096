"""The relay without sockets: `Control` with a data plane of dictionaries, and a clock that tests move."""

from __future__ import annotations

import itertools
import os
import struct
from collections import deque
from collections.abc import Iterable

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control import (
    Address,
    Control,
    FiveTuple,
    Limits,
    Opening,
    RelayIp,
    Settings,
    Traffic,
)
from rainbow_xmpp.plugins.webrtc_relay.credentials import password_of
from rainbow_xmpp.plugins.webrtc_relay.peers import PeerPolicy
from tests.plugins.webrtc_relay.turn_client import Credential, TurnClient

SECRET = b"a secret of the relay that tests know"
SERVER = ("127.0.0.1", 3478)
RELAY_IP, RELAY_IPV6 = "127.0.0.1", "::1"
WALL = 1_700_000_000


class FakePlane:
    """Keeps the rules of `DataPlane`; `world` has the peers and clients."""

    def __init__(self) -> None:
        self.relays: dict[Address, Opening | None] = {}
        self.permissions: dict[Address, dict[str, bool]] = {}
        self.channels: dict[Address, dict[int, Address]] = {}
        self.taken: set[Address] = set()
        """What the host does not give."""
        self.wires: dict[FiveTuple, SimulatedWire] = {}
        self.peers: dict[Address, SimulatedPeer] = {}
        self.opened: list[Address] = []
        self.sent: list[tuple[Address, Address, bytes]] = []

    def hold_relay(self, relay: Address) -> bool:
        if relay in self.taken or relay in self.relays:
            return False
        self.relays[relay] = None
        return True

    def open_relay(self, opening: Opening) -> bool:
        if opening.relay in self.taken or self.relays.get(opening.relay):
            return False
        self.relays[opening.relay] = opening
        self.permissions[opening.relay], self.channels[opening.relay] = {}, {}
        self.opened.append(opening.relay)
        return True

    def close_relay(self, relay: Address) -> Traffic:
        del self.relays[relay]
        self.permissions.pop(relay, None)
        self.channels.pop(relay, None)
        return Traffic(1, 2, 3, 4)

    def permit(self, relay: Address, peer_ip: str, until: float, by_socket: bool) -> None:
        self.permissions[relay][peer_ip] = by_socket

    def forbid(self, relay: Address, peer_ip: str) -> None:
        del self.permissions[relay][peer_ip]

    def bind_channel(self, relay: Address, number: int, peer: Address, until: float) -> None:
        self.channels[relay][number] = peer

    def unbind_channel(self, relay: Address, number: int) -> None:
        del self.channels[relay][number]

    def send(self, relay: Address, peer: Address, data: bytes) -> None:
        opening = self.relays[relay]
        self.sent.append((relay, peer, data))
        for other in self.relays.values():
            if other is not None and other.advertised == peer:
                self.deliver(other.relay, opening.advertised, data)
                return
        if self.permissions[relay].get(peer[0]) and peer in self.peers:
            self.peers[peer].inbox.append((opening.advertised, data))

    def from_peer(self, peer: Address, relay: Address, data: bytes) -> None:
        if self.relays.get(relay) and self.permissions[relay].get(peer[0]):
            self.deliver(relay, peer, data)

    def deliver(self, relay: Address, peer: Address, data: bytes) -> None:
        if peer[0] not in self.permissions[relay]:
            return
        wire = self.wires[self.relays[relay].client]
        for number, bound in self.channels[relay].items():
            if bound == peer:
                wire.inbox.append(struct.pack("!HH", number, len(data)) + data)
                return
        transaction = os.urandom(12)
        attributes = [(stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction)), (stun.DATA, data)]
        wire.inbox.append(stun.encode(stun.DATA_METHOD, stun.INDICATION, transaction, attributes))

    def channel_data(self, client: FiveTuple, data: bytes) -> None:
        number, length = struct.unpack_from("!HH", data)
        for relay, opening in self.relays.items():
            if opening is not None and opening.client == client and number in self.channels[relay]:
                peer = self.channels[relay][number]
                if peer[0] in self.permissions[relay] and len(data) >= 4 + length:
                    self.send(relay, peer, data[4 : 4 + length])


class SimulatedWire:
    """One client's five-tuple."""

    is_stream = False

    def __init__(self, world: SimulatedWorld, five_tuple: FiveTuple) -> None:
        self.world = world
        self.five_tuple = five_tuple
        self.client = five_tuple.client
        self.inbox: deque[bytes] = deque()

    def transact(self, data: bytes) -> bytes | None:
        return self.world.control.handle(data, self.five_tuple, self.world.now)

    def send(self, data: bytes) -> None:
        if len(data) > 3 and data[0] >= 0x40:
            self.world.plane.channel_data(self.five_tuple, data)
        else:
            assert self.transact(data) is None

    def receive(self) -> bytes | None:
        return self.inbox.popleft() if self.inbox else None


class SimulatedPeer:
    """Somebody with a UDP socket."""

    def __init__(self, world: SimulatedWorld, address: Address) -> None:
        self.world = world
        self.address = address
        self.inbox: deque[tuple[Address, bytes]] = deque()

    def send(self, relay: Address, data: bytes) -> None:
        self.world.plane.from_peer(self.address, relay, data)

    def receive(self) -> tuple[Address, bytes] | None:
        return self.inbox.popleft() if self.inbox else None


class SimulatedWorld:
    """A relay, its clients and peers. `advance` moves the clock: checks of expiry run here only."""

    has_clock = True
    peer_ip, other_peer_ip, peer_ipv6 = "127.0.0.2", "127.0.0.3", "fd00::2"
    denied_peer = ("10.0.0.1", 4000)

    def __init__(
        self,
        *,
        ipv6: bool = True,
        allow: Iterable[str] | None = None,
        limits: Limits | None = None,
        advertised: str = RELAY_IP,
        **settings: int,
    ) -> None:
        self.now = 1000.0
        self.reported: list[tuple[object, ...]] = []
        self.plane = FakePlane()
        self.has_ipv6 = ipv6
        ips = [RelayIp(RELAY_IP, advertised), RelayIp(RELAY_IPV6, RELAY_IPV6)][: 2 if ipv6 else 1]
        self.settings = Settings(
            realm="example.org",
            relays=tuple(ips),
            limits=limits or Limits(unauthenticated_per_second=1000),
            **settings,
        )
        allowed = (self.peer_ip, self.other_peer_ip, self.peer_ipv6) if allow is None else allow
        policy = PeerPolicy(
            allow=allowed, own=[each.ip for each in ips], relay_ips=[each.advertised for each in ips]
        )
        self.control = Control(self.settings, policy, [SECRET], self.plane, self, wall=self.wall)
        self._ports = itertools.count(20_000)

    def wall(self) -> float:
        return WALL + self.now - 1000

    def advance(self, seconds: float) -> None:
        """Time passes, with a sweep every second."""
        for _ in range(int(seconds)):
            self.now += 1
            self.control.sweep(self.now)

    def wire(self, ip: str = "127.0.0.1") -> SimulatedWire:
        five_tuple = FiveTuple("udp", (ip, next(self._ports)), SERVER)
        wire = self.plane.wires[five_tuple] = SimulatedWire(self, five_tuple)
        return wire

    def credential(self, userid: str = "acme-ann", ttl_s: int = 36_000, secret: bytes = SECRET) -> Credential:
        username = f"{int(self.wall()) + ttl_s}:{userid}"
        return Credential(username, password_of(secret, username))

    def client(self, userid: str = "acme-ann", ip: str = "127.0.0.1", ttl_s: int = 36_000) -> TurnClient:
        return TurnClient(self.wire(ip), self.credential(userid, ttl_s))

    def peer(self, ip: str | None = None) -> SimulatedPeer:
        address = (ip or self.peer_ip, next(self._ports))
        peer = self.plane.peers[address] = SimulatedPeer(self, address)
        return peer

    def opened(self, userid: str, client: FiveTuple) -> None:
        self.reported.append(("opened", userid))

    def closed(self, userid: str, client: FiveTuple, seconds: float, traffic: Traffic, reason: str) -> None:
        self.reported.append(("closed", userid, seconds, traffic, reason))

    def refused(self, kind: str) -> None:
        self.reported.append(("refused", kind))
