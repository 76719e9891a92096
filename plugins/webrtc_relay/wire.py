"""What the server and the relay's process tell each other: msgspec structs, each after its length in four bytes.

Everything here stays on this machine, between two processes of one user. It holds the secret of the credentials, and
no name or address of a person.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.msgpack import Decoder, Encoder

_LENGTH = struct.Struct("!I")
MOST_BYTES = 16 << 20
"""Of one message. Only the settings grow, with lists that an operator writes."""


class RelaySettings(Struct, frozen=True, tag="settings", kw_only=True):
    """Everything an operator decides. The first message, and again whenever something of it changes."""

    realm: str
    relays: list[tuple[str, str]]
    """An address of this host, and what clients are told; at most one for each address family."""
    first_port: int
    last_port: int
    secrets: list[bytes]
    certificate: str
    """Paths of PEM files; read again when they change."""
    key: str
    allow: list[str] = field(default_factory=list)
    deny: list[str] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    """Fields of `control.Limits`, but for `company_allocations`."""
    company_allocations: dict[str, int] = field(default_factory=dict)
    allocation_rate: float = 0.0
    """Bytes a second, both directions together; 0 = no limit. The same for the next two."""
    company_rate: float = 0.0
    total_rate: float = 0.0
    company_rates: dict[str, float] = field(default_factory=dict)
    connections: int = 10_000
    """TCP and TLS connections at one time."""
    connections_per_address: int = 200
    handshakes_per_second: int = 200
    revoked: dict[str, float] = field(default_factory=dict)
    """Userids, or their company parts, and the Unix time up to which their credentials are void."""

    def __repr__(self) -> str:
        return "RelaySettings(…)"


class CloseUser(Struct, frozen=True, tag="close_user"):
    """End a person's allocations; credentials that end by this Unix time (seconds) are void."""

    userid: str
    revoked_until: float


class CloseCompany(Struct, frozen=True, tag="close_company"):
    """The same for a company, by the first part of its people's userids."""

    company: str
    revoked_until: float


class DrainRelay(Struct, frozen=True, tag="drain"):
    """No new allocations; end when the last one is over, after so many seconds at the latest."""

    seconds: float


class RelayReady(Struct, frozen=True, tag="ready"):
    """It relays; `pid` is its process."""

    pid: int


class RelayOpened(Struct, frozen=True, tag="opened"):
    """An allocation of this userid, over `udp`, `tcp` or `tls`."""

    userid: str
    transport: str


class RelayClosed(Struct, frozen=True, tag="closed"):
    """It ended; see `control.Reports.closed` for the reasons."""

    userid: str
    transport: str
    seconds: float
    bytes_in: int
    bytes_out: int
    reason: str


class RelayMoved(Struct, frozen=True, tag="moved"):
    """What passed since the last such message: userid, seconds, bytes in, bytes out; an entry for each relay."""

    entries: list[tuple[str, float, int, int]]


class RelayFigures(Struct, frozen=True, tag="figures"):
    """How it is; told every few seconds, so that silence means that it hangs."""

    allocations: int
    connections: int
    refused: dict[str, int]
    """Kinds of refusals, and how many of each since the last time."""


class RelayLog(Struct, frozen=True, tag="log"):
    """A line for the server's log."""

    level: int
    text: str


Down: TypeAlias = RelaySettings | CloseUser | CloseCompany | DrainRelay
Up: TypeAlias = RelayReady | RelayOpened | RelayClosed | RelayMoved | RelayFigures | RelayLog


class PassedConnection(Struct, frozen=True, array_like=True):
    """Comes with a file descriptor: a connection to the one port that is the relay's."""

    client: tuple[str, int]
    server: tuple[str, int]
    is_clear: bool
    """TLS is done, and goes on being done, by the server: what comes through this descriptor is plain."""


down_decoder: Decoder[Down] = Decoder(Down)
up_decoder: Decoder[Up] = Decoder(Up)
passed_decoder: Decoder[PassedConnection] = Decoder(PassedConnection)
_encode = Encoder().encode


def packed(message: Struct) -> bytes:
    """One message with its length."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


def packed_connection(message: PassedConnection) -> bytes:
    """Without a length: it is one packet."""
    return _encode(message)


class Unpacker:
    """Takes bytes as they come and gives the bodies of whole messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises ValueError when there cannot be such a message."""
        held = self._held
        held += data
        while len(held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held)
            if length > MOST_BYTES:
                raise ValueError("a message is too long")
            end = _LENGTH.size + length
            if len(held) < end:
                return
            body = bytes(held[_LENGTH.size : end])
            del held[:end]
            yield body
