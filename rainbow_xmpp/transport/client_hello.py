"""What a TLS client says that it speaks, read before its handshake begins."""

from __future__ import annotations

from collections.abc import Iterator

PEEK_BYTES = 4096
_HANDSHAKE, _CLIENT_HELLO = 0x16, 0x01
_ALPN_EXTENSION = 16
_RANDOM_END = 43
"""Record and message header, version and random come before what has a length of its own."""


def offers(data: bytes, protocol: bytes) -> bool:
    """Do these first bytes of a connection offer this protocol by ALPN (RFC 7301) and no other?

    False for what is incomplete, malformed, or no ClientHello (RFC 8446 §4.1.2): the handshake itself will tell.
    """
    try:
        return list(_protocols(data)) == [protocol]
    except IndexError:
        return False


def _protocols(data: bytes) -> Iterator[bytes]:
    if data[0] != _HANDSHAKE or data[5] != _CLIENT_HELLO:
        return
    at = _RANDOM_END
    at += 1 + data[at]  # session id
    at += 2 + _number(data, at)  # cipher suites
    at += 1 + data[at]  # compression methods
    end = at + 2 + _number(data, at)
    at += 2
    while at < end:
        kind, length = _number(data, at), _number(data, at + 2)
        if kind == _ALPN_EXTENSION:
            yield from _names(data, at + 6, at + 4 + length)
            return
        at += 4 + length


def _names(data: bytes, at: int, end: int) -> Iterator[bytes]:
    while at < end:
        length = data[at]
        if at + 1 + length > len(data):
            raise IndexError
        yield data[at + 1 : at + 1 + length]
        at += 1 + length


def _number(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
