"""Headers of the PROXY protocol, as load balancers write them, and as they must not."""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ON_TLS = struct.pack("!BH", 0x20, 15) + b"\x07\0\0\0\0" + struct.pack("!BH", 0x21, 7) + b"TLSv1.3"
"""The client connected with TLS (PP2_TYPE_SSL, with PP2_SUBTYPE_SSL_VERSION)."""
LOCAL = SIGNATURE + b"\x20\x00\0\0"
"""A load balancer's own connection."""


def header(client: str, port: int = 4711, *, server: str = "", fields: bytes = b"") -> bytes:
    """One of version 2 for a client there."""
    ip = ipaddress.ip_address(client)
    to = ipaddress.ip_address(server or ("192.0.2.1" if ip.version == 4 else "2001:db8::1"))
    body = ip.packed + to.packed + struct.pack("!HH", port, 443) + fields
    return (
        SIGNATURE + b"\x21" + (b"\x11" if ip.version == 4 else b"\x21") + struct.pack("!H", len(body)) + body
    )
