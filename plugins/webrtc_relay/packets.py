"""The hot path: what happens to one packet. All of it works in one buffer, and never copies a payload.

A datagram is received where there is room before it for any header, so the header of ChannelData (4 bytes) or of a
Data indication (36, or 48 with an IPv6 peer) is written in front of the payload where it lies. One `sendto` ends it.
"""

from __future__ import annotations

import socket
import struct

from rainbow_xmpp.plugins.webrtc_relay.epoll import Handler, Loop
from rainbow_xmpp.plugins.webrtc_relay.relays import (
    Flow,
    Handle,
    Listener,
    Relay,
    Route,
    SocketAddress,
    indication_head,
)
from rainbow_xmpp.plugins.webrtc_relay.stun import MAGIC

HEAD = 64
"""Payloads lie here or behind: more than any header takes."""
FRAME = HEAD - 4
"""Where what clients send is received: the payload of their channel data lies at HEAD."""
ROOM = 65_536
DRAIN, ONE = range(32), range(1)
"""So many packets are taken from a socket before others have their turn. One, where there was none in the turn before:
to find out that nothing more has come costs as much as a packet."""

MOST_REMEMBERED = 64
"""Peers of one relay whose headers or routes are remembered; beyond, all are made again."""

_NUMBER_LENGTH = struct.Struct("!HH")
_LENGTH = struct.Struct("!H")
_SEND = struct.Struct("!HHI12xHHQHH")
"""A Send indication as clients make it: header, XOR-PEER-ADDRESS of IPv4, head of DATA."""
_SEND_TYPE = 0x0016
_SEND_BYTES = _SEND.size
_ZEROS = (b"", b"\0\0\0", b"\0\0", b"\0")


class Packets:
    """The buffer, and what is done with a packet in it."""

    def __init__(self) -> None:
        self.buffer = bytearray(FRAME + 2 * ROOM + 64)
        self.view = memoryview(self.buffer)

    def put(self, data: bytes) -> int:
        """Copies a payload into the buffer, behind what lies at FRAME; where it is now."""
        at = FRAME + ROOM + 48
        self.view[at : at + len(data)] = data
        return at

    def framed(self, head: bytes, at: int, size: int) -> memoryview:
        """The payload at `at` with this head of an indication before it, padded with zeros (RFC 8489 §14)."""
        buffer, begin = self.buffer, at - len(head)
        pad = -size & 3
        self.view[begin:at] = head
        _LENGTH.pack_into(buffer, begin + 2, len(head) - 20 + size + pad)
        _LENGTH.pack_into(buffer, at - 2, size)
        if pad:
            self.view[at + size : at + size + pad] = _ZEROS[size & 3]
        return self.view[begin : at + size + pad]

    def indicate(self, relay: Relay, peer: SocketAddress, at: int, size: int, now: float) -> None:
        """The payload at `at`, which came from this peer, to the relay's client (RFC 8656 §11.3)."""
        if relay.left < size and not relay.refill(size, now):
            return
        head = relay.heads.get(peer)
        if head is None:
            if len(relay.heads) >= MOST_REMEMBERED:
                relay.heads.clear()
            head = relay.heads[peer] = indication_head(peer)
        relay.left -= size
        relay.packets_out += 1
        relay.emit(self.framed(head, at, size), relay.where)

    def send(self, route: Route, at: int, size: int, now: float) -> None:
        """The payload at `at`, from the route's client to its peer; dropped when it is too much."""
        relay = route.relay
        if relay.left < size and not relay.refill(size, now):
            return
        relay.left -= size
        relay.bytes_in += size
        relay.packets_in += 1
        try:
            if route.other is None:
                route.sendto(self.view[at : at + size], route.where)
            else:
                self.inside(relay, route.other, at, size, now)
        except OSError:  # a full buffer, a peer that cannot be reached: a datagram is lost, as datagrams are
            return

    def inside(self, relay: Relay, other: Relay, at: int, size: int, now: float) -> None:
        """From one relay of ours to the other, without a socket: only what that one permits."""
        number = other.inner.get(relay.name)
        if number is None:
            if relay.name[0] in other.permitted:
                self.indicate(other, relay.name, at, size, now)
            return
        if other.left < size and not other.refill(size, now):
            return
        other.left -= size
        other.packets_out += 1
        _NUMBER_LENGTH.pack_into(self.buffer, at - 4, number, size)
        other.emit(self.view[at - 4 : at + size], other.where)

    def quick_send(self, routes: dict[int, Route], at: int, size: int, now: float) -> bool:
        """Is this a Send indication of the usual form to a peer that is known? Then it has been sent."""
        if size < _SEND_BYTES:
            return False
        kind, length, magic, first, first_length, peer, second, payload = _SEND.unpack_from(self.buffer, at)
        if (
            kind != _SEND_TYPE
            or magic != MAGIC
            or first != 0x0012
            or first_length != 8
            or second != 0x0013
            or length != 16 + (payload + 3 & ~3)
            or length + 20 != size
        ):
            return False
        route = routes.get(peer)
        if route is None:
            return False
        self.send(route, at + _SEND_BYTES, payload, now)
        return True


def relay_reader(relay: Relay, sock: socket.socket, packets: Packets, loop: Loop) -> Handler:
    """Handles what peers send to a relay."""
    receive, emit, where = sock.recvfrom_into, relay.emit, relay.where
    room = packets.view[HEAD : HEAD + ROOM]
    view, buffer = packets.view, packets.buffer
    numbers, permitted, indicate = relay.numbers, relay.permitted, packets.indicate
    write = _NUMBER_LENGTH.pack_into
    turn = 0

    def ready(events: int) -> None:
        nonlocal turn
        burst, turn = (DRAIN if loop.turn - turn == 1 else ONE), loop.turn
        try:
            for _ in burst:
                size, peer = receive(room)
                number = numbers.get(peer)
                if number is None:
                    if permitted.get(peer[0]):
                        indicate(relay, peer, HEAD, size, loop.now)
                    continue
                left = relay.left - size
                if left < 0:
                    if not relay.refill(size, loop.now):
                        continue
                    left = relay.left - size
                relay.left = left
                relay.packets_out += 1
                relay.latest = number
                write(buffer, FRAME, number, size)
                emit(view[FRAME : HEAD + size], where)
        except OSError:  # nothing more has come, or a client's buffer is full
            return

    return ready


def peer_reader(relay: Relay, number: int, sock: socket.socket, packets: Packets, loop: Loop) -> Handler:
    """Handles what one peer sends to a relay, whose channel this is, on a socket that it alone has."""
    receive, emit, where = sock.recv_into, relay.emit, relay.where
    room = packets.view[HEAD : HEAD + ROOM]
    view, buffer = packets.view, packets.buffer
    write = _NUMBER_LENGTH.pack_into
    turn = 0

    def ready(events: int) -> None:
        nonlocal turn
        burst, turn = (DRAIN if loop.turn - turn == 1 else ONE), loop.turn
        try:
            for _ in burst:
                size = receive(room)
                left = relay.left - size
                if left < 0:
                    if not relay.refill(size, loop.now):
                        continue
                    left = relay.left - size
                relay.left = left
                relay.packets_out += 1
                write(buffer, FRAME, number, size)
                emit(view[FRAME : HEAD + size], where)
        except OSError:  # nothing more has come, a client's buffer is full, or the peer is gone
            return

    return ready


def listener_reader(listener: Listener, sock: socket.socket, packets: Packets, loop: Loop) -> Handler:
    """Handles what clients send over UDP."""
    receive, answer, clients = sock.recvfrom_into, listener.sock.sendto, listener.clients
    room = packets.view[FRAME : FRAME + ROOM]
    view, buffer, inside, quick_send = packets.view, packets.buffer, packets.inside, packets.quick_send
    handle, five_tuple = listener.handle, listener.five_tuple

    def ready(events: int) -> None:
        try:
            for _ in DRAIN:
                size, client = receive(room)
                first = buffer[FRAME]
                if 0x40 <= first <= 0x4F:
                    routes = clients.get(client)
                    if routes is None or size < 4:
                        continue
                    route = routes.get(first << 8 | buffer[FRAME + 1])
                    length = buffer[FRAME + 2] << 8 | buffer[FRAME + 3]
                    if route is None or length > size - 4:
                        continue
                    relay = route.relay
                    left = relay.left - length
                    if left < 0:
                        if not relay.refill(length, loop.now):
                            continue
                        left = relay.left - length
                    relay.left = left
                    relay.bytes_in += length
                    relay.packets_in += 1
                    if route.other is None:
                        route.sendto(view[HEAD : HEAD + length], route.where)
                    else:
                        inside(relay, route.other, HEAD, length, loop.now)
                elif first < 4 and size:
                    routes = clients.get(client)
                    if routes and quick_send(routes, FRAME, size, loop.now):
                        continue
                    said = handle(bytes(room[:size]), five_tuple(client), loop.now)
                    if said is not None:
                        answer(said, client)
        except OSError:  # nothing more has come, or a peer cannot be reached
            return

    return ready


def client_reader(flow: Flow, sock: socket.socket, packets: Packets, loop: Loop, handle: Handle) -> Handler:
    """Handles what one client sends over UDP, on a socket that it alone has."""
    receive, answer, routes, client = sock.recv_into, sock.send, flow.routes, flow.client
    room = packets.view[FRAME : FRAME + ROOM]
    view, buffer, inside, quick_send = packets.view, packets.buffer, packets.inside, packets.quick_send
    turn = 0

    def ready(events: int) -> None:
        nonlocal turn
        burst, turn = (DRAIN if loop.turn - turn == 1 else ONE), loop.turn
        try:
            for _ in burst:
                size = receive(room)
                first = buffer[FRAME]
                if 0x40 <= first <= 0x4F and size >= 4:
                    route = routes.get(first << 8 | buffer[FRAME + 1])
                    length = buffer[FRAME + 2] << 8 | buffer[FRAME + 3]
                    if route is None or length > size - 4:
                        continue
                    relay = route.relay
                    left = relay.left - length
                    if left < 0:
                        if not relay.refill(length, loop.now):
                            continue
                        left = relay.left - length
                    relay.left = left
                    relay.bytes_in += length
                    relay.packets_in += 1
                    if route.other is None:
                        route.sendto(view[HEAD : HEAD + length], route.where)
                    else:
                        inside(relay, route.other, HEAD, length, loop.now)
                elif first < 4 and size and not quick_send(routes, FRAME, size, loop.now):
                    said = handle(bytes(room[:size]), client, loop.now)
                    if said is not None:
                        answer(said)
        except OSError:  # nothing more has come, or a peer cannot be reached
            return

    return ready
