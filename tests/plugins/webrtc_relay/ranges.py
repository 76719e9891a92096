"""Addresses that people must not reach through the relay, and the ways to write an IPv4 address as an IPv6 one."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

DENIED_IPV4 = [  # turn.md §4 and security.md §5.4
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
]
DENIED_IPV6 = [
    "::/128",
    "::1/128",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2001:20::/28",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "64:ff9b:1::/48",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "4000::/3",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.0",
    "223.255.255.255",
    "198.20.0.0",
]
PUBLIC_IPV6 = ["2001:4860:4860::8888", "2a00::1", "64:ff9b::808:808", "2620:fe::9"]


def teredo(ip: int) -> int:
    return 0x2001_0000 << 96 | 0x0808_0808 << 64 | 0x8000_F227 << 32 | ip ^ 0xFFFF_FFFF


ENCODINGS = {
    "mapped": lambda ip: 0xFFFF << 32 | ip,
    "compatible": lambda ip: ip,
    "translated": lambda ip: 0xFFFF << 48 | ip,
    "6to4": lambda ip: 0x2002 << 112 | ip << 80 | 1,
    "Teredo": teredo,
    "NAT64": lambda ip: 0x64_FF9B << 96 | ip,
    "NAT64 of the place": lambda ip: 0x64_FF9B_0001 << 80 | ip,
    "NAT64 of the place, /48": lambda ip: 0x64_FF9B_0001 << 80 | (ip >> 16) << 64 | (ip & 0xFFFF) << 40,
    "ISATAP": lambda ip: 0x2A00 << 112 | 0x5EFE << 32 | ip,
}


def samples(network: str) -> list[str]:
    """First, last and one in the middle."""
    kind = IPv6Network if ":" in network else IPv4Network
    parsed = kind(network)
    return sorted({str(parsed[0]), str(parsed[parsed.num_addresses // 2]), str(parsed[-1])})


def in_ipv6_clothes(ip: str) -> dict[str, str]:
    """This IPv4 address in every encoding."""
    return {name: str(IPv6Address(encode(int(IPv4Address(ip))))) for name, encode in ENCODINGS.items()}
