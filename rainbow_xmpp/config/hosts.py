"""Names and addresses of hosts in the configuration: what can be one, and what is said when it cannot."""

import ipaddress
import re
from urllib.parse import urlsplit

from rainbow_xmpp.config.declare import Complaints
from rainbow_xmpp.jid import JID

_LABEL = re.compile(r"[^\W_](?:[\w-]*[^\W_])?")


def is_domain(text: str) -> bool:
    labels = text.split(".")
    return (
        len(text.encode()) <= 253
        and text == text.lower()
        and all(_LABEL.fullmatch(label) for label in labels)
    )


def as_in_addresses(domain: str) -> str:
    """The domain as everybody's address has it (RFC 7622 §3.2); "" when none can."""
    try:
        return JID("", domain).domain
    except ValueError:
        return ""


def is_host_and_port(text: str) -> bool:
    """What stands in a URL between the slashes: a name, an IPv4 address or [an IPv6 address], and maybe a port."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
        if parts.netloc.startswith("["):
            ipaddress.IPv6Address(host)
    except ValueError:
        return False
    named = f"[{host}]" if parts.netloc.startswith("[") else host
    is_name = named != host or is_domain(host)
    return is_name and text.lower() == (named if port is None else f"{named}:{port}")


def address_problems(name: str, address: str) -> Complaints:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        yield name, f'is "{address}"; give an IP address such as 127.0.0.1, 0.0.0.0 or ::'


def inside_problems(name: str, address: str) -> Complaints:
    """What is said in plain text may be said on this machine and in private networks only."""
    try:
        ip = ipaddress.ip_address(address)
        is_inside = ip.is_private and not ip.is_unspecified
    except ValueError:
        is_inside = False
    if not is_inside:
        yield (
            name,
            f'is "{address}"; give an IP address that only servers reach, such as 127.0.0.1 or 10.0.0.5',
        )


def network_problems(name: str, networks: tuple[str, ...]) -> Complaints:
    """Networks whose word is believed."""
    for text in networks:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            yield name, f'has "{text}"; give an IP address, or a network such as 10.0.0.0/24'
            continue
        if network.prefixlen == 0:
            yield name, f'has "{text}", which is everybody: anybody could claim any address'


def origin_problems(name: str, url: str, *, schemes: tuple[str, ...]) -> Complaints:
    example = f"{schemes[0]}://chat.example.com"
    try:
        parts = urlsplit(url)
        whole = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
        parts = urlsplit("")
    if not whole or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        yield name, f'has "{url}"; give scheme and host only, such as "{example}"'
