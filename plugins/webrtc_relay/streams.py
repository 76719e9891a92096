"""Clients over TCP and TLS (RFC 8656 §3.1, §12.5): framing, TLS in memory, and bounds on what a connection costs."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from rainbow_xmpp.plugins.webrtc_relay.control import Address, Control, FiveTuple
from rainbow_xmpp.plugins.webrtc_relay.control.quotas import source_of
from rainbow_xmpp.plugins.webrtc_relay.dataplane import EpollDataPlane
from rainbow_xmpp.plugins.webrtc_relay.epoll import IN, OUT, Loop
from rainbow_xmpp.plugins.webrtc_relay.packets import FRAME, ROOM, Packets
from rainbow_xmpp.plugins.webrtc_relay.relays import Route

log = logging.getLogger(__name__)

IDLE_S = 30
"""So long a connection may be without an allocation."""
IDLE_BYTES = 4096
"""So much it may send before it has one: a challenge and an Allocate are a few hundred bytes."""
HANDSHAKE_BYTES = 16_384
"""So much a client may send before TLS stands."""
MOST_WAITING_BYTES = 65_536
"""So much output waits for a slow reader; media beyond is dropped, as a network would."""
MOST_ANSWERS_BYTES = 2 * MOST_WAITING_BYTES
"""Who has so much waiting and asks for more answers is closed."""
HANDSHAKES_A_TURN = 4
ACCEPTS_A_TURN = 16
_TLS_HANDSHAKE = 0x16
_FIRST_OF_STUN = range(4)
_NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PADDING = (b"", b"\0", b"\0\0", b"\0\0\0")


@dataclass(slots=True)
class StreamLimits:
    """How many connections, and how fast."""

    connections: int = 10_000
    per_address: int = 200
    handshakes_per_second: int = 200


class Streams:
    """All connections, and the sockets that take them in."""

    def __init__(self, loop: Loop, packets: Packets, plane: EpollDataPlane, control: Control) -> None:
        self.loop = loop
        self.packets = packets
        self.plane = plane
        self.control = control
        self.context: ssl.SSLContext | None = None
        """Of new connections; None: there is no TLS."""
        self.limits = StreamLimits()
        self.open: set[Stream] = set()
        self._of_source: Counter[bytes] = Counter()
        self._listeners: dict[socket.socket, bool] = {}
        """Whether each is listened to now; not while there are no file descriptors left."""
        self._handshakes: deque[Stream] = deque()
        self._handshakes_left = self.limits.handshakes_per_second
        self._doomed: list[Stream] = []
        self._is_asked = False
        """There is work for when this turn is over."""

    def listen(self, listener: socket.socket) -> None:
        """Take in what comes there."""
        listener.setblocking(False)
        self._listeners[listener] = True
        self.loop.add(listener.fileno(), lambda events: self._accept(listener))

    def listen_no_more(self) -> None:
        """Connections go on."""
        for listener in self._listeners:
            self.loop.remove(listener.fileno())
            listener.close()
        self._listeners.clear()

    def take(
        self, sock: socket.socket, client: Address, server: Address, *, is_clear: bool | None = None
    ) -> None:
        """A connection; `is_clear`: TLS is done elsewhere, False: it begins here, None: its first byte says."""
        source = source_of(client[0])
        if len(self.open) >= self.limits.connections or self._of_source[source] >= self.limits.per_address:
            sock.close()
            return
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # not on a local one
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(self, sock, client, server)
        self.open.add(stream)
        self._of_source[source] += 1
        if is_clear:
            stream.begin("tls")
        elif is_clear is False:
            self.begin_tls(stream, b"")

    def begin_tls(self, stream: Stream, first: bytes) -> None:
        """In its turn: handshakes are costly, and media goes on meanwhile."""
        if self.context is None:
            self.doom(stream)
            return
        stream.prepare_tls(self.context, first)
        self._handshakes.append(stream)
        self._ask()

    def doom(self, stream: Stream) -> None:
        """Close it when this turn is over: whoever is in the middle of something finishes it first."""
        if not stream.is_doomed:
            stream.is_doomed = True
            self._doomed.append(stream)
            self._ask()

    def sweep(self, now: float) -> None:
        """Once a second: new handshakes may begin, connections without an allocation end."""
        self._handshakes_left = self.limits.handshakes_per_second
        if self._handshakes:
            self._ask()
        for listener, is_on in self._listeners.items():
            if not is_on:
                self._listeners[listener] = True
                self.loop.add(listener.fileno(), lambda events, it=listener: self._accept(it))  # type: ignore[misc]
        for stream in self.open:
            if not stream.may_stay(now):
                self.doom(stream)

    def close(self) -> None:
        """All of them."""
        self.listen_no_more()
        for stream in list(self.open):
            self._close(stream)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                sock, client = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as failure:
                if failure.errno in _NOTHING_LEFT:
                    log.warning("no connection can be accepted for a while: %s", failure.strerror)
                self._listeners[listener] = False
                self.loop.remove(listener.fileno())
                return
            self.take(sock, client[:2], sock.getsockname()[:2])

    def _ask(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            self.loop.soon(self._after_turn)

    def _after_turn(self) -> None:
        self._is_asked = False
        for _ in range(min(HANDSHAKES_A_TURN, len(self._handshakes), max(self._handshakes_left, 0))):
            self._handshakes_left -= 1
            self._handshakes.popleft().shake_hands()
        if self._handshakes and self._handshakes_left > 0:
            self._ask()
        while self._doomed:
            self._close(self._doomed.pop())

    def _close(self, stream: Stream) -> None:
        if stream not in self.open:
            return
        self.open.discard(stream)
        source = source_of(stream.client[0])
        self._of_source[source] -= 1
        if not self._of_source[source]:
            del self._of_source[source]
        with contextlib.suppress(ValueError):
            self._handshakes.remove(stream)
        stream.close()


class Stream:
    """One connection."""

    __slots__ = (
        "_asked", "_five_tuple", "_held", "_incoming", "_of", "_outgoing", "_routes", "_secure", "_sent", "_server",
        "_since", "_sock", "_tls", "_waiting", "_wants", "client", "is_doomed",
    )  # fmt: skip

    def __init__(self, of: Streams, sock: socket.socket, client: Address, server: Address) -> None:
        self._of = of
        self._sock = sock
        self.client = client
        self._server = server
        self.is_doomed = False
        self._five_tuple: FiveTuple | None = None
        self._routes: dict[int, Route] = {}
        self._held = b""
        self._tls: ssl.SSLObject | None = None
        self._secure = False
        self._incoming = self._outgoing = ssl.MemoryBIO()
        self._waiting = bytearray()
        self._wants = IN
        self._sent = 0
        """What the client has sent since it was without an allocation."""
        self._since: float | None = of.loop.now
        """Since when it is; None: it has one."""
        of.loop.add(sock.fileno(), self._ready)

    # -- how it begins ---------------------------------------------------------------------------------

    def begin(self, transport: Any) -> None:
        """It is known how this client speaks."""
        self._five_tuple = FiveTuple(transport, self.client, self._server)
        emit = self._emit_tls if self._tls is not None else self._emit
        self._routes = self._of.plane.add_stream(self._five_tuple, emit)

    def prepare_tls(self, context: ssl.SSLContext, first: bytes) -> None:
        """The handshake waits for its turn; nothing is read until then."""
        self._of.loop.remove(self._sock.fileno())
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(first)

    def shake_hands(self) -> None:
        """Its turn has come."""
        self._of.loop.add(self._sock.fileno(), self._ready, self._wants)
        self._handshake()

    def _handshake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._write(self._outgoing.read())
            return
        except (ssl.SSLError, OSError, ValueError):
            self._write(self._outgoing.read())  # why, as an alert
            self._of.doom(self)
            return
        self._write(self._outgoing.read())
        self._secure = True
        self._sent = 0
        self.begin("tls")
        self._read_secure()

    # -- what comes ------------------------------------------------------------------------------------

    def _ready(self, events: int) -> None:
        if self.is_doomed:
            return
        if events & OUT:
            self._flush()
        if events & ~OUT:
            self._read()

    def _read(self) -> None:
        try:
            if self._tls is not None:
                data = self._sock.recv(ROOM)
                if not data:
                    self._of.doom(self)
                    return
                self._count(len(data), IDLE_BYTES if self._secure else HANDSHAKE_BYTES)
                self._incoming.write(data)
                self._read_secure() if self._secure else self._handshake()
                return
            size = self._sock.recv_into(self._room())
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if not size:
            self._of.doom(self)
            return
        self._count(size, IDLE_BYTES)
        if self._five_tuple is None:
            self._decide(size)
        else:
            self._frames(len(self._held) + size)

    def _decide(self, size: int) -> None:
        """Plain or TLS: the first byte says (RFC 7983)."""
        view = self._of.packets.view
        first = view[FRAME]
        if first == _TLS_HANDSHAKE:
            self._of.begin_tls(self, bytes(view[FRAME : FRAME + size]))
        elif first in _FIRST_OF_STUN:
            self.begin("tcp")
            self._frames(size)
        else:
            self._of.doom(self)

    def _read_secure(self) -> None:
        assert self._tls is not None
        try:
            while not self.is_doomed:
                room: Any = self._room()
                size: Any = self._tls.read(len(room), room)
                if not size:
                    break
                self._frames(len(self._held) + size)
            self._of.doom(self)
        except ssl.SSLWantReadError:
            if self._outgoing.pending:
                self._write(self._outgoing.read())
        except (ssl.SSLError, OSError):
            self._of.doom(self)

    def _room(self) -> memoryview:
        """Where in the buffer the next bytes go: behind those that are no whole frame yet."""
        view, held = self._of.packets.view, self._held
        begin = FRAME + len(held)
        view[FRAME:begin] = held
        return view[begin : FRAME + ROOM]

    def _frames(self, size: int) -> None:
        """What lies in the buffer: whole frames are carried out, the rest is held."""
        packets, now, routes = self._of.packets, self._of.loop.now, self._routes
        buffer, view = packets.buffer, packets.view
        at, end = FRAME, FRAME + size
        while end - at >= 4 and not self.is_doomed:
            first = buffer[at]
            length = buffer[at + 2] << 8 | buffer[at + 3]
            if 0x40 <= first <= 0x4F:
                total = 4 + (length + 3 & ~3)
                if end - at < total:
                    break
                route = routes.get(first << 8 | buffer[at + 1])
                if route is not None:
                    packets.send(route, at + 4, length, now)
            elif first < 4:
                total = 20 + length
                if end - at < total:
                    break
                if not (routes and packets.quick_send(routes, at, total, now)):
                    self._answer(bytes(view[at : at + total]), now)
            else:
                self._of.doom(self)
                return
            at += total
        if at == FRAME and size >= ROOM:
            self._of.doom(self)  # a frame that no datagram can carry
        self._held = bytes(view[at:end])

    def _answer(self, data: bytes, now: float) -> None:
        assert self._five_tuple is not None
        said = self._of.control.handle(data, self._five_tuple, now)
        if said is None:
            return
        if len(self._waiting) > MOST_ANSWERS_BYTES:
            self._of.doom(self)
        elif self._tls is not None:
            self._seal(said)
        else:
            self._write(said)

    def _count(self, size: int, most: int) -> None:
        if self._since is None:
            return
        self._sent += size
        if self._sent > most and not self._has_allocation():
            self._of.doom(self)

    def _has_allocation(self) -> bool:
        return self._five_tuple is not None and self._of.control.has_allocation(self._five_tuple)

    def may_stay(self, now: float) -> bool:
        """It has an allocation, or had none for a short time only."""
        if self._has_allocation():
            self._since = None
            self._sent = 0
        elif self._since is None:
            self._since = now
        return self._since is None or now - self._since < IDLE_S

    # -- what goes -------------------------------------------------------------------------------------

    def _emit(self, data: Any, where: Any) -> None:
        """A packet of a peer's, padded (RFC 8656 §12.5); dropped when too much waits already."""
        pad = -len(data) & 3
        if len(self._waiting) <= MOST_WAITING_BYTES:
            self._write(bytes(data) + _PADDING[pad] if pad else data)

    def _emit_tls(self, data: Any, where: Any) -> None:
        pad = -len(data) & 3
        if len(self._waiting) <= MOST_WAITING_BYTES:
            self._seal(bytes(data) + _PADDING[pad] if pad else data)

    def _seal(self, data: Any) -> None:
        assert self._tls is not None
        try:
            self._tls.write(data)
        except (ssl.SSLError, OSError):
            self._of.doom(self)
            return
        self._write(self._outgoing.read())

    def _write(self, data: Any) -> None:
        if self._waiting:
            self._waiting += data
            return
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._of.doom(self)
            return
        if sent < len(data):
            self._waiting += data[sent:]
            self._want(IN | OUT)

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._waiting)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._of.doom(self)
            return
        del self._waiting[:sent]
        if not self._waiting:
            self._want(IN)

    def _want(self, events: int) -> None:
        if self._wants != events:
            self._wants = events
            with contextlib.suppress(OSError):  # a handshake that waits for its turn is not watched
                self._of.loop.change(self._sock.fileno(), events)

    # -- the end ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close it, with its allocation."""
        self._of.loop.remove(self._sock.fileno())
        if self._five_tuple is not None:
            self._of.control.client_gone(self._five_tuple, self._of.loop.now)
            self._of.plane.remove_stream(self._five_tuple)
        if self._secure and self._tls is not None and not self._waiting:
            with contextlib.suppress(ssl.SSLError, OSError):
                self._say_goodbye(self._tls)
        self._sock.close()

    def _say_goodbye(self, tls: ssl.SSLObject) -> None:
        """close_notify, without waiting for the client's."""
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        self._sock.send(self._outgoing.read())


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """As the one port has it (`transport.tls`), for `stun.turn` only. Raises OSError (ssl.SSLError is one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.set_alpn_protocols(["stun.turn"])
    context.options |= (
        ssl.OP_CIPHER_SERVER_PREFERENCE
        | ssl.OP_NO_COMPRESSION
        | ssl.OP_NO_RENEGOTIATION
        | ssl.OP_SINGLE_ECDH_USE
        | ssl.OP_NO_TICKET
    )
    context.num_tickets = 0
    context.load_cert_chain(certificate, key, password="")
    return context
