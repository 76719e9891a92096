"""The client's side of RFC 6455, bare enough that a test can break every rule of it."""

import asyncio
import os
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha1

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class UpgradeRefused(Exception):
    """The server answered the WebSocket's request with something else than a proper 101."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        super().__init__(f"HTTP {status} {dict(headers)}")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True, rsv: int = 0) -> bytes:
    """One frame from a client (RFC 6455 §5.2)."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack("!BH", flag | 126, len(payload))
    else:
        head += struct.pack("!BQ", flag | 127, len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    stretched = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
    return head + key + masked.to_bytes(len(payload), "big")


@dataclass(eq=False)
class FrameReader:
    """Splits what a server sends into messages and control frames."""

    _held: bytearray = field(default_factory=bytearray)
    _message: bytearray = field(default_factory=bytearray)
    _opcode: int = TEXT

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Every message or control frame that these bytes complete, as (opcode, payload)."""
        self._held += data
        while (one := self._next_frame()) is not None:
            first, payload = one
            fin, opcode = bool(first & 0x80), first & 0x0F
            if opcode >= CLOSE:
                yield opcode, payload
                continue
            if opcode != CONTINUATION:
                self._opcode = opcode
            self._message += payload
            if fin:
                message, self._message = bytes(self._message), bytearray()
                yield self._opcode, message

    def _next_frame(self) -> tuple[int, bytes] | None:
        held = self._held
        if len(held) < 2:
            return None
        assert not held[1] & 0x80, "a server must not mask its frames (RFC 6455 §5.1)"
        size, start = held[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            if len(held) < start:
                return None
            size = int.from_bytes(held[2:start], "big")
        if len(held) < start + size:
            return None
        first, payload = held[0], bytes(held[start : start + size])
        del held[: start + size]
        return first, payload


async def upgrade(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: Mapping[str, str]
) -> Mapping[str, str]:
    """Asks for a WebSocket with the subprotocol `xmpp`; returns the answer's headers, names in lower case.

    A header given here replaces the usual one; with an empty value it is left out. Raises `UpgradeRefused`.
    """
    key = b64encode(os.urandom(16)).decode()
    usual = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "xmpp",
    }
    lines = [f"{name}: {value}" for name, value in {**usual, **headers}.items() if value]
    request = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""])
    writer.write(request.encode())
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split()[1])
    answer = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
    accept = b64encode(sha1(key.encode() + _GUID).digest()).decode()
    if status != 101 or ("Sec-WebSocket-Key" not in headers and answer.get("sec-websocket-accept") != accept):
        raise UpgradeRefused(status, answer)
    return answer
