"""What a TLS client says before its handshake begins: which protocols it speaks, and which host it wants.

Nothing here is believed but for the choice of who answers the handshake, which judges the hello itself.
"""

from __future__ import annotations

from collections.abc import Iterator

PEEK_BYTES = 16_384
"""A longer hello is not waited for."""
MOST_RECORDS = 8
"""Nor one in more records than these: each is a reason to look again."""
_HANDSHAKE, _CLIENT_HELLO = 0x16, 0x01
_SERVER_NAME_EXTENSION, _ALPN_EXTENSION = 0, 16
_HOST_NAME = 0
_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_BEFORE_SESSION_ID = 34
"""Version and random."""
_MOST_HOST_BYTES = 253


class _Short(ValueError):
    """Something ends where it should go on."""


def missing(data: bytes) -> int:
    """How many bytes more a connection that begins like this has to send before its hello is whole; 0 = none.

    At least so many: a hello in several records does not say at once. None either where this is no hello, or one that
    is longer than `PEEK_BYTES`.
    """
    at = 0
    message = bytearray()
    for _ in range(MOST_RECORDS):
        if data[at : at + 1] != bytes((_HANDSHAKE,)):
            break
        if len(data) < at + _RECORD_HEADER:
            return at + _RECORD_HEADER - len(data)
        end = at + _RECORD_HEADER + _number(data, at + 3)
        if end > PEEK_BYTES or end == at + _RECORD_HEADER:
            return 0
        if len(data) < end:
            return end - len(data)
        message += data[at + _RECORD_HEADER : end]
        if message[0] != _CLIENT_HELLO:
            return 0
        if len(message) >= _MESSAGE_HEADER:
            size = _MESSAGE_HEADER + int.from_bytes(message[1:4], "big")
            if len(message) >= size or size > PEEK_BYTES:
                return 0
        at = end
    return _RECORD_HEADER if at and at == len(data) else 0


def offers(data: bytes, protocol: bytes) -> bool:
    """Do these first bytes of a connection offer this protocol by ALPN (RFC 7301) and no other?

    False for what is incomplete, malformed, or no ClientHello (RFC 8446 §4.1.2): the handshake itself will tell.
    """
    try:
        return list(_protocols(_extension(data, _ALPN_EXTENSION))) == [protocol]
    except _Short:
        return False


def server_name(data: bytes) -> str:
    """The host that a client wants (RFC 6066 §3), in lower case; "" where it names none, or nothing that is one."""
    try:
        names = list(_server_names(_extension(data, _SERVER_NAME_EXTENSION)))
    except _Short:
        return ""
    if len(names) != 1 or not 0 < len(names[0]) <= _MOST_HOST_BYTES or not names[0].isascii():
        return ""
    return names[0].decode("ascii").lower()


def _extension(data: bytes, wanted: int) -> bytes:
    """What a hello says of this; b"" where it says nothing. Raises _Short."""
    body = _Cut(_hello(data))
    body.take(_BEFORE_SESSION_ID)
    body.take(body.number(1))
    body.take(body.number(2))  # cipher suites
    body.take(body.number(1))  # compression methods
    if not body.left:
        return b""
    extensions = _Cut(body.take(body.number(2)))
    while extensions.left:
        kind = extensions.number(2)
        said = extensions.take(extensions.number(2))
        if kind == wanted:
            return said
    return b""


def _hello(data: bytes) -> bytes:
    """The message out of its records (RFC 8446 §5.1)."""
    records, message = _Cut(data), bytearray()
    for _ in range(MOST_RECORDS):
        if records.number(1) != _HANDSHAKE:
            raise _Short
        records.take(2)
        length = records.number(2)
        if not length:
            raise _Short
        message += records.take(length)
        if message[0] != _CLIENT_HELLO:
            raise _Short
        if len(message) >= _MESSAGE_HEADER and len(message) >= _size(message):
            return bytes(message[_MESSAGE_HEADER : _size(message)])
    raise _Short


def _size(message: bytearray) -> int:
    return _MESSAGE_HEADER + int.from_bytes(message[1:_MESSAGE_HEADER], "big")


def _protocols(said: bytes) -> Iterator[bytes]:
    if said:
        cut = _Cut(said)
        listed = _Cut(cut.take(cut.number(2)))
        while listed.left:
            yield listed.take(listed.number(1))


def _server_names(said: bytes) -> Iterator[bytes]:
    if said:
        cut = _Cut(said)
        listed = _Cut(cut.take(cut.number(2)))
        while listed.left:
            kind = listed.number(1)
            name = listed.take(listed.number(2))
            if kind == _HOST_NAME:
                yield name


class _Cut:
    """Cuts bytes from front to back; never reads beyond them."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise _Short
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


def _number(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
