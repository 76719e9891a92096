"""The data plane (`control.DataPlane`): which packet goes where, decided when something changes and not a packet.

Whatever control permits, binds or closes is put into dictionaries that hold only what may pass now: channel number to
`Route` for what a client sends, peer to channel number for what it gets. So a packet costs one look-up a direction
and no comparison of times: control takes back what has expired within a second.

A route's other end is resolved likewise: a peer that is a live relay of ours is served internally (`Route.other`),
and whenever a relay comes or goes, the routes to its address are made anew.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Iterator

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.budgets import Budgets, Rates
from rainbow_xmpp.plugins.webrtc_relay.control import Address, FiveTuple, Opening, Traffic
from rainbow_xmpp.plugins.webrtc_relay.credentials import company_part
from rainbow_xmpp.plugins.webrtc_relay.epoll import Loop
from rainbow_xmpp.plugins.webrtc_relay.lanes import Lanes
from rainbow_xmpp.plugins.webrtc_relay.packets import MOST_REMEMBERED, Packets, relay_reader
from rainbow_xmpp.plugins.webrtc_relay.relays import (
    Emit,
    Flow,
    Listener,
    Relay,
    Route,
    socket_address,
)

RELAY_BUFFER_BYTES = 256 * 1024
LOOKS_A_TURN = 16


class EpollDataPlane:
    """Relays by one epoll loop. See `control.DataPlane` for what its methods promise."""

    def __init__(self, loop: Loop, packets: Packets, rates: Rates) -> None:
        self._loop = loop
        self._packets = packets
        self._budgets = Budgets(rates, loop.now)
        self._lanes = Lanes(loop, packets)
        self._listeners: dict[Address, Listener] = {}
        self._streams: dict[FiveTuple, Flow] = {}
        self._flows: dict[FiveTuple, Flow] = {}
        self._relays: dict[Address, Relay] = {}
        self._held: dict[Address, socket.socket] = {}
        self._live: dict[Address, Relay] = {}
        """By advertised address."""
        self._waiting: dict[Address, set[Relay]] = {}
        """Relays with a channel or a remembered Send to this address, which is, was or may become a relay of ours."""
        self._ended: list[tuple[str, float, int, int]] = []
        self._looking: deque[Relay] = deque()
        """Those that are still to be looked at this second."""

    # -- clients ---------------------------------------------------------------------------------------

    def add_listener(self, listener: Listener) -> None:
        """Clients of this socket may have allocations."""
        self._listeners[listener.address] = listener

    def add_stream(self, five_tuple: FiveTuple, emit: Emit) -> dict[int, Route]:
        """A client over TCP or TLS has come; its routes, which fill when it allocates."""
        flow = self._streams[five_tuple] = Flow(five_tuple, emit, None)
        return flow.routes

    def remove_stream(self, five_tuple: FiveTuple) -> None:
        """It is gone; control has been told."""
        self._streams.pop(five_tuple, None)

    def configure(self, rates: Rates) -> None:
        """Other budgets."""
        self._budgets.configure(rates)

    def look(self) -> None:
        """To be called about once a second: who is busy gets a socket of its own, a few a turn: nobody waits."""
        if not self._looking:
            self._lanes.settle()
            self._looking.extend(self._relays.values())
            self._loop.soon(self._look_on)

    def _look_on(self) -> None:
        for _ in range(min(LOOKS_A_TURN, len(self._looking))):
            relay = self._looking.popleft()
            if self._relays.get(relay.local) is relay:
                self._lanes.look(relay, self._listener_of(relay.flow), relay.flow.routes.get)
        if self._looking:
            self._loop.soon(self._look_on)

    def moved(self) -> Iterator[tuple[str, float, int, int]]:
        """Who moved how much since the last call: userid, seconds, bytes in, bytes out, of each relay."""
        ended, self._ended = self._ended, []
        yield from ended
        for relay in self._relays.values():
            yield self._since_last(relay)

    # -- control.DataPlane -----------------------------------------------------------------------------

    def hold_relay(self, relay: Address) -> bool:
        sock = None if relay in self._relays or relay in self._held else bound_socket(relay)
        if sock is None:
            return False
        self._held[relay] = sock
        return True

    def open_relay(self, opening: Opening) -> bool:
        local = opening.relay
        if local in self._relays:
            return False
        sock = self._held.pop(local, None)
        if sock is not None:
            drop_what_came(sock)
        else:
            sock = bound_socket(local)
        if sock is None:
            return False
        now = self._loop.now
        flow = self._flow_of(opening.client)
        budget = self._budgets.open(company_part(opening.userid), now)
        relay = self._relays[local] = Relay(sock, opening, flow, budget, now)
        flow.relays.append(relay)
        self._loop.add(sock.fileno(), relay_reader(relay, sock, self._packets, self._loop))
        self._live[opening.advertised] = relay
        self._resolve_again(opening.advertised)
        return True

    def close_relay(self, relay: Address) -> Traffic:
        held = self._held.pop(relay, None)
        if held is not None:
            held.close()
            return Traffic()
        closing = self._relays.pop(relay)
        traffic = closing.traffic()
        self._ended.append(self._since_last(closing))
        for ip in list(closing.permitted):
            self.forbid_of(closing, ip)
        for number in list(closing.channels):
            self._drop_channel(closing, number)
        self._loop.remove(closing.sock.fileno())
        closing.sock.close()
        self._budgets.close(closing.company, closing.budget)
        if self._live.get(closing.advertised) is closing:
            del self._live[closing.advertised]
        self._resolve_again(closing.advertised)
        flow = closing.flow
        flow.relays.remove(closing)
        if not flow.relays:
            self._end_flow(flow)
        return traffic

    def permit(self, relay: Address, peer_ip: str, until: float, by_socket: bool) -> None:
        of = self._relays[relay]
        before = of.permitted.get(peer_ip)
        of.permitted[peer_ip] = by_socket
        if before is not by_socket:
            self._resolve(of, peer_ip)

    def forbid(self, relay: Address, peer_ip: str) -> None:
        self.forbid_of(self._relays[relay], peer_ip)

    def forbid_of(self, relay: Relay, peer_ip: str) -> None:
        """Packets from and to this IP pass no more."""
        if relay.permitted.pop(peer_ip, None) is not None:
            self._resolve(relay, peer_ip)

    def bind_channel(self, relay: Address, number: int, peer: Address, until: float) -> None:
        of = self._relays[relay]
        if of.channels.get(number) != peer:
            of.channels[number] = peer
            self._wait_for(of, peer)
            self._activate(of, number, peer)

    def unbind_channel(self, relay: Address, number: int) -> None:
        self._drop_channel(self._relays[relay], number)

    def send(self, relay: Address, peer: Address, data: bytes) -> None:
        of = self._relays[relay]
        route = self._route(of, peer)
        if route is None:
            return
        if stun.family_of(peer[0]) == stun.IPV4:
            if len(of.sends) >= MOST_REMEMBERED:
                self._forget_sends(of, None)
            key = int.from_bytes(stun.xor_address(peer, b""), "big")
            of.flow.routes[key] = route
            of.sends[key] = peer[0]
            self._wait_for(of, peer)
        self._packets.send(route, self._packets.put(data), len(data), self._loop.now)

    # -- what is resolved ------------------------------------------------------------------------------

    def _flow_of(self, client: FiveTuple) -> Flow:
        flow = self._flows.get(client)
        if flow is None:
            if client.transport == "udp":
                listener, where = self._listeners[client.server], socket_address(client.client)
                flow = Flow(client, listener.sock.sendto, where)
                listener.clients[where] = flow.routes
            else:
                flow = self._streams[client]
            self._flows[client] = flow
        return flow

    def _listener_of(self, flow: Flow) -> Listener | None:
        return self._listeners[flow.client.server] if flow.client.transport == "udp" else None

    def _end_flow(self, flow: Flow) -> None:
        self._flows.pop(flow.client, None)
        listener = self._listener_of(flow)
        if listener is not None:
            listener.clients.pop(socket_address(flow.client.client), None)
            self._lanes.end_client(flow, listener)

    def _route(self, relay: Relay, peer: Address) -> Route | None:
        """Where packets for this peer may go now; None: nowhere."""
        by_socket = relay.permitted.get(peer[0])
        if by_socket is None:
            return None
        other = self._live.get(peer)
        return Route(relay, peer, other) if other is not None or by_socket else None

    def _activate(self, relay: Relay, number: int, peer: Address) -> None:
        """The channel's entries, as permissions and relays are now."""
        self._lanes.end_peer(relay, number)
        by_socket, name = relay.permitted.get(peer[0]), socket_address(peer)
        route = self._route(relay, peer)
        if route is None:
            relay.flow.routes.pop(number, None)
        else:
            relay.flow.routes[number] = route
        if by_socket:
            relay.numbers[name] = number
        else:
            relay.numbers.pop(name, None)
        if by_socket is not None and peer[0] == relay.advertised[0]:
            relay.inner[name] = number
        else:
            relay.inner.pop(name, None)

    def _resolve(self, relay: Relay, ip: str) -> None:
        """Something has changed about this peer."""
        for number, peer in relay.channels.items():
            if peer[0] == ip:
                self._activate(relay, number, peer)
        self._forget_sends(relay, ip)

    def _resolve_again(self, advertised: Address) -> None:
        """A relay has come to this address, or gone from it."""
        for relay in list(self._waiting.get(advertised, ())):
            self._resolve(relay, advertised[0])

    def _wait_for(self, relay: Relay, peer: Address) -> None:
        if peer[0] == relay.advertised[0]:
            self._waiting.setdefault(peer, set()).add(relay)

    def _wait_no_more(self, relay: Relay, peer: Address) -> None:
        waiting = self._waiting.get(peer)
        if waiting is not None:
            waiting.discard(relay)
            if not waiting:
                del self._waiting[peer]

    def _drop_channel(self, relay: Relay, number: int) -> None:
        self._lanes.end_peer(relay, number)
        peer = relay.channels.pop(number)
        relay.flow.routes.pop(number, None)
        name = socket_address(peer)
        relay.numbers.pop(name, None)
        relay.inner.pop(name, None)
        self._wait_no_more(relay, peer)
        self._forget_sends(relay, peer[0])

    def _forget_sends(self, relay: Relay, ip: str | None) -> None:
        """Send indications to this IP, or to all, are looked at by control again."""
        for key in [key for key, of in relay.sends.items() if ip is None or of == ip]:
            del relay.sends[key]
            route = relay.flow.routes.pop(key, None)
            if route is not None and route.peer not in relay.channels.values():
                self._wait_no_more(relay, route.peer)

    def _since_last(self, relay: Relay) -> tuple[str, float, int, int]:
        now, traffic = self._loop.now, relay.traffic()
        bytes_in, bytes_out = relay.reported
        since = relay.reported_at
        relay.reported, relay.reported_at = (traffic.bytes_in, traffic.bytes_out), now
        return relay.userid, now - since, traffic.bytes_in - bytes_in, traffic.bytes_out - bytes_out


def bound_socket(address: Address) -> socket.socket | None:
    """A UDP socket for a relay; None when the host does not give it."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RELAY_BUFFER_BYTES)
        sock.bind(address)
    except OSError:
        if sock is not None:
            sock.close()
        return None
    return sock


def drop_what_came(sock: socket.socket) -> None:
    """What was sent to a held port is nobody's."""
    with contextlib.suppress(OSError):
        for _ in range(10_000):
            sock.recv(1)
