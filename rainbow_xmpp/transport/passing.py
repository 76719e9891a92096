"""Connections for another region, passed on unread: which region, the client's hello says (RFC 6066 §3).

The keys are there and not here, so nothing is seen but addresses and times. Where a connection goes stands in the
configuration only; a client chooses among that and names no address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rainbow_xmpp.auth.throttle import source_of
from rainbow_xmpp.config import Config
from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.transport.client_hello import server_name
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.proxy_header import Arrival
from rainbow_xmpp.transport.reading import Reading

log = logging.getLogger(__name__)

CONNECT_S = 5.0
"""So long a region may take to answer a connection."""
HIGH_BYTES = 65_536
"""More than this may not wait in one direction: nothing more is read then of who sends it."""
HALF_CLOSED_S = 60
"""Of a connection that one side has ended, the other may go on so long in silence."""
SWEEP_S = 5.0
DEFAULT_PORT = 443

_PROXY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY_VERSION_2_COMMAND_PROXY = 0x21
_TCP_OVER_IPV4, _TCP_OVER_IPV6 = 0x11, 0x21


@dataclass(frozen=True, slots=True)
class Way:
    """How a region is reached from other servers."""

    region: str
    name: str
    """The host that its certificate names."""
    addresses: tuple[tuple[str, int], ...]
    proxy: bool
    """It is told by the PROXY protocol whose connection it gets."""

    @classmethod
    def to(cls, name: str, region: Region) -> Way:
        addresses = tuple(map(_address, region.upstreams or region.hosts))
        return cls(name, _address(region.hosts[0])[0], addresses, region.proxy)

    def in_any_order(self) -> list[tuple[str, int]]:
        """The addresses, so that each server of a region gets as many connections as the others."""
        return secrets.SystemRandom().sample(self.addresses, len(self.addresses))


class Passages:
    """Every connection that is passed on from here."""

    def __init__(self, ways: Mapping[str, Way], links: LinkShared, *, most: int) -> None:
        """`ways` by the host that clients ask for; `most` connections at a time."""
        self._ways = ways
        self._links = links
        self._most = most
        self._open: set[_Passage] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def take(self, first: bytes, sock: socket.socket, arrival: Arrival) -> bool:
        """Pass this connection on if its hello asks for another region's host; the caller closes its descriptor."""
        way = self._ways.get(server_name(first))
        if way is None:
            return False
        try:
            own = socket.socket(fileno=sock.detach())
        except OSError:
            return False
        passage = _Passage(way, own, arrival, self)
        if len(self._open) >= self._most:
            log.warning("a connection for %s was refused: %d are passed on already", way.region, self._most)
            own.close()
            self._links.counters.connections_refused += 1
            self._links.left(passage.source, was_half_open=True)
            return True
        self._open.add(passage)
        self._links.counters.connections_passed += 1
        task = asyncio.get_running_loop().create_task(passage.begin())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        return True

    @property
    def all_open(self) -> list[_Passage]:
        """Each has `abort`."""
        return list(self._open)

    def close(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        for passage in list(self._open):
            passage.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def _sweep(self) -> None:
        limits = self._links.limits
        # The home asks a silent client whether it is there; where nothing was said since, both have gone.
        silent_s = 2 * (limits.idle_ping_s + limits.ping_timeout_s)
        now = asyncio.get_running_loop().time()
        for passage in list(self._open):
            if now - passage.last_heard > (HALF_CLOSED_S if passage.is_half_closed else silent_s):
                passage.abort()
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep) if self._open else None

    def is_connected(self, passage: _Passage) -> None:
        """Its region has it."""
        self._links.logged_in(passage.source)  # as far as can be told here

    def is_over(self, passage: _Passage, *, was_connected: bool) -> None:
        """Both connections are closed."""
        if passage in self._open:
            self._open.discard(passage)
            self._links.counters.connections_passed -= 1
            self._links.left(passage.source, was_half_open=not was_connected)

    def has_failed(self, way: Way, reason: object) -> None:
        """The region could not be reached."""
        self._links.counters.passages_failed += 1
        log.warning("a connection for %s could not be passed on: %s", way.region, reason)


class _Passage:
    """One client's connection, and the one to its region."""

    def __init__(self, way: Way, sock: socket.socket, arrival: Arrival, all_of_them: Passages) -> None:
        self.source = source_of(arrival.address)
        self._client = (arrival.address, arrival.port)
        self.last_heard = asyncio.get_running_loop().time()
        self.is_half_closed = False
        self._way = way
        self._sock = sock
        self._all = all_of_them
        self._loop = asyncio.get_running_loop()
        self._ends: tuple[_End, ...] = ()

    async def begin(self) -> None:
        try:
            sock = await self._connected()
        except BaseException:
            self._sock.close()
            self._all.is_over(self, was_connected=False)
            raise
        if sock is None:
            self._sock.close()
            self._all.is_over(self, was_connected=False)
            return
        self._all.is_connected(self)
        client, region = _End(self), _End(self)
        client.other, region.other = region, client
        self._ends = (client, region)
        try:
            await self._loop.create_connection(lambda: region, sock=sock)
            await self._loop.connect_accepted_socket(lambda: client, self._sock)
        except OSError:  # either is gone already
            sock.close()
            self._sock.close()
            self.abort()
            self.closed()

    async def _connected(self) -> socket.socket | None:
        """A connection to the region; it has been told whose it is. None where there is no way at the moment."""
        failure: object = None
        for host, port in self._way.in_any_order():
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await self._connected_to(host, port)
            except (OSError, TimeoutError) as error:
                failure = error if str(error) else "no answer in time"
        self._all.has_failed(self._way, failure)
        return None

    async def _connected_to(self, host: str, port: int) -> socket.socket:
        client, server = self._client, self._sock.getsockname()
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure: OSError = OSError("there is no such address")
        for family, kind, protocol, _, address in found:
            if _plain(address) == _plain(server):
                failure = OSError(f"{host}:{port} leads back here; set upstreams of the region")
                continue
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                await self._loop.sock_connect(sock, address)
                if self._way.proxy:
                    await self._loop.sock_sendall(sock, proxy_header(client, server))
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure

    def heard(self) -> None:
        self.last_heard = self._loop.time()

    def abort(self) -> None:
        """End both connections at once."""
        for end in self._ends:
            end.abort()

    def closed(self) -> None:
        """One of them is closed; what the other still has to write is written."""
        if all(end.is_closed for end in self._ends):
            self._all.is_over(self, was_connected=True)


class _End(Reading):
    """One of the two connections: what it says goes to the other."""

    __slots__ = ("_early", "_has_ended", "_passage", "_transport", "is_closed", "other")

    other: _End

    def __init__(self, passage: _Passage) -> None:
        self._passage = passage
        self._transport: Any = None
        self._has_ended = False
        self._early = b""
        """Said before the other was there; no more is read then."""
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=HIGH_BYTES)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.is_closed or self.other.is_closed:
            self._transport.abort()
        elif self.other._transport is not None:
            self.other._catch_up()

    def _catch_up(self) -> None:
        early, self._early = self._early, b""
        if early:
            self.other._transport.write(early)
            self._transport.resume_reading()
        if self._has_ended:
            self.other._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._passage.heard()
        if self.other._transport is None:
            self._early += data
            self._transport.pause_reading()
        else:
            self.other._transport.write(data)

    def eof_received(self) -> bool:
        """It says no more, and may hear still."""
        self._passage.heard()
        self._has_ended = self._passage.is_half_closed = True
        other = self.other
        if other._transport is None:
            return True
        if other.is_closed or other._has_ended:
            other.close()
            return False
        other._transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if not self.other.is_closed and self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.is_closed and self.other._transport is not None:
            self.other._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if exc is None:
            self.other.close()
        else:
            self.other.abort()
        self._passage.closed()

    def close(self) -> None:
        """Once what was said to it is written."""
        if self._transport is not None and not self.is_closed:
            self._transport.close()

    def abort(self) -> None:
        """At once; also where it never came to be."""
        if self._transport is None:
            self.is_closed = True
        elif not self.is_closed:
            self._transport.abort()


def ways_elsewhere(config: Config) -> dict[str, Way]:
    """Where connections go that ask for a host of another region, by that host.

    Not to an edge, which keeps nothing, and never by a host that leads to more than one region, or to this server.
    """
    here = config.home_region
    own = {config.domain, urlsplit(config.public_url).hostname, *_names(config.regions.get(here))}
    ways: dict[str, Way] = {}
    of_several: set[str] = set()
    for name, way in ways_by_region(config).items():
        for host in _names(config.regions[name]):
            if ways.setdefault(host, way) is not way:
                of_several.add(host)
    return {host: way for host, way in ways.items() if host not in own and host not in of_several}


def ways_by_region(config: Config) -> dict[str, Way]:
    """How the other regions that keep data are reached."""
    return {
        name: Way.to(name, region)
        for name, region in config.regions.items()
        if name != config.home_region and region.kind.keeps_data
    }


def proxy_header(client: tuple[Any, ...], server: tuple[Any, ...]) -> bytes:
    """Whose connection this is: version 2 of the PROXY protocol (proxy-protocol.txt §2.2)."""
    addresses = [ipaddress.ip_address(_plain(each)[0]) for each in (client, server)]
    if any(address.version == 6 for address in addresses):
        family = _TCP_OVER_IPV6
        packed = b"".join(
            address.packed if address.version == 6 else ipaddress.IPv6Address(f"::ffff:{address}").packed
            for address in addresses
        )
    else:
        family, packed = _TCP_OVER_IPV4, b"".join(address.packed for address in addresses)
    body = packed + b"".join(int(each[1]).to_bytes(2, "big") for each in (client, server))
    head = bytes((_PROXY_VERSION_2_COMMAND_PROXY, family)) + len(body).to_bytes(2, "big")
    return _PROXY_SIGNATURE + head + body


def _names(region: Region | None) -> Iterable[str]:
    return () if region is None else (_address(host)[0] for host in region.hosts)


def _address(host: str) -> tuple[str, int]:
    """A configured host as those who connect write it."""
    parts = urlsplit(f"//{host}")
    name = parts.hostname or ""
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    return name, parts.port or DEFAULT_PORT


def _plain(address: tuple[Any, ...]) -> tuple[str, int]:
    """Address and port, an IPv4 address as such."""
    ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip), int(address[1])
