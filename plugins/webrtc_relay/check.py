"""`check turn`: the relay as a client far away finds it, with fresh credentials over each transport.

Two clients allocate and one sends a packet to the other through both of their relays; then, where the relay lets it, a
packet comes to a relayed port from outside.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address

from rainbow_xmpp.cli.development import authority_for
from rainbow_xmpp.config import Config
from rainbow_xmpp.plugin.offers_relay import Look
from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.addresses import RelayAddress, addresses_of_own
from rainbow_xmpp.plugins.webrtc_relay.credentials import issue
from rainbow_xmpp.plugins.webrtc_relay.options import RelayOptions
from rainbow_xmpp.plugins.webrtc_relay.stun import Address

PATIENCE_S = 3.0
UDP_TRIES = 3
LIFETIME_S = 600
USERID = "check-check"
_REQUESTED_UDP = (stun.REQUESTED_TRANSPORT, b"\x11\0\0\0")
_CHANNEL = 0x4000


class Failed(Exception):
    """What is wrong, and what to do about it, in an administrator's words."""


class OutsideClient:
    """A TURN client over one of the ways to the relay. Raises Failed."""

    def __init__(self, where: RelayAddress, secret: bytes) -> None:
        self._where = where
        credential = issue(secret, USERID, int(time.time()) + LIFETIME_S)
        self._login: list[stun.Attribute] = [(stun.USERNAME, credential.username.encode())]
        self._credential = credential
        self._key: bytes | None = None
        self._held = b""
        self._sock = self._connected()

    def allocate(self) -> Address:
        """The relayed address."""
        challenge = self._ask(stun.ALLOCATE, [_REQUESTED_UDP])
        realm, nonce = challenge.get(stun.REALM), challenge.get(stun.NONCE)
        if _code(challenge) != 401 or realm is None or nonce is None:
            raise Failed(
                f"it answers an Allocate without credentials with {_code(challenge)}, and not with 401"
            )
        self._login += [(stun.REALM, realm), (stun.NONCE, nonce)]
        self._key = stun.long_term_key(self._credential.username, realm.decode(), self._credential.password)
        answer = self._ask(stun.ALLOCATE, [_REQUESTED_UDP])
        match _code(answer):
            case 0:
                value = answer.get(stun.XOR_RELAYED_ADDRESS)
                read = stun.read_xor_address(value, answer.transaction) if value else None
                if read is None:
                    raise Failed("it tells no relayed address")
                return read[1]
            case 401:
                raise Failed("it refuses our credentials: is the secret the same there, is its clock right?")
            case 486 | 508:
                raise Failed(
                    "it has no room for an allocation: look at its limits and the range of its ports"
                )
            case other:
                raise Failed(f"it refuses an allocation with {other}")

    def bind(self, peer: Address) -> int:
        """A channel to this peer; 0, or the error code."""
        transaction = os.urandom(12)
        number = (stun.CHANNEL_NUMBER, _CHANNEL.to_bytes(2, "big") + b"\0\0")
        address = (stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction))
        return _code(self._ask(stun.CHANNEL_BIND, [number, address], transaction))

    def permit(self, peer: Address) -> int:
        """0, or the error code."""
        transaction = os.urandom(12)
        address = (stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction))
        return _code(self._ask(stun.CREATE_PERMISSION, [address], transaction))

    def send(self, data: bytes) -> None:
        """By the channel; `data` has a multiple of four bytes."""
        self._sock.sendall(_CHANNEL.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data)

    def gets(self, data: bytes) -> bool:
        """Does this come from a peer?"""
        with suppress(OSError):
            while True:
                if data in self._frame():
                    return True
        return False

    def close(self) -> None:
        """With its allocation."""
        with suppress(Failed, OSError):
            if self._key is not None:
                self._ask(stun.REFRESH, [stun.u32(stun.LIFETIME, 0)])
        self._sock.close()

    def _connected(self) -> socket.socket:
        host, port, over = self._where.host, self._where.port, self._where.transport.upper()
        kind = socket.SOCK_DGRAM if over == "UDP" else socket.SOCK_STREAM
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
            sock = socket.socket(family, kind)
            sock.settimeout(PATIENCE_S)
            sock.connect(address)
            if self._where.kind == "turns":
                context = ssl.create_default_context(cafile=authority_for(host))
                context.set_alpn_protocols(["stun.turn"])
                sock = context.wrap_socket(sock, server_hostname=host)
        except socket.gaierror:
            raise Failed(f"{host} has no address: publish one (check dns)") from None
        except ssl.SSLCertVerificationError as error:
            raise Failed(
                f"clients will not believe its certificate ({error.verify_message}): see check certs"
            ) from None
        except ssl.SSLError:
            raise Failed(
                f"there is no TLS on port {port}, or none for the relay: is tls.certificate right?"
            ) from None
        except OSError as error:
            reason = (error.strerror or "no answer").lower()
            raise Failed(f"no connection to {over} port {port} ({reason}): {_to_open(over, port)}") from None
        return sock

    def _ask(
        self, method: int, attributes: list[stun.Attribute], transaction: bytes | None = None
    ) -> stun.Message:
        transaction = transaction or os.urandom(12)
        login = self._login if self._key is not None else []
        request = stun.encode(method, stun.REQUEST, transaction, [*attributes, *login], key=self._key)
        for _ in range(UDP_TRIES if self._where.transport == "udp" else 1):
            with suppress(TimeoutError, ConnectionRefusedError):
                self._sock.sendall(request)
                while True:
                    frame = self._frame()
                    with suppress(stun.NotStun):
                        message = stun.decode(frame)
                        if message.transaction == transaction:
                            return message
        over, port = self._where.transport.upper(), self._where.port
        raise Failed(f"no answer over {over} from port {port}: {_to_open(over, port)}")

    def _frame(self) -> bytes:
        if self._where.transport == "udp":
            return self._sock.recv(65_536)
        while True:
            held = self._held
            if len(held) >= 4:
                length = int.from_bytes(held[2:4], "big")
                end = 4 + (length + 3 & ~3) if held[0] >= 0x40 else stun.HEADER + length
                if len(held) >= end:
                    self._held = held[end:]
                    return held[:end]
            more = self._sock.recv(65_536)
            if not more:
                raise TimeoutError
            self._held += more


def look(config: Config, options: RelayOptions) -> Iterator[Look]:
    """Everything clients are told of, one way after the other."""
    if not options.secret:
        yield Look(None, "there is no relay: plugins.webrtc_relay.secret is not set")
        return
    addresses = [RelayAddress.parse(entry) for entry in options.services]
    if not addresses:
        own = addresses_of_own(config.public_url, options.port)
        addresses = [*own, RelayAddress("turns", own[0].host, options.port, "tcp")]
    for where in addresses:
        if where.needs_credentials:
            yield from _one(where, options)


def _one(where: RelayAddress, options: RelayOptions) -> Iterator[Look]:
    with ExitStack() as stack:
        try:
            clients = [OutsideClient(where, options.secrets[0]) for _ in range(2)]
            for client in clients:
                stack.callback(client.close)
            one, two = (client.allocate() for client in clients)
            yield Look(True, f"{where.uri} allocates: relayed address {one[0]}")
            yield from _relayed(clients, one, two, where)
            yield from _from_outside(clients[0], one, where, options)
        except (Failed, OSError) as error:
            yield Look(False, f"{where.uri}: {error}")


def _relayed(clients: list[OutsideClient], one: Address, two: Address, where: RelayAddress) -> Iterator[Look]:
    payload = os.urandom(16)
    codes = clients[0].bind(two), clients[1].bind(one)
    if any(codes):
        yield Look(
            False, f"{where.uri} refuses that two callers meet in it ({max(codes)}): look at its deny list"
        )
        return
    for _ in range(UDP_TRIES):
        clients[0].send(payload)
        if clients[1].gets(payload):
            yield Look(True, f"{where.uri} relays a packet from one caller to another")
            return
    yield Look(False, f"{where.uri} does not relay a packet from one caller to another")


def _from_outside(
    client: OutsideClient, relay: Address, where: RelayAddress, options: RelayOptions
) -> Iterator[Look]:
    """A peer that is no client of the relay: does its packet reach a relayed port?"""
    ports = f"{options.first_relay_port} to {options.last_relay_port}"
    told = ip_address(relay[0])
    if not told.is_global and _is_public(where.host):
        yield Look(
            False,
            f"{where.uri} tells clients the relayed address {relay[0]}, which nobody outside reaches: "
            "set plugins.webrtc_relay.external_address",
        )
        return
    with socket.socket(socket.AF_INET6 if ":" in relay[0] else socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(relay)
        mine = peer.getsockname()[:2]
        if mine[0] == relay[0] or client.permit(mine):
            yield Look(
                None,
                f"{where.uri}: whether packets from outside reach UDP ports {ports} was not tried, since the relay "
                f"speaks with no {mine[0]}; run this from a machine with a public address",
            )
            return
        payload = os.urandom(16)
        for _ in range(UDP_TRIES):
            peer.send(payload)
            if client.gets(payload):
                yield Look(True, f"{where.uri}: packets from outside reach its relayed ports")
                return
    yield Look(
        False,
        f"{where.uri}: packets from outside do not reach its relayed ports; open UDP {ports} for everybody",
    )


def _is_public(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None)[0][4][0]
    except OSError:
        return False
    return ip_address(found).is_global


def _code(message: stun.Message) -> int:
    """Of an error response; 0 for success."""
    value = message.get(stun.ERROR_CODE) if message.cls == stun.ERROR else None
    return value[2] * 100 + value[3] if value is not None and len(value) >= 4 else 0


def _to_open(over: str, port: int) -> str:
    return (
        f"does the server run, and listen on an address that others reach (plugins.webrtc_relay.address)? "
        f"Its log says so when something else has the port. Then open {over} port {port} in the firewall, and "
        f"forward it where a NAT stands before"
    )
