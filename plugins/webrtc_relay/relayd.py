"""The relay's process: control plane, data plane and streams on one loop, and the line to the server that started it.

It ends when that line does, so it never outlives the server; see `supervisor` for the other end.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from rainbow_xmpp.plugins.webrtc_relay.budgets import Rates
from rainbow_xmpp.plugins.webrtc_relay.certificate import CertificateFiles
from rainbow_xmpp.plugins.webrtc_relay.control import (
    Control,
    FiveTuple,
    Limits,
    RelayIp,
    Settings,
    Traffic,
)
from rainbow_xmpp.plugins.webrtc_relay.dataplane import EpollDataPlane
from rainbow_xmpp.plugins.webrtc_relay.epoll import IN, OUT, Loop
from rainbow_xmpp.plugins.webrtc_relay.packets import Packets, listener_reader
from rainbow_xmpp.plugins.webrtc_relay.peers import PeerPolicy, interface_addresses
from rainbow_xmpp.plugins.webrtc_relay.relays import Listener
from rainbow_xmpp.plugins.webrtc_relay.streams import Streams
from rainbow_xmpp.plugins.webrtc_relay.wire import (
    CloseCompany,
    CloseUser,
    Down,
    DrainRelay,
    RelayClosed,
    RelayFigures,
    RelayLog,
    RelayMoved,
    RelayOpened,
    RelayReady,
    RelaySettings,
    Unpacker,
    down_decoder,
    packed,
    passed_decoder,
)

log = logging.getLogger(__name__)

FIGURES_S = 5
MOVED_S = 10
INTERFACES_S = 60
REPORT_S = 0.02
GC_THRESHOLD = 20_000
"""Allocations are made of some dozens of objects, and end by reference counts; cycles are few."""
TERMINATED_DRAIN_S = 10.0
"""How long calls go on after a SIGTERM that did not come by the line."""
MOST_UNREAD_BYTES = 4 << 20
"""So much waits for a server that is busy; reports beyond are dropped."""


class Line:
    """The socket to the server."""

    def __init__(self, sock: socket.socket, loop: Loop) -> None:
        self._sock = sock
        self._loop = loop
        self._unpacker = Unpacker()
        self._unread = bytearray()
        self._is_waiting = False
        """For its time, or for the server to read."""
        self.lost = 0
        """Reports that were dropped."""

    def first(self) -> Down:
        """Waits for the first message. Raises EOFError when there is no server any more."""
        self._sock.setblocking(True)
        while True:
            data = self._sock.recv(65_536)
            if not data:
                raise EOFError
            for body in self._unpacker.feed(data):
                return down_decoder.decode(body)

    def received(self) -> list[Down]:
        """What has come. Raises EOFError when the server is gone."""
        try:
            data = self._sock.recv(65_536)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            data = b""
        if not data:
            raise EOFError
        return [down_decoder.decode(body) for body in self._unpacker.feed(data)]

    def tell(self, message: Struct) -> None:
        """Say something, soon, without waiting. Reports go together: a system call for each would cost too much."""
        if len(self._unread) > MOST_UNREAD_BYTES:
            self.lost += 1
            return
        self._unread += packed(message)
        if not self._is_waiting:
            self._is_waiting = True
            self._loop.at(self._loop.now + REPORT_S, self._say)

    def _say(self) -> None:
        self.flush()
        self._is_waiting = bool(self._unread)
        if self._unread:
            self._loop.change(self._sock.fileno(), IN | OUT)

    def flush(self) -> None:
        """Say what waits."""
        try:
            del self._unread[: self._sock.send(self._unread)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unread.clear()  # the server is gone, which reading tells

    def writable(self) -> None:
        """The server reads again."""
        self.flush()
        if not self._unread:
            self._is_waiting = False
            self._loop.change(self._sock.fileno(), IN)


class Relayd:
    """One relay. Made from its sockets and the first settings; `run` serves until it is told to end."""

    def __init__(
        self,
        line: socket.socket,
        door: socket.socket,
        udp: Sequence[socket.socket],
        tcp: Sequence[socket.socket],
    ) -> None:
        self.loop = loop = Loop()
        self.line = Line(line, loop)
        self._door = door
        first = self.line.first()
        assert isinstance(first, RelaySettings)
        self._settings = first
        self._packets = Packets()
        self._plane = EpollDataPlane(loop, self._packets, rates_of(first))
        self._interfaces = interface_addresses()
        self._control = Control(
            settings_of(first), self._policy(), first.secrets, self._plane, self, wall=time.time
        )
        self._streams = Streams(loop, self._packets, self._plane, self._control)
        self._certificate = CertificateFiles(first.certificate, first.key)
        self._refused: Counter[str] = Counter()
        self._ends_at: float | None = None
        self._ticks = 0
        self._is_terminated = False
        self._apply_to_streams()
        self._revoke()
        for sock in udp:
            self._listen(sock)
        for sock in tcp:
            self._streams.listen(sock)
        line.setblocking(False)
        loop.add(line.fileno(), self._line_ready)
        door.setblocking(False)
        loop.add(door.fileno(), self._door_ready)
        signal.signal(signal.SIGTERM, self._terminated)

    def run(self) -> None:
        """Serve. What was made up to now stays, so the collector need not look at it again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        self.line.tell(RelayReady(os.getpid()))
        self.loop.run(self._tick)
        self._control.close_all(self.loop.now)
        self._report()
        self._streams.close()
        self.line.flush()

    # -- control.Reports -------------------------------------------------------------------------------

    def opened(self, userid: str, client: FiveTuple) -> None:
        self.line.tell(RelayOpened(userid, client.transport))

    def closed(self, userid: str, client: FiveTuple, seconds: float, traffic: Traffic, reason: str) -> None:
        self._report_moved()
        self.line.tell(
            RelayClosed(userid, client.transport, seconds, traffic.bytes_in, traffic.bytes_out, reason)
        )

    def refused(self, kind: str) -> None:
        self._refused[kind] += 1

    # -- the line --------------------------------------------------------------------------------------

    def _line_ready(self, events: int) -> None:
        if events & OUT:
            self.line.writable()
        try:
            for message in self.line.received():
                self._obey(message)
        except EOFError:
            self.loop.stop()

    def _obey(self, message: Down) -> None:
        now = self.loop.now
        match message:
            case RelaySettings():
                self._take(message)
            case CloseUser(userid, until):
                self._control.close_user(userid, until, now)
            case CloseCompany(company, until):
                self._control.close_company(company, until, now)
            case DrainRelay(seconds):
                self._drain(seconds)

    def _take(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._control.configure(settings_of(settings), self.loop.now)
        self._control.set_secrets(settings.secrets)
        self._control.set_policy(self._policy(), self.loop.now)
        self._plane.configure(rates_of(settings))
        self._certificate.use(settings.certificate, settings.key)
        self._apply_to_streams()
        self._revoke()

    def _apply_to_streams(self) -> None:
        settings, limits = self._settings, self._streams.limits
        limits.connections = settings.connections
        limits.per_address = settings.connections_per_address
        limits.handshakes_per_second = settings.handshakes_per_second
        self._streams.context = self._certificate.context

    def _revoke(self) -> None:
        for userid, until in self._settings.revoked.items():
            close = self._control.close_user if "-" in userid else self._control.close_company
            close(userid, until, self.loop.now)

    def _drain(self, seconds: float) -> None:
        self._control.drain()
        self._ends_at = self.loop.now + seconds
        self._streams.listen_no_more()
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._ends_at is not None and (not self._control.allocations or self.loop.now >= self._ends_at):
            self.loop.stop()

    # -- clients ---------------------------------------------------------------------------------------

    def _listen(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        listener = Listener(sock, self._control.handle)
        self._plane.add_listener(listener)
        self.loop.add(sock.fileno(), listener_reader(listener, sock, self._packets, self.loop))

    def _door_ready(self, events: int) -> None:
        """Connections to the one port that are the relay's."""
        for _ in range(16):
            try:
                data, fds, _, _ = socket.recv_fds(self._door, 4096, 4)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                self.loop.remove(self._door.fileno())
                return
            for fd in fds[1:]:
                os.close(fd)
            if fds:
                passed = passed_decoder.decode(data)
                sock = socket.socket(fileno=fds[0])
                if self._ends_at is not None:
                    sock.close()
                    continue
                self._streams.take(sock, passed.client, passed.server, is_clear=passed.is_clear)

    # -- time ------------------------------------------------------------------------------------------

    def _terminated(self, number: int, frame: object) -> None:
        self._is_terminated = True

    def _tick(self, now: float) -> None:
        self._ticks += 1
        if self._is_terminated and self._ends_at is None:
            self._drain(TERMINATED_DRAIN_S)
        self._control.sweep(now)
        self._streams.sweep(now)
        self._plane.look()
        if self._ticks % FIGURES_S == 0:
            self._report_figures()
        if self._ticks % MOVED_S == 0:
            self._report_moved()
        if self._ticks % INTERFACES_S == 0:
            self._look_around(now)
        self._end_if_over()

    def _look_around(self, now: float) -> None:
        """Addresses of this host and files of the certificate change without a word."""
        found = interface_addresses()
        if found != self._interfaces:
            self._interfaces = found
            self._control.set_policy(self._policy(), now)
        if self._certificate.look():
            self._streams.context = self._certificate.context

    def _report(self) -> None:
        self._report_moved()
        self._report_figures()

    def _report_moved(self) -> None:
        entries = [entry for entry in self._plane.moved() if entry[2] or entry[3]]
        if entries:
            self.line.tell(RelayMoved(entries))

    def _report_figures(self) -> None:
        refused, self._refused = dict(self._refused), Counter()
        self.line.tell(RelayFigures(self._control.allocations, len(self._streams.open), refused))

    def _policy(self) -> PeerPolicy:
        settings = self._settings
        return PeerPolicy(
            allow=settings.allow,
            deny=settings.deny,
            own=self._interfaces,
            relay_ips={advertised for _, advertised in settings.relays},
        )


class LineHandler(logging.Handler):
    """Log records become lines of the server's log."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._tell = line.tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(RelayLog(record.levelno, self.format(record)))


def settings_of(settings: RelaySettings) -> Settings:
    """As the control plane needs them."""
    return Settings(
        realm=settings.realm,
        relays=tuple(RelayIp(ip, advertised) for ip, advertised in settings.relays),
        first_port=settings.first_port,
        last_port=settings.last_port,
        limits=Limits(**settings.limits, company_allocations=settings.company_allocations),
    )


def rates_of(settings: RelaySettings) -> Rates:
    """As the data plane needs them."""
    return Rates(settings.allocation_rate, settings.company_rate, settings.total_rate, settings.company_rates)
