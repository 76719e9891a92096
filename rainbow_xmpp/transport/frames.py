"""WebSocket frames as the server reads and writes them (RFC 6455 §5), without I/O.

Nothing is kept beyond one unfinished frame, and no frame is waited for that is longer than allowed: its header
is enough to refuse it. Extensions are never agreed on, so reserved bits are errors (no compression).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Final

from rainbow_xmpp.errors import PeerViolation, RainbowError, StreamCondition

_texts: Callable[[bytes, int], tuple[list[bytes], int]] | None
try:
    from rainbow_xmpp.transport._frames import texts as _texts
except ImportError:
    # Installed without a compiler.
    _texts = None

# The first byte of a frame (RFC 6455 §5.2): final or not, and its opcode.
CONTINUES: Final = 0x00
BEGINS_TEXT: Final = 0x01
BEGINS_BINARY: Final = 0x02
ENDS: Final = 0x80
TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A

_KNOWN = frozenset((CONTINUES, BEGINS_TEXT, BEGINS_BINARY, ENDS, TEXT, BINARY, CLOSE, PING, PONG))
_MOST_IN_CONTROL = 125
_MASKED = 0x80

NORMAL_CLOSURE: Final = 1000
PROTOCOL_ERROR: Final = 1002
_CODES = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))
"""What a close frame may say (RFC 6455 §7.4)."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class FrameError(RainbowError):
    """The peer breaks RFC 6455: the connection is failed with `PROTOCOL_ERROR` (§7.1.7)."""


class FrameReader:
    """Push bytes as they arrive, pull frames until there is none; linear however the bytes were cut.

    `max_bytes` bounds the payload of one frame and may be changed at any time.
    """

    __slots__ = ("_held", "_pos", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        # Bytes while a push has met nothing held, so that most frames are never copied as a whole.
        self._held: bytes | bytearray = b""
        self._pos = 0

    def texts(self, data: bytes) -> list[bytes]:
        """Take bytes from the peer, like `push`; the text messages among them that come before everything else.

        They come out here, and what is behind them by `pull`. None at all where something is held already.
        """
        if _texts is None or self._pos != len(self._held):
            self.push(data)
            return []
        payloads, taken = _texts(data, self.max_bytes)
        self._held, self._pos = data, taken
        return payloads

    def push(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self._pos == len(self._held):
            self._held = data
        elif isinstance(self._held, bytes):
            self._held = bytearray(self._held[self._pos :])
            self._held += data
        else:
            del self._held[: self._pos]
            self._held += data
        self._pos = 0

    def rest(self) -> bytes:
        """What is held of a frame that is not complete; then it is held no more."""
        held, self._held, self._pos = bytes(self._held[self._pos :]), b"", 0
        return held

    def pull(self) -> tuple[int, bytes] | None:
        """The next frame's first byte and its payload; None until more has been pushed.

        Raises FrameError, and PeerViolation for a frame that is too long; then the reader is not to be used.
        """
        held, pos = self._held, self._pos
        left = len(held) - pos
        if left < 2:
            if not left:
                self._held, self._pos = b"", 0  # an idle connection holds no memory
            return None
        first, second = held[pos], held[pos + 1]
        if first not in _KNOWN or second < _MASKED:
            raise FrameError("an unknown opcode, a reserved bit or no mask")
        size = second - _MASKED
        pos += 2
        if size > _MOST_IN_CONTROL:
            if first >= CLOSE:
                raise FrameError("a control frame that is too long")
            width = 2 if size == 126 else 8
            if left < 2 + width:
                return None
            size = int.from_bytes(held[pos : pos + width], "big")
            pos += width
            if size <= (_MOST_IN_CONTROL if width == 2 else 0xFFFF):
                raise FrameError("a length that is not written as short as possible")
        if size > self.max_bytes and first < CLOSE:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, "this is too long")
        start = pos + 4
        end = start + size
        if len(held) < end:
            return None
        self._pos = end
        return first, _unmasked(held[start:end], held[pos:start], size)


def masked(first: int, payload: bytes) -> bytes:
    """A frame as clients send it (RFC 6455 §5.3), under a mask of zeros: for who reads it on a client's behalf."""
    head = bytearray(header(first, len(payload)))
    head[1] |= _MASKED
    return bytes(head) + bytes(4) + payload


def _unmasked(payload: bytes | bytearray, mask: bytes | bytearray, size: int) -> bytes:
    """RFC 6455 §5.3, as one operation on two large numbers: there is nothing quicker in Python alone."""
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def header(first: int, size: int) -> bytes:
    """Of a frame of the server's, which is not masked (RFC 6455 §5.2)."""
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def closing(code: int) -> bytes:
    """A close frame (RFC 6455 §5.5.1)."""
    return header(CLOSE, 2) + code.to_bytes(2, "big")


def is_sound_closing(payload: bytes) -> bool:
    """Whether a close frame says nothing, or a code that peers may send and a reason in UTF-8 (§5.5.1, §7.4)."""
    if not payload:
        return True
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return False
    return len(payload) > 1 and int.from_bytes(payload[:2], "big") in _CODES


def acceptance(key: str) -> str | None:
    """`Sec-WebSocket-Accept` for the client's key; None when that is not 16 bytes in base64 (RFC 6455 §4.2)."""
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            return None
    except ValueError:
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324  # the RFC's
