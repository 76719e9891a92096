"""Which peers the relay may speak with: everything public, nothing of ours (RFC 8656 §21.4, security by default).

An address is judged by what it reaches, not by how it is written: an IPv4 address inside an IPv6 one (NAT64, ISATAP)
is taken out and judged; forms that no peer has (IPv4-mapped, IPv4-compatible, 6to4, Teredo) are denied whatever is in
them. Of IPv6 only global unicast is anything but denied, so a range that is invented tomorrow is denied today.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from rainbow_xmpp.plugins.webrtc_relay.stun import packed_ip

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DENIED_IPV4 = (
    "0.0.0.0/8",  # this network: reaches loopback (CVE-2020-26262)
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",
    "169.254.0.0/16",  # link local, metadata services of clouds
    "172.16.0.0/12",
    "192.0.0.0/24",  # IETF protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)
GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
DENIED_IPV6 = (
    "2001::/23",  # IETF protocol assignments, Teredo among them
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""The well-known prefix. 64:ff9b:1::/48 (RFC 8215) is local by definition, and denied with all that is not global."""
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
_MOST_REMEMBERED = 8192


Ranges = dict[int, list[tuple[int, int]]]
"""First and last address of networks, as numbers, by IP version: some hundreds are looked through in no time."""


class Verdict(Enum):
    """What may become of packets for an address."""

    DENIED = "denied"
    OPEN = "open"
    OWN_RELAY = "own relay"
    """An IP of our relayed addresses: to live relays only, internally, never through a socket."""


class PeerPolicy:
    """Judges peers. Immutable in effect: another configuration, or other own addresses, make another one."""

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        own: Iterable[str] = (),
        relay_ips: Iterable[str] = (),
    ) -> None:
        """`own`: the addresses of this host; `relay_ips`: where relayed ports are, as peers know it.

        Raises ValueError when a list has something that is no network: a relay with half a list must not start.
        """
        self._allow = _ranges(allow)
        self._deny = _ranges((*DENIED_IPV4, *DENIED_IPV6, *deny))
        self._own = frozenset(ipaddress.ip_address(each.partition("%")[0]) for each in own)
        self._relay_ips = frozenset(map(ipaddress.ip_address, relay_ips))
        self._remembered: dict[str, tuple[Verdict, bool]] = {}

    def verdict(self, ip: str) -> Verdict:
        """May people speak with this IP? Own relayed addresses first, then the allow list, then all that is denied."""
        return self._judged(ip)[0]

    def by_socket(self, ip: str) -> bool:
        """May packets for this IP leave through a socket?"""
        return self._judged(ip)[1]

    def _judged(self, ip: str) -> tuple[Verdict, bool]:
        known = self._remembered.get(ip)
        if known is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            known = self._remembered[ip] = self._judge(ipaddress.ip_address(packed_ip(ip)[1]))
        return known

    def _judge(self, ip: Ip) -> tuple[Verdict, bool]:
        reached = what_it_reaches(ip)
        allowed = reached is not None and _is_in(reached, self._allow)
        if ip in self._relay_ips:
            return Verdict.OWN_RELAY, allowed
        if not allowed and (reached is None or self._is_denied(reached) or self._is_denied(ip)):
            return Verdict.DENIED, False
        return Verdict.OPEN, True

    def _is_denied(self, ip: Ip) -> bool:
        if ip in self._own or _is_in(ip, self._deny):
            return True
        return ip.version == 6 and ip not in GLOBAL_IPV6 and ip not in NAT64


def _ranges(networks: Iterable[str]) -> Ranges:
    found: Ranges = {4: [], 6: []}
    for network in map(ipaddress.ip_network, networks):
        found[network.version].append((int(network[0]), int(network[-1])))
    return found


def _is_in(ip: Ip, ranges: Ranges) -> bool:
    number = int(ip)
    return any(first <= number <= last for first, last in ranges[ip.version])


def what_it_reaches(ip: Ip) -> Ip | None:
    """The address that packets for `ip` end up at; None when no peer has an address of this form."""
    if ip.version == 4:
        return ip
    assert isinstance(ip, ipaddress.IPv6Address)
    if (
        ip.ipv4_mapped
        or ip.sixtofour
        or ip.teredo
        or ip.packed[:12] in (bytes(12), bytes(8) + b"\xff\xff\0\0")
    ):
        return ip if ip == ipaddress.IPv6Address("::1") else None
    if ip in NAT64 or ip.packed[8:12] in _ISATAP:
        return ipaddress.IPv4Address(ip.packed[12:])
    return ip


def interface_addresses(proc: Path = Path("/proc/net")) -> frozenset[str]:
    """The addresses of this host's interfaces, as Linux shows them; to be read again every minute."""
    found = set()
    try:
        lines = (proc / "fib_trie").read_text().splitlines()
    except OSError:
        lines = []
    for address, kind in itertools.pairwise(lines):
        if kind.strip().startswith("/32 host LOCAL"):
            found.add(address.split()[-1])
    try:
        for line in (proc / "if_inet6").read_text().splitlines():
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))))
    except OSError:
        pass
    return frozenset(found)
