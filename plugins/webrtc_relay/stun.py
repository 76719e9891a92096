"""STUN messages (RFC 8489): bytes in, values out, and back. No state, no I/O, no clock.

What a peer sends is bounded before it is used: every length is checked against the datagram, the number of
attributes has a limit, of an attribute that stands more than once the first counts (§14), padding is written
as zeros. A message that does not obey §5 and §6.3 is not answered, whatever is wrong with it: `NotStun`.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]
"""IP address as `inet_ntop` writes it, and port."""
Attribute: TypeAlias = tuple[int, bytes]

MAGIC = 0x2112A442
MAGIC_BYTES = MAGIC.to_bytes(4, "big")
HEADER = 20
MAX_ATTRIBUTES = 128
"""A CreatePermission for all the permissions an allocation may have stays far below."""

REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3

BINDING, ALLOCATE, REFRESH, SEND, DATA_METHOD = 0x001, 0x003, 0x004, 0x006, 0x007
CREATE_PERMISSION, CHANNEL_BIND = 0x008, 0x009

MAPPED_ADDRESS = 0x0001
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
CHANNEL_NUMBER = 0x000C
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
DATA = 0x0013
REALM = 0x0014
NONCE = 0x0015
XOR_RELAYED_ADDRESS = 0x0016
REQUESTED_ADDRESS_FAMILY = 0x0017
EVEN_PORT = 0x0018
REQUESTED_TRANSPORT = 0x0019
DONT_FRAGMENT = 0x001A
MESSAGE_INTEGRITY_SHA256 = 0x001C
PASSWORD_ALGORITHM = 0x001D
USERHASH = 0x001E
XOR_MAPPED_ADDRESS = 0x0020
RESERVATION_TOKEN = 0x0022
ADDITIONAL_ADDRESS_FAMILY = 0x8000
ADDRESS_ERROR_CODE = 0x8001
PASSWORD_ALGORITHMS = 0x8002
SOFTWARE = 0x8022
FINGERPRINT = 0x8028

IPV4, IPV6 = 0x01, 0x02
UDP = 17

_HEAD = struct.Struct("!HHI12s")
_TYPE_LENGTH = struct.Struct("!HH")
_U32 = struct.Struct("!I")
_FINGERPRINT_XOR = 0x5354554E
_OPTIONAL = 0x8000
_SHA1_BYTES, _SHA256_BYTES = 20, 32
_FINGERPRINT = struct.Struct("!HHI")
_SHA1_HEAD = _TYPE_LENGTH.pack(MESSAGE_INTEGRITY, _SHA1_BYTES)
_SHA256_HEAD = _TYPE_LENGTH.pack(MESSAGE_INTEGRITY_SHA256, _SHA256_BYTES)
_XOR_IPV4 = struct.Struct("!HHI")
_BLOCK = 64
"""Bytes that SHA-1 takes at once."""
_INNER, _OUTER = (bytes(each ^ pad for each in range(256)) for pad in (0x36, 0x5C))
_Sha1: TypeAlias = "hashlib._Hash"
_ZEROS = (b"", b"\0\0\0", b"\0\0", b"\0")
_PROOFS = frozenset({MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, FINGERPRINT})


class NotStun(ValueError):
    """These bytes are no message that may be answered (RFC 8489 §6.3)."""


class Message:
    """One STUN message. `attributes` are those that count, in order: what follows the integrity is left out (§14.5).

    `sha1_at` and `sha256_at` are where these attributes begin in `data`, 0 when they do not stand there;
    `fingerprint` says that one stood there, and was right.
    """

    __slots__ = (
        "attributes", "cls", "data", "fingerprint", "first", "method", "sha1_at", "sha256_at", "transaction",
    )  # fmt: skip

    def __init__(self, data: bytes, method: int, cls: int, transaction: bytes) -> None:
        self.data = data
        self.method = method
        self.cls = cls
        self.transaction = transaction
        self.attributes: list[Attribute] = []
        self.first: dict[int, bytes] = {}
        """The value of the first attribute of each type."""
        self.sha1_at = 0
        self.sha256_at = 0
        self.fingerprint = False

    def get(self, wanted: int) -> bytes | None:
        """The value of the first attribute of this type."""
        return self.first.get(wanted)

    def all(self, wanted: int) -> list[bytes]:
        """The values of all attributes of this type, in order."""
        return [value for kind, value in self.attributes if kind == wanted]

    def has_integrity(self) -> bool:
        """Did the sender sign it, whether rightly or not?"""
        return bool(self.sha1_at or self.sha256_at)

    def unknown_required(self, known: frozenset[int]) -> list[int]:
        """The comprehension-required attributes among those not in `known`, each once (§6.3.1, §15)."""
        if known.issuperset(self.first):
            return []
        found = [kind for kind, _ in self.attributes if kind < _OPTIONAL and kind not in known]
        return list(dict.fromkeys(found))

    def signed_with(self, key: bytes) -> bool:
        """Is the strongest integrity attribute of the message right under this key? (§9.2.4: SHA-256 if it is there.)

        A truncated MESSAGE-INTEGRITY-SHA256 is wrong: no usage of ours allows that (§14.6).
        """
        data, at = self.data, self.sha256_at
        size, sign = (_SHA256_BYTES, _hmac_sha256) if at else (_SHA1_BYTES, _hmac_sha1)
        at = at or self.sha1_at
        if not at or int.from_bytes(data[at + 2 : at + 4], "big") != size:
            return False
        head = data[:2] + (at + 4 + size - HEADER).to_bytes(2, "big")
        return hmac.compare_digest(sign(key, head + data[4:at]), data[at + 4 : at + 4 + size])


def is_stun(data: bytes | bytearray | memoryview) -> bool:
    """Do these bytes begin like a STUN message? Enough to tell it from channel data, not to answer it."""
    return len(data) >= HEADER and data[0] < 4 and data[4:8] == MAGIC_BYTES


def decode(data: bytes) -> Message:
    """The message in these bytes, which must be the whole datagram or frame; NotStun when it is none (§5, §6.3)."""
    size = len(data)
    if size < HEADER:
        raise NotStun("too short")
    kind, length, magic, transaction = _HEAD.unpack_from(data)
    if kind & 0xC000 or magic != MAGIC or length & 3 or length + HEADER != size:
        raise NotStun("no STUN header")
    method = kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    message = Message(data, method, (kind & 0x0010) >> 4 | (kind & 0x0100) >> 7, transaction)
    _read_attributes(message, data, size)
    return message


def _read_attributes(message: Message, data: bytes, size: int) -> None:
    at, seen, signed, keep = HEADER, 0, False, message.attributes
    unpack = _TYPE_LENGTH.unpack_from
    while at < size:  # at and size are multiples of four: a header always fits
        kind, length = unpack(data, at)
        end = at + 4 + length
        seen += 1
        if end > size or seen > MAX_ATTRIBUTES:
            raise NotStun("attributes do not fit")
        if kind not in _PROOFS:
            if not signed:
                keep.append((kind, data[at + 4 : end]))
        elif kind == FINGERPRINT:
            _check_fingerprint(data, at, size, length)
            message.fingerprint = True
        else:
            if kind == MESSAGE_INTEGRITY_SHA256:
                message.sha256_at = message.sha256_at or at
            elif not signed:
                message.sha1_at = at
            signed = True
        at = (end + 3) & ~3
    message.first = dict(reversed(keep))


def _check_fingerprint(data: bytes, at: int, size: int, length: int) -> None:
    """It must be right, and the last attribute (§14.7)."""
    if length != 4 or at + 8 != size:
        raise NotStun("fingerprint is not the last attribute")
    if zlib.crc32(data[:at]) ^ _FINGERPRINT_XOR != _U32.unpack_from(data, at + 4)[0]:
        raise NotStun("wrong fingerprint")


def encode(
    method: int,
    cls: int,
    transaction: bytes,
    attributes: Sequence[Attribute] = (),
    *,
    key: bytes | None = None,
    sha256: bool = False,
    fingerprint: bool = False,
) -> bytes:
    """A message; with `key`, signed by MESSAGE-INTEGRITY, or by MESSAGE-INTEGRITY-SHA256 alone when `sha256`."""
    body = b"".join([encoded(kind, value) for kind, value in attributes])
    return framed(method, cls, transaction, body, key=key, sha256=sha256, fingerprint=fingerprint)


def encoded(kind: int, value: bytes) -> bytes:
    """One attribute as it is in a message."""
    return _TYPE_LENGTH.pack(kind, len(value)) + value + _ZEROS[len(value) & 3]


def framed(
    method: int,
    cls: int,
    transaction: bytes,
    body: bytes,
    *,
    key: bytes | None = None,
    sha256: bool = False,
    fingerprint: bool = False,
) -> bytes:
    """A message of attributes that are encoded already."""
    kind = method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2 | (cls & 1) << 4 | (cls & 2) << 7
    size = len(body)
    if key is None:
        message = _HEAD.pack(kind, size, MAGIC, transaction) + body
    elif sha256:
        message = _HEAD.pack(kind, size + 4 + _SHA256_BYTES, MAGIC, transaction) + body
        message += _SHA256_HEAD + _hmac_sha256(key, message)
    else:
        message = _HEAD.pack(kind, size + 4 + _SHA1_BYTES, MAGIC, transaction) + body
        message += _SHA1_HEAD + _hmac_sha1(key, message)
    if not fingerprint:
        return message
    message = message[:2] + (len(message) - HEADER + 8).to_bytes(2, "big") + message[4:]
    return message + _FINGERPRINT.pack(FINGERPRINT, 4, zlib.crc32(message) ^ _FINGERPRINT_XOR)


def _hmac_sha256(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _hmac_sha1(key: bytes, data: bytes) -> bytes:
    """RFC 2104. A key signs many messages; what is the same for all of them is hashed once (§4 there)."""
    halves = _halves(key)
    inner, outer = halves[0].copy(), halves[1].copy()
    inner.update(data)
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=8192)
def _halves(key: bytes) -> tuple[_Sha1, _Sha1]:
    block = (key if len(key) <= _BLOCK else hashlib.sha1(key, usedforsecurity=False).digest()).ljust(
        _BLOCK, b"\0"
    )
    return (
        hashlib.sha1(block.translate(_INNER), usedforsecurity=False),
        hashlib.sha1(block.translate(_OUTER), usedforsecurity=False),
    )


def xor_address(address: Address, transaction: bytes) -> bytes:
    """The value of an XOR-…-ADDRESS attribute (§14.2)."""
    ip, port = address
    family, packed = packed_ip(ip)
    number = int.from_bytes(packed, "big")
    if family == IPV4:
        return _XOR_IPV4.pack(IPV4, port ^ (MAGIC >> 16), number ^ MAGIC)
    mixed = number ^ int.from_bytes(MAGIC_BYTES + transaction, "big")
    return struct.pack("!HH", IPV6, port ^ (MAGIC >> 16)) + mixed.to_bytes(16, "big")


def read_xor_address(value: bytes, transaction: bytes) -> tuple[int, Address] | None:
    """Family and address in the value of an XOR-…-ADDRESS attribute; None when it is malformed."""
    if len(value) == 8 and value[1] == IPV4:
        mask, family = MAGIC_BYTES, socket.AF_INET
    elif len(value) == 20 and value[1] == IPV6:
        mask, family = MAGIC_BYTES + transaction, socket.AF_INET6
    else:
        return None
    mixed = int.from_bytes(value[4:], "big") ^ int.from_bytes(mask, "big")
    port = int.from_bytes(value[2:4], "big") ^ (MAGIC >> 16)
    return value[1], (socket.inet_ntop(family, mixed.to_bytes(len(mask), "big")), port)


@lru_cache(maxsize=4096)
def packed_ip(ip: str) -> tuple[int, bytes]:
    """Family and bytes of an IP address; a ValueError when it is none. A scope (`%eth0`) is left out."""
    parsed = ipaddress.ip_address(ip.partition("%")[0])
    return (IPV4 if parsed.version == 4 else IPV6), parsed.packed


def family_of(ip: str) -> int:
    """IPV4 or IPV6, as the attributes number them."""
    return packed_ip(ip)[0]


def error_code(code: int, reason: str = "") -> Attribute:
    """ERROR-CODE (§14.8)."""
    return ERROR_CODE, struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()


def unknown_attributes(types: Sequence[int]) -> Attribute:
    """UNKNOWN-ATTRIBUTES (§14.9)."""
    return UNKNOWN_ATTRIBUTES, struct.pack(f"!{len(types)}H", *types)


def u32(kind: int, number: int) -> Attribute:
    """An attribute that is one 32-bit number, like LIFETIME."""
    return kind, _U32.pack(number)


def long_term_key(username: str, realm: str, password: str, *, sha256: bool = False) -> bytes:
    """The key of the long-term mechanism: by MD5, or by SHA-256 where PASSWORD-ALGORITHM says so (§9.2.2, §18.5.1)."""
    text = f"{username}:{realm}:{password}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).digest() if sha256 else hashlib.md5(text, usedforsecurity=False).digest()


def userhash(username: str, realm: str) -> bytes:
    """The value of USERHASH (§14.4)."""
    return hashlib.sha256(f"{username}:{realm}".encode("utf-8", "surrogateescape")).digest()
