"""The relay as it runs: its process, started as the server starts it, with clients over UDP, TCP and TLS.

Nothing here waits long for silence: the relay is one loop, so what was sent before two Binding requests of somebody
else has been dealt with when both are answered. A kernel under load may deliver a little later: QUIET_S.
"""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import ssl
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rainbow_xmpp.plugins.webrtc_relay import stun, wire
from rainbow_xmpp.plugins.webrtc_relay.credentials import password_of
from rainbow_xmpp.plugins.webrtc_relay.sockets import RelaySockets, is_own
from rainbow_xmpp.plugins.webrtc_relay.stun import Address
from rainbow_xmpp.plugins.webrtc_relay.supervisor import start_child
from tests.plugins.webrtc_relay.turn_client import Credential, TurnClient

SECRET = b"a secret of the relay that tests know"
NO_LIMIT = 1_000_000
PATIENCE_S = 10.0
QUIET_S = 0.03


class RunningRelay:
    """One process. `said` is what it has reported."""

    def __init__(self, certificate: Path | str = "", key: Path | str = "", **settings: Any) -> None:
        self.sockets = RelaySockets()
        self.sockets.open("127.0.0.1", 0)
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.door, their_door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process: subprocess.Popen[bytes] = start_child(theirs, their_door, self.sockets)
        theirs.close()
        their_door.close()
        limits = {"unauthenticated_per_second": NO_LIMIT} | settings.pop("limits", {})
        self.settings = wire.RelaySettings(
            **{
                "realm": "example.org",
                "relays": [("127.0.0.1", "127.0.0.1")] + ([("::1", "::1")] if is_own("::1") else []),
                "first_port": 49152,
                "last_port": 65535,
                "secrets": [SECRET],
                "certificate": str(certificate),
                "key": str(key),
                "allow": ["127.0.0.2", "127.0.0.3", "::1"],
                "limits": limits,
            }
            | settings
        )
        self.said: list[wire.Up] = []
        self._unpacker = wire.Unpacker()
        self.tell(self.settings)
        self.wait_for(wire.RelayReady)
        self._helper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._helper.bind(("127.0.0.9", 0))
        self._helper.settimeout(PATIENCE_S)

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.sockets.port)

    def tell(self, message: Any) -> None:
        self.line.sendall(wire.packed(message))

    def wait_for(self, kind: type[Any]) -> Any:
        """The first report of this kind that was not asked for before."""
        until = time.monotonic() + PATIENCE_S
        while True:
            for message in self.said:
                if isinstance(message, kind):
                    self.said.remove(message)
                    return message
            self.line.settimeout(max(0.01, until - time.monotonic()))
            data = self.line.recv(65_536)
            assert data, "the relay has ended"
            self.said += map(wire.up_decoder.decode, self._unpacker.feed(data))

    def settle(self) -> None:
        """What was sent to it has been dealt with when this returns."""
        for _ in range(2):
            transaction = os.urandom(12)
            self._helper.sendto(stun.encode(stun.BINDING, stun.REQUEST, transaction), self.address)
            assert stun.decode(self._helper.recv(2048)).transaction == transaction

    def ends(self) -> int:
        """Its exit code, when it has ended by itself."""
        return self.process.wait(PATIENCE_S)

    def stop(self) -> None:
        self.line.close()
        self.door.close()
        self.sockets.close()
        self._helper.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            raise


class DatagramWire:
    """A client over UDP."""

    is_stream = False

    def __init__(self, relay: RunningRelay, ip: str = "127.0.0.1") -> None:
        self._relay = relay
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((ip, 0))
        self._sock.connect(relay.address)
        self._sock.setblocking(False)
        self.client: Address = self._sock.getsockname()
        self.inbox: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        self._sock.send(data)

    def _take_in(self) -> None:
        self._relay.settle()
        waits_s = 0.0 if self.inbox else QUIET_S
        while select.select([self._sock], [], [], waits_s)[0]:
            waits_s = 0.0
            self.inbox.append(self._sock.recv(65_536))

    def transact(self, data: bytes) -> bytes | None:
        self.send(data)
        self._take_in()
        for each in self.inbox:
            if each[0] < 4 and each[0] & 1 and each[8:20] == data[8:20]:
                self.inbox.remove(each)
                return each
        return None

    def receive(self) -> bytes | None:
        self._take_in()
        return self.inbox.popleft() if self.inbox else None

    def close(self) -> None:
        self._sock.close()


class StreamWire(DatagramWire):
    """A client over TCP, or TLS."""

    is_stream = True
    quiet_s = QUIET_S

    def __init__(
        self, relay: RunningRelay, context: ssl.SSLContext | None = None, sock: socket.socket | None = None
    ) -> None:
        self._relay = relay
        plain = sock or socket.create_connection(relay.address, PATIENCE_S)
        self._sock = plain if context is None else context.wrap_socket(plain, server_hostname="localhost")
        self._sock.settimeout(PATIENCE_S)
        if sock is None:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = self._sock.getsockname() if sock is None else ("127.0.0.1", 1)
        self.inbox = deque()
        self.is_closed = False
        """By the relay."""
        self._held = b""

    def send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            self.is_closed = True

    def _take_in(self) -> None:
        self._relay.settle()
        self._sock.settimeout(0.001 if self.inbox else self.quiet_s)
        try:
            while data := self._sock.recv(65_536):
                self._held += data
                for frame in self._frames():
                    self.inbox.append(frame)
                    self._sock.settimeout(0.001)
            self.is_closed = True
        except TimeoutError:
            pass
        except OSError:
            self.is_closed = True
        finally:
            self._sock.settimeout(PATIENCE_S)

    def _frames(self) -> Iterator[bytes]:
        while len(self._held) >= 4:
            length = int.from_bytes(self._held[2:4], "big")
            total = 4 + (length + 3 & ~3) if self._held[0] >= 0x40 else 20 + length
            if len(self._held) < total:
                return
            frame, self._held = self._held[:total], self._held[total:]
            yield frame


class RunningPeer:
    """Somebody with a UDP socket."""

    def __init__(self, relay: RunningRelay, ip: str) -> None:
        self._relay = relay
        self._sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((ip, 0))
        self._sock.setblocking(False)
        self.address: Address = self._sock.getsockname()[:2]

    def send(self, relay: Address, data: bytes) -> None:
        self._sock.sendto(data, relay)
        self._relay.settle()  # or a permission that is asked for next may be there first

    def receive(self) -> tuple[Address, bytes] | None:
        self._relay.settle()
        if not select.select([self._sock], [], [], QUIET_S)[0]:
            return None
        data, source = self._sock.recvfrom(65_536)
        return source[:2], data

    def close(self) -> None:
        self._sock.close()


class RunningWorld:
    """See `checks.World`. Each has users of its own, so that many can share one relay."""

    has_clock = False
    peer_ip, other_peer_ip, peer_ipv6 = "127.0.0.2", "127.0.0.3", "::1"
    denied_peer = ("10.0.0.1", 4000)
    _worlds = itertools.count()

    def __init__(self, relay: RunningRelay, transport: str = "udp", ca: Path | None = None) -> None:
        self.relay = relay
        self.has_ipv6 = is_own("::1")
        self._transport = transport
        self._context = None if transport != "tls" else ssl.create_default_context(cafile=ca)
        if self._context is not None:
            self._context.set_alpn_protocols(["stun.turn"])
        self._number = next(self._worlds)
        self._open: list[DatagramWire | RunningPeer] = []

    def wire(self) -> DatagramWire:
        made = DatagramWire(self.relay) if self._transport == "udp" else StreamWire(self.relay, self._context)
        self._open.append(made)
        return made

    def credential(self, userid: str = "acme-ann", ttl_s: int = 36_000, secret: bytes = SECRET) -> Credential:
        company, _, person = userid.partition("-")
        username = f"{int(time.time()) + ttl_s}:{company}{self._number}-{person}"
        return Credential(username, password_of(secret, username))

    def client(self, userid: str = "acme-ann", *, ttl_s: int = 36_000) -> TurnClient:
        return TurnClient(self.wire(), self.credential(userid, ttl_s))

    def peer(self, ip: str | None = None) -> RunningPeer:
        peer = RunningPeer(self.relay, ip or self.peer_ip)
        self._open.append(peer)
        return peer

    def advance(self, seconds: float) -> None:
        raise AssertionError("a relay that runs has the clock of this machine")

    def close(self) -> None:
        for each in self._open:
            each.close()
