"""What the data plane knows of relays and their clients: values that the hot path reads."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.budgets import Budget
from rainbow_xmpp.plugins.webrtc_relay.control import Address, FiveTuple, Opening, Traffic
from rainbow_xmpp.plugins.webrtc_relay.credentials import company_part
from rainbow_xmpp.plugins.webrtc_relay.epoll import Handler

SocketAddress = tuple[Any, ...]
"""As `recvfrom` gives it: (ip, port), and for IPv6 (ip, port, flow, scope)."""
Emit = Callable[[Any, Any], Any]
"""Sends one packet: `emit(bytes, where)`. Where a socket has one receiver it is `send`, and `where` its flags: none."""
Handle = Callable[[bytes, FiveTuple, float], bytes | None]
"""`Control.handle`."""


class Flow:
    """One client: where its packets go, and the routes of those it sends."""

    __slots__ = ("client", "emit", "lane", "relays", "routes", "where")

    def __init__(self, client: FiveTuple, emit: Emit, where: Any) -> None:
        self.client = client
        self.emit = emit
        self.where = where
        self.routes: dict[int, Route] = {}
        """By channel number, and by the XOR-PEER-ADDRESS value of Send indications."""
        self.relays: list[Relay] = []
        self.lane: Lane | None = None


class Route:
    """Where a packet for one peer goes: `sendto(payload, where)`."""

    __slots__ = ("other", "peer", "relay", "sendto", "where")

    def __init__(self, relay: Relay, peer: Address, other: Relay | None) -> None:
        self.relay = relay
        self.peer = peer
        self.other = other
        """The live relay of ours that the peer is: served internally."""
        self.sendto: Emit = relay.sock.sendto
        self.where: Any = socket_address(peer)


class Lane:
    """A socket that one sender alone has; see `lanes`."""

    __slots__ = ("handler", "is_over", "sock")

    def __init__(self, sock: socket.socket, handler: Handler) -> None:
        self.sock = sock
        self.handler: Handler = handler
        """How it is read once nothing of others can be in it any more."""
        self.is_over = False


class Relay:
    """One relayed transport address."""

    __slots__ = (
        "advertised", "budget", "bytes_in", "channels", "company", "emit", "flow", "granted", "heads", "inner", "lanes",
        "latest", "left", "local", "name", "numbers", "packets_in", "packets_out", "permitted", "reported",
        "reported_at", "seen_in", "seen_out", "sends", "sock", "userid", "where",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, opening: Opening, flow: Flow, budget: Budget, now: float) -> None:
        self.sock = sock
        self.local = opening.relay
        self.advertised = opening.advertised
        self.name = socket_address(opening.advertised)
        self.flow = flow
        self.emit, self.where = flow.emit, flow.where
        self.userid, self.company = opening.userid, company_part(opening.userid)
        self.permitted: dict[str, bool] = {}
        """Peer IP to `by_socket`."""
        self.channels: dict[int, Address] = {}
        self.numbers: dict[SocketAddress, int] = {}
        """The channels of peers whose packets may come from a socket."""
        self.inner: dict[SocketAddress, int] = {}
        """The channels of peers that are relays of ours."""
        self.heads: dict[SocketAddress, bytes] = {}
        self.sends: dict[int, str] = {}
        """Keys of `flow.routes` that stand for Send indications, and the peer's IP."""
        self.budget = budget
        self.left = 0
        """Bytes that may pass before the budget is asked again; `granted` is the sum of what it gave."""
        self.granted = 0
        self.bytes_in = self.packets_in = self.packets_out = 0
        self.reported, self.reported_at = (0, 0), now
        self.lanes: dict[int, Lane] = {}
        """By channel number."""
        self.latest = 0
        """The channel whose packet came last through `sock`."""
        self.seen_in = self.seen_out = 0
        """Packets up to the last look at who is busy."""

    def refill(self, size: int, now: float) -> bool:
        """Is there room for a packet of this size, after asking the budget?"""
        while self.left < size:
            more = self.budget.take(now)
            if not more:
                return False
            self.left += more
            self.granted += more
        return True

    def traffic(self) -> Traffic:
        """What it has carried: what the budget has spent beyond `bytes_in` went out to the client."""
        bytes_out = self.granted - self.left - self.bytes_in
        return Traffic(self.bytes_in, bytes_out, self.packets_in, self.packets_out)


class Listener:
    """A UDP socket that clients send to, and the routes of those that have an allocation."""

    __slots__ = ("address", "clients", "handle", "sock")

    def __init__(self, sock: socket.socket, handle: Handle) -> None:
        self.sock = sock
        self.address: Address = sock.getsockname()[:2]
        self.clients: dict[SocketAddress, dict[int, Route]] = {}
        self.handle = handle

    def five_tuple(self, client: SocketAddress) -> FiveTuple:
        """The name of this client."""
        return FiveTuple("udp", client[:2], self.address)


def socket_address(address: Address) -> SocketAddress:
    """As `recvfrom` gives it and `sendto` takes it."""
    return (*address, 0, 0) if ":" in address[0] else address


def indication_head(peer: SocketAddress) -> bytes:
    """What stands before the payload of a Data indication from this peer, with zeros for both lengths."""
    transaction = os.urandom(12)
    address = stun.xor_address((peer[0], peer[1]), transaction)
    return (
        struct.pack("!HHI", 0x0017, 0, stun.MAGIC)
        + transaction
        + struct.pack("!HH", stun.XOR_PEER_ADDRESS, len(address))
        + address
        + struct.pack("!HH", stun.DATA, 0)
    )
