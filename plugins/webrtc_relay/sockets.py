"""The relay's own port, and the addresses on which relayed ports live."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address

from rainbow_xmpp.errors import RainbowError

UDP_BUFFER_BYTES = 4 << 20
"""As far as the system allows it (`net.core.rmem_max`): bursts of many calls wait here."""
BACKLOG = 512
TRIES = 20
"""For a port of the system's choice (0), which must be free for UDP and TCP."""
_SOMEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Documentation addresses: the way there is the default route. Nothing is sent."""


class CannotRelay(RainbowError):
    """The relay cannot begin as it is configured; says which key, and what to write."""


class RelaySockets:
    """The sockets of the relay's own port, UDP and TCP."""

    def __init__(self) -> None:
        self.udp: list[socket.socket] = []
        self.tcp: list[socket.socket] = []

    def open(self, address: str, port: int) -> None:
        """Listen there; `::` is every address of both families. Raises CannotRelay."""
        addresses = ["::", "0.0.0.0"] if ip_address(address) == ip_address("::") else [address]  # noqa: S104
        for tries in reversed(range(1 if port else TRIES)):
            try:
                self._open_all(addresses, port)
                return
            except OSError as error:
                self.close()
                if not tries:
                    reason = (error.strerror or str(error)).lower()
                    raise CannotRelay(
                        f"port {port} on {address} (plugins.webrtc_relay.port) cannot be opened: {reason}"
                    ) from None

    @property
    def port(self) -> int:
        """The port it really is."""
        return int(self.udp[0].getsockname()[1])

    def close(self) -> None:
        """This process's descriptors of them."""
        for sock in (*self.udp, *self.tcp):
            sock.close()
        self.udp, self.tcp = [], []

    def _open_all(self, addresses: Iterable[str], port: int) -> None:
        for each in addresses:
            try:
                self._open(each, port)
            except OSError:
                if each != "::":  # a host without IPv6
                    raise

    def _open(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.append(udp)
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UDP_BUFFER_BYTES)
        udp.bind((address, port))
        where = (address, udp.getsockname()[1])
        self.tcp.append(socket.create_server(where, family=family, backlog=BACKLOG))


def relay_ips(relay_address: str, external_address: str) -> list[tuple[str, str]]:
    """Where relayed ports live, and what clients are told. 0.0.0.0 and :: are the address of the default route.

    Raises CannotRelay where there is none.
    """
    address = ip_address(relay_address)
    if address.is_unspecified:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        found = address_of_default_route(family)
        if found is None:
            raise CannotRelay(
                f"plugins.webrtc_relay.relay_address is {relay_address}, and this machine has no default route: "
                "write the address on which peers can reach it"
            )
        relay_address = found
    elif not is_own(relay_address):
        raise CannotRelay(
            f"plugins.webrtc_relay.relay_address is {relay_address}, which this machine does not have. Behind a NAT, "
            'and in a container, write relay_address = "0.0.0.0" and external_address = the address outside'
        )
    return [(relay_address, external_address or relay_address)]


def address_of_default_route(family: socket.AddressFamily) -> str | None:
    """From which address packets to far away leave; None when there is no way there."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((_SOMEWHERE[family], 9))
        found = str(sock.getsockname()[0])
        return None if ip_address(found).is_unspecified else found
    return None


def is_own(address: str) -> bool:
    """This machine has the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        return True
    return False
