"""The header that a load balancer puts before a connection: whose it is (PROXY protocol, version 2).

After the specification by HAProxy, "The PROXY protocol, versions 1 & 2", §2.2. Version 1, which is text, is refused:
where it ends is not known before it is read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_BYTES = 16
MOST_BYTES = 536
"""§2: a sender must not exceed what fits into one segment of any connection."""
_VERSION = 2
_LOCAL, _PROXY = 0, 1
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
"""Of TCP over IPv4 and over IPv6; nothing else reaches this server."""
_ALPN, _SSL = 0x01, 0x20
_CLIENT_SSL = 0x01
_SSL_FIXED_BYTES = 5


class BadHeader(ValueError):
    """These bytes are no header of version 2, or one that says what cannot be."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a connection comes from."""

    address: str
    port: int
    is_check: bool = False
    """A load balancer looks whether this server is well."""
    had_tls: bool = False
    """The client had TLS with the load balancer, which is where it ended."""
    alpn: str = ""
    """What they agreed on there."""


def body_length(fixed: bytes) -> int:
    """How many bytes follow the first 16. Raises BadHeader, as soon as these are not what they must be."""
    if not SIGNATURE.startswith(fixed[: len(SIGNATURE)]):
        raise BadHeader("no signature")
    if len(fixed) < FIXED_BYTES:
        return 0
    version, command = fixed[12] >> 4, fixed[12] & 0x0F
    if version != _VERSION or command not in (_LOCAL, _PROXY):
        raise BadHeader("another version or command")
    length = int.from_bytes(fixed[14:16], "big")
    if FIXED_BYTES + length > MOST_BYTES:
        raise BadHeader("too long")
    if command == _PROXY and length < _least_length(fixed[13]):
        raise BadHeader("too short for its addresses")
    return length


def arrival_of(header: bytes, address: str, port: int) -> Arrival:
    """What a whole header says; `address` and `port` are who sent it. Raises BadHeader."""
    if len(header) != FIXED_BYTES + body_length(header):
        raise BadHeader("another length than it says")
    if header[12] & 0x0F == _LOCAL:
        return Arrival(address, port, is_check=True)
    size = _ADDRESS_BYTES[header[13]]
    body = header[FIXED_BYTES:]
    client = str(ipaddress.ip_address(body[:size]))
    client_port = int.from_bytes(body[2 * size : 2 * size + 2], "big")
    fields = dict(_fields(body[2 * size + 4 :]))
    return Arrival(
        client,
        client_port,
        had_tls=_SSL in fields and _is_by_tls(fields[_SSL]),
        alpn=fields.get(_ALPN, b"").decode("latin-1"),
    )


def _least_length(family: int) -> int:
    if family not in _ADDRESS_BYTES:
        raise BadHeader("not TCP over IPv4 or IPv6")
    return 2 * _ADDRESS_BYTES[family] + 4


def _is_by_tls(value: bytes) -> bool:
    """§2.2.6: the client connected with TLS."""
    if len(value) < _SSL_FIXED_BYTES:
        raise BadHeader("a field that is cut off")
    return bool(value[0] & _CLIENT_SSL)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each (§2.2.1)."""
    while data:
        length = int.from_bytes(data[1:3], "big")
        if len(data) < 3 + length:
            raise BadHeader("a field that is cut off")
        yield data[0], data[3 : 3 + length]
        data = data[3 + length :]
