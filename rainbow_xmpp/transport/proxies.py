"""Load balancers in front of this server, which say whose connections they bring."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable
from functools import lru_cache

from rainbow_xmpp.transport.proxy_header import FIXED_BYTES, Arrival, BadHeader, arrival_of, body_length

log = logging.getLogger(__name__)

HEADER_S = 5.0
"""So long a load balancer has for its header, which it sends at once."""
MOST_WAITING = 1024
"""Connections whose header is not there yet: a load balancer that went wrong takes no more than these."""
_WARN_EVERY_S = 60.0


class Proxies:
    """Takes the header off connections that come from these networks; from others none is looked for."""

    def __init__(
        self,
        networks: Iterable[str],
        accept: Callable[[socket.socket, Arrival], None],
        *,
        needs_tls: bool = False,
    ) -> None:
        """`accept` is called with each connection that has a good header, which is gone from it then.

        `needs_tls`: only connections whose client had TLS with the load balancer are let in, and its own checks.
        """
        known = [ipaddress.ip_network(network) for network in networks]
        self.expects = lru_cache(maxsize=1024)(lambda address: _is_in(known, address))
        """Must connections from this address have a header?"""
        self._accept = accept
        self._needs_tls = needs_tls
        self._waiting: dict[socket.socket, _Header] = {}
        self._warned_at = -_WARN_EVERY_S

    def read(self, sock: socket.socket, address: str, port: int) -> None:
        """Read the header now, or when it comes, which must be soon."""
        if len(self._waiting) >= MOST_WAITING:
            sock.close()
            return
        sock.setblocking(False)
        header = _Header(address, port)
        if not self._is_done(sock, header):
            loop = asyncio.get_running_loop()
            self._waiting[sock] = header
            header.timer = loop.call_later(HEADER_S, self._give_up, sock)
            loop.add_reader(sock, self._go_on, sock)

    def close(self) -> None:
        """Wait for no header any more."""
        for sock in list(self._waiting):
            self._give_up(sock)

    def _go_on(self, sock: socket.socket) -> None:
        header = self._waiting[sock]
        asyncio.get_running_loop().remove_reader(sock)
        if self._is_done(sock, header):
            self._wait_no_more(sock)
        else:
            asyncio.get_running_loop().add_reader(sock, self._go_on, sock)

    def _is_done(self, sock: socket.socket, header: _Header) -> bool:
        """The header is whole, and the connection handed over, or there is none, and it is closed."""
        try:
            while header.missing:
                part = sock.recv(header.missing)
                if not part:
                    sock.close()  # a check whether the port is open, by the look of it
                    return True
                header.add(part)
            arrival = header.arrival()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            sock.close()
            return True
        except BadHeader as bad:
            self._refuse(sock, f"no header of the PROXY protocol, version 2 ({bad})")
            return True
        if self._needs_tls and not (arrival.had_tls or arrival.is_check):
            self._refuse(sock, "a header that does not say that the client came by TLS (send-proxy-v2-ssl)")
        else:
            self._accept(sock, arrival)
        return True

    def _refuse(self, sock: socket.socket, why: str) -> None:
        sock.close()
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = now
            log.warning("a connection from a load balancer (listen.proxy_from) was refused: it has %s", why)

    def _give_up(self, sock: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(sock)
        self._wait_no_more(sock)
        sock.close()

    def _wait_no_more(self, sock: socket.socket) -> None:
        timer = self._waiting.pop(sock).timer
        if timer is not None:
            timer.cancel()


class _Header:
    """What has come of one."""

    __slots__ = ("_address", "_data", "_port", "missing", "timer")

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port
        self._data = b""
        self.missing = FIXED_BYTES
        """So many bytes are its own, as far as it is known: not one behind the header may be read."""
        self.timer: asyncio.TimerHandle | None = None

    def add(self, part: bytes) -> None:
        self._data += part
        self.missing = max(FIXED_BYTES + body_length(self._data), FIXED_BYTES) - len(self._data)

    def arrival(self) -> Arrival:
        return arrival_of(self._data, self._address, self._port)


def _is_in(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network], address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks)
