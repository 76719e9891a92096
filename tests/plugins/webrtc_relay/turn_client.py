"""A TURN client for tests: makes any message, right or wrong, and reads what comes back.

It knows no transport: `Wire` is a socket of a running relay, or a shortcut into `Control`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.stun import Address, Attribute, Message

REQUESTED_UDP: Attribute = (stun.REQUESTED_TRANSPORT, b"\x11\0\0\0")


class Wire(Protocol):
    """One five-tuple to the relay."""

    client: Address
    """As the relay sees it."""
    is_stream: bool

    def transact(self, data: bytes) -> bytes | None:
        """Send it; the answer, or None when there is none."""

    def send(self, data: bytes) -> None:
        """Send it, without waiting."""

    def receive(self) -> bytes | None:
        """What the relay has sent by itself next: a Data indication or channel data; None when nothing comes."""


@dataclass(frozen=True)
class Credential:
    username: str
    password: str


class TurnClient:
    """One client. `realm` and `nonce` are learned from the first challenge."""

    def __init__(self, wire: Wire, credential: Credential) -> None:
        self.wire = wire
        self.credential = credential
        self.realm = b""
        self.nonce = b""
        self.algorithms = b""
        self.sha256 = False
        """Take up PASSWORD-ALGORITHMS, choosing SHA-256 (RFC 8489 §9.2.5)."""

    def ask(self, method: int, attributes: Sequence[Attribute] = (), **options: object) -> Message | None:
        """One request as it is; without `key`, not signed."""
        transaction = options.pop("transaction", None) or os.urandom(12)
        data = stun.encode(method, stun.REQUEST, transaction, attributes, **options)
        return self.answer(self.wire.transact(data), transaction)

    def answer(self, data: bytes | None, transaction: bytes) -> Message | None:
        """Reads an answer, and that it belongs to this transaction and is well made."""
        if data is None:
            return None
        message = stun.decode(data)
        assert message.transaction == transaction
        assert message.cls in (stun.SUCCESS, stun.ERROR)
        assert message.get(stun.SOFTWARE) is None
        return message

    def key(self) -> bytes:
        return stun.long_term_key(
            self.credential.username, self.realm.decode(), self.credential.password, sha256=self.sha256
        )

    def login(self) -> list[Attribute]:
        """The attributes that a signed request has beside its own."""
        own: list[Attribute] = [
            (stun.USERNAME, self.credential.username.encode()),
            (stun.REALM, self.realm),
            (stun.NONCE, self.nonce),
        ]
        if self.sha256:
            own += [(stun.PASSWORD_ALGORITHM, b"\0\2\0\0"), (stun.PASSWORD_ALGORITHMS, self.algorithms)]
        return own

    def challenge(self) -> Message:
        """Asks without credentials, and learns realm and nonce from the 401."""
        refused = self.ask(stun.ALLOCATE, [REQUESTED_UDP])
        assert code_of(refused) == 401
        return self.learn(refused)

    def learn(self, refused: Message) -> Message:
        self.realm, self.nonce = refused.get(stun.REALM), refused.get(stun.NONCE)
        self.algorithms = refused.get(stun.PASSWORD_ALGORITHMS) or b""
        return refused

    def call(self, method: int, attributes: Sequence[Attribute] = (), **options: object) -> Message:
        """A signed request, and an answer that is signed by the same key."""
        if not self.nonce:
            self.challenge()
        message = self.ask(
            method, [*attributes, *self.login()], key=self.key(), **({"sha256": self.sha256} | options)
        )
        assert message is not None
        if code_of(message) not in (401, 438):
            assert message.signed_with(self.key())
            assert bool(message.sha256_at) == self.sha256 and bool(message.sha1_at) != self.sha256
        return message

    def allocate(self, *attributes: Attribute, **options: object) -> Message:
        return self.call(stun.ALLOCATE, [REQUESTED_UDP, *attributes], **options)

    def allocated(self, *attributes: Attribute) -> Address:
        """Allocates, which must succeed: the relayed address."""
        return relayed(self.allocate(*attributes))

    def refresh(self, lifetime: int | None = None, *attributes: Attribute) -> Message:
        wanted = [] if lifetime is None else [stun.u32(stun.LIFETIME, lifetime)]
        return self.call(stun.REFRESH, [*wanted, *attributes])

    def permit(self, *peers: Address) -> Message:
        """CreatePermission."""
        transaction = os.urandom(12)
        return self.call(
            stun.CREATE_PERMISSION,
            [peer_attribute(peer, transaction) for peer in peers],
            transaction=transaction,
        )

    def bind(self, number: int, peer: Address) -> Message:
        """ChannelBind."""
        transaction = os.urandom(12)
        attributes = [channel_number(number), peer_attribute(peer, transaction)]
        return self.call(stun.CHANNEL_BIND, attributes, transaction=transaction)

    def send_indication(self, peer: Address, data: bytes, *more: Attribute) -> None:
        transaction = os.urandom(12)
        attributes = [peer_attribute(peer, transaction), (stun.DATA, data), *more]
        self.wire.send(stun.encode(stun.SEND, stun.INDICATION, transaction, attributes))

    def send_channel(self, number: int, data: bytes) -> None:
        padding = bytes(-len(data) % 4) if self.wire.is_stream else b""
        self.wire.send(struct.pack("!HH", number, len(data)) + data + padding)

    def data_indication(self) -> tuple[Address, bytes] | None:
        """The next packet must be a Data indication: from whom, and what."""
        data = self.wire.receive()
        if data is None:
            return None
        message = stun.decode(data)
        assert (message.method, message.cls) == (stun.DATA_METHOD, stun.INDICATION)
        read = stun.read_xor_address(message.get(stun.XOR_PEER_ADDRESS), message.transaction)
        return read[1], message.get(stun.DATA)

    def channel_data(self) -> tuple[int, bytes] | None:
        """The next packet must be channel data: the number, and what."""
        data = self.wire.receive()
        if data is None:
            return None
        number, length = struct.unpack_from("!HH", data)
        assert 0x4000 <= number <= 0x4FFF
        padded = (length + 3) & ~3 if self.wire.is_stream else length
        assert len(data) == 4 + padded and not any(data[4 + length :])
        return number, data[4 : 4 + length]


def peer_attribute(peer: Address, transaction: bytes) -> Attribute:
    return stun.XOR_PEER_ADDRESS, stun.xor_address(peer, transaction)


def channel_number(number: int) -> Attribute:
    return stun.CHANNEL_NUMBER, struct.pack("!HH", number, 0)


def family(number: int, kind: int = stun.REQUESTED_ADDRESS_FAMILY) -> Attribute:
    return kind, bytes((number, 0, 0, 0))


def code_of(message: Message | None) -> int:
    """The error code; 0 for success."""
    assert message is not None, "no answer"
    if message.cls == stun.SUCCESS:
        return 0
    value = message.get(stun.ERROR_CODE)
    assert value is not None and value[:2] == b"\0\0"
    return value[2] * 100 + value[3]


def relayed(message: Message, at: int = 0) -> Address:
    assert code_of(message) == 0, code_of(message)
    read = stun.read_xor_address(message.all(stun.XOR_RELAYED_ADDRESS)[at], message.transaction)
    return read[1]


def lifetime(message: Message) -> int:
    assert code_of(message) == 0, code_of(message)
    return int.from_bytes(message.get(stun.LIFETIME), "big")
