"""Where a relay is: the URIs of RFC 7064 (`stun:`) and RFC 7065 (`turn:`), as configured and as clients are told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self
from urllib.parse import urlsplit

from rainbow_xmpp.config.hosts import is_domain

_ENTRY = re.compile(
    r"(?:(?P<region>[a-z0-9-]{1,32})=)?(?P<kind>stuns?|turns?):"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:?]+)(?::(?P<port>[0-9]{1,5}))?(?:\?transport=(?P<transport>udp|tcp))?"
)
_PORTS = {"stun": 3478, "turn": 3478, "stuns": 5349, "turns": 5349}
_MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """One way to one relay."""

    kind: str
    """`stun`, `stuns`, `turn` or `turns`."""
    host: str
    """A domain or an IP address, IPv6 without brackets."""
    port: int
    transport: str
    """`udp` or `tcp`."""
    region: str = ""
    """Whose people are nearest to it; "" for everybody's."""

    @classmethod
    def parse(cls, entry: str) -> Self:
        """From the configuration, `region=uri`. Raises ValueError in an administrator's words."""
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ValueError(
                'write "turn:HOST:PORT?transport=udp", with turns, stun or tcp, and "REGION=" before it'
            )
        kind = found["kind"]
        port = int(found["port"] or _PORTS[kind])
        if not 1 <= port <= _MOST_PORT:
            raise ValueError(f"there is no port {port}")
        if kind.startswith("stun") and found["transport"]:
            raise ValueError(f"a {kind} URI has no transport (RFC 7064)")
        transport = found["transport"] or ("tcp" if kind.endswith("s") else "udp")
        if kind.endswith("s") and transport == "udp":
            raise ValueError("browsers have no DTLS to a relay; turns goes over tcp")
        return cls(kind, _host(found["host"]), port, transport, found["region"] or "")

    @property
    def needs_credentials(self) -> bool:
        return self.kind.startswith("turn")

    @property
    def uri(self) -> str:
        """As browsers take it (RTCIceServer)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?transport={self.transport}" if self.needs_credentials else ""
        return f"{self.kind}:{host}:{self.port}{query}"


def addresses_of_own(public_url: str, port: int) -> tuple[RelayAddress, ...]:
    """The relay of this server, by the name that clients know: datagrams first, TLS on the one port last."""
    parts = urlsplit(public_url)
    host = parts.hostname or "localhost"
    return (
        RelayAddress("stun", host, port, "udp"),
        RelayAddress("turn", host, port, "udp"),
        RelayAddress("turn", host, port, "tcp"),
        RelayAddress("turns", host, parts.port or 443, "tcp"),
    )


def addresses_of_region(region: str, relays: Iterable[str]) -> list[RelayAddress]:
    """Every way to the relays that `[regions.NAME]` names, with a port unless it is 3478; TLS is on the same one."""
    found = []
    for entry in relays:
        parts = urlsplit(f"//{entry}")
        host, number = parts.hostname or "", parts.port or _PORTS["turn"]
        found += [
            RelayAddress("stun", host, number, "udp", region),
            RelayAddress("turn", host, number, "udp", region),
            RelayAddress("turn", host, number, "tcp", region),
            RelayAddress("turns", host, number, "tcp", region),
        ]
    return found


def nearest_first(addresses: Iterable[RelayAddress], region: str) -> list[RelayAddress]:
    """Those of the region, then everybody's, then those of other regions; in the order they came within each."""
    return sorted(addresses, key=lambda each: (each.region != region or not region, bool(each.region)))


def _host(text: str) -> str:
    if text.startswith("["):
        return str(IPv6Address(text[1:-1]))
    if not is_domain(text.lower()):
        raise ValueError(f"{text} is no host")
    return text.lower()
