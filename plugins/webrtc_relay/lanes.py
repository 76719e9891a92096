"""Sockets of their own for who is busy: the kernel sorts packets by sender, and no address is made of each.

A datagram from a socket that everybody sends to comes with its sender's address, a string and a tuple, and is sent on
to an address that is parsed: a fifth of all that relaying it takes. A connected UDP socket has one sender and one
receiver. So once a second who is busy gets one, bound to the same address as the socket that serves everybody, which
goes on serving the others; clients and peers notice nothing.

Between `bind` and `connect` such a socket gets what others send, too. So for a second it is read as the socket for
everybody is, sender by sender, and after that without looking, when nothing of others can be in it any more.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable

from rainbow_xmpp.plugins.webrtc_relay.epoll import Handler, Loop
from rainbow_xmpp.plugins.webrtc_relay.packets import (
    Packets,
    client_reader,
    listener_reader,
    peer_reader,
    relay_reader,
)
from rainbow_xmpp.plugins.webrtc_relay.relays import (
    Flow,
    Lane,
    Listener,
    Relay,
    Route,
    SocketAddress,
    socket_address,
)

BUSY = 20
"""Packets a second; a call with audio has 50 a direction."""
MOST_OF_ONE = 4
"""Peers of one relay that have a socket of their own."""
CLIENTS_BEFORE_6_13 = 256
"""Up to Linux 6.12 all connected sockets of one port are in one chain, which each packet walks."""
_BUFFER_BYTES = 256 * 1024
_OWN = 0
"""In the place of a receiver: the flags of `send`."""


class Lanes:
    """All of them."""

    def __init__(self, loop: Loop, packets: Packets, most_clients: int | None = None) -> None:
        self._loop = loop
        self._packets = packets
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4
        self._most_clients = most_clients_here() if most_clients is None else most_clients
        self._new: dict[Lane, None] = {}
        self._trial: dict[Lane, None] = {}
        """What was opened, or is over, since the last look, and since the one before."""
        self.clients = self.peers = 0
        """How many there are."""

    def look(self, relay: Relay, listener: Listener | None, live: Callable[[int], Route | None]) -> None:
        """Gives a lane to who was busy since the last look at this relay. `live`: the route of a channel, if any."""
        came, went = relay.packets_in - relay.seen_in, relay.packets_out - relay.seen_out
        relay.seen_in, relay.seen_out = relay.packets_in, relay.packets_out
        if listener is not None and came >= BUSY and relay.flow.lane is None:
            self._open_client(relay.flow, listener)
        number, relay.latest = relay.latest, 0
        if number and went >= BUSY and number not in relay.lanes and len(relay.lanes) < MOST_OF_ONE:
            route = live(number)
            if route is not None and route.other is None:
                self._open_peer(relay, number, route)

    def settle(self) -> None:
        """What is there for a second is read as it shall be from now on; what is over is closed. Before the looks."""
        trial, self._trial, self._new = self._trial, self._new, {}
        for lane in trial:
            if lane.is_over:
                self._close(lane)
            else:
                self._loop.use(lane.sock.fileno(), lane.handler)

    def end_client(self, flow: Flow, listener: Listener) -> None:
        """The client has no relay any more; what it sends next is heard all the same."""
        lane, flow.lane = flow.lane, None
        if lane is not None:
            self.clients -= 1
            lane.is_over = True
            self._loop.use(
                lane.sock.fileno(), listener_reader(listener, lane.sock, self._packets, self._loop)
            )
            self._trial.pop(lane, None)
            self._new[lane] = None

    def end_peer(self, relay: Relay, number: int) -> None:
        """This channel has no socket of its own any more, if it had one."""
        lane = relay.lanes.pop(number, None)
        if lane is not None:
            self.peers -= 1
            self._trial.pop(lane, None)
            self._new.pop(lane, None)
            self._close(lane)

    def _open_client(self, flow: Flow, listener: Listener) -> None:
        sock = None
        if self.clients < self._most_clients and self._has_room():
            sock = connected(listener.sock, socket_address(flow.client.client))
        if sock is None:
            return
        packets, loop = self._packets, self._loop
        flow.lane = Lane(sock, client_reader(flow, sock, packets, loop, listener.handle))
        self.clients += 1
        self._start(flow.lane, listener_reader(listener, sock, packets, loop))
        flow.emit, flow.where = sock.send, _OWN
        for relay in flow.relays:
            relay.emit, relay.where = flow.emit, flow.where
            loop.use(relay.sock.fileno(), relay_reader(relay, relay.sock, packets, loop))
            for number, lane in relay.lanes.items():
                lane.handler = peer_reader(relay, number, lane.sock, packets, loop)
                is_new = lane in self._new or lane in self._trial
                loop.use(
                    lane.sock.fileno(),
                    relay_reader(relay, lane.sock, packets, loop) if is_new else lane.handler,
                )

    def _open_peer(self, relay: Relay, number: int, route: Route) -> None:
        sock = connected(relay.sock, socket_address(route.peer)) if self._has_room() else None
        if sock is None:
            return
        lane = relay.lanes[number] = Lane(sock, peer_reader(relay, number, sock, self._packets, self._loop))
        self.peers += 1
        self._start(lane, relay_reader(relay, sock, self._packets, self._loop))
        route.sendto, route.where = sock.send, _OWN

    def _start(self, lane: Lane, trial: Handler) -> None:
        self._loop.add(lane.sock.fileno(), trial)
        self._new[lane] = None

    def _close(self, lane: Lane) -> None:
        self._loop.remove(lane.sock.fileno())
        lane.sock.close()

    def _has_room(self) -> bool:
        return self.clients + self.peers < self._most


def connected(common: socket.socket, sender: SocketAddress) -> socket.socket | None:
    """A socket at the address of `common`, for one sender; None when the host does not give it.

    Two sockets share an address only while both say so: `common` says it no longer than that takes, so that nobody
    else's socket comes to its address.
    """
    sock = None
    try:
        sock = socket.socket(common.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if common.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        common.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(common.getsockname())
        finally:
            common.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        sock.connect(sender)
    except OSError:
        if sock is not None:
            sock.close()
        return None
    return sock


def most_clients_here() -> int:
    """How many clients may have a socket of their own on one port, by the kernel's version."""
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    return CLIENTS_BEFORE_6_13 if (major, minor) < (6, 13) else 1 << 16
