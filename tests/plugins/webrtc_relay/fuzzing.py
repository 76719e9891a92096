"""Messages that nobody sends, against the control plane: whatever comes, nothing breaks and nothing is left over.

Half of them are signed by somebody who may call, so that what lies behind the authentication is reached too.
"""

from __future__ import annotations

import os
import random
import struct

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control import Limits
from tests.plugins.webrtc_relay.simulated import SimulatedWorld

METHODS = (
    *(stun.BINDING, stun.ALLOCATE, stun.REFRESH, stun.SEND, stun.DATA_METHOD),
    *(stun.CREATE_PERMISSION, stun.CREATE_PERMISSION, stun.CHANNEL_BIND, stun.SEND, stun.SEND),
)
TYPES = (
    *range(0x0001, 0x0003), *range(0x0006, 0x0026), *range(0x8000, 0x8005), 0x8022, 0x8023, 0x8028, 0x7FFF, 0xC001,
)  # fmt: skip
PEERS = (
    "127.0.0.2",
    "127.0.0.3",
    "127.0.0.1",
    "8.8.8.8",
    "10.0.0.1",
    "::1",
    "2a00::1",
    "::ffff:10.0.0.1",
    "fd00::2",
)
NUMBERS = (0, 1, 2, 6, 17, 0x40, 0x80, 0xFF, 600, 3600, 0x4000, 0x4FFF, 0x7FFF, 0xFFFF, 0xFFFF_FFFF)


class TurnFuzzer:
    """One world, and what is done to it. Raises AssertionError with the bytes that broke it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = SimulatedWorld(
            limits=Limits(
                per_user=4, permissions=5, channels=5, unauthenticated_per_second=50, ports_per_user=12
            ),
            first_port=50_000,
            last_port=50_031,
        )
        self.clients = [self.world.client(f"acme-{at % 4}") for at in range(8)]
        for client in self.clients[:6]:
            client.sha256 = self.random.random() < 0.5
            client.challenge()
        self.tokens = [bytes(8)]
        self.steps = 0

    def step(self) -> None:
        """One message, whatever it is, and all that must hold after it."""
        self.steps += 1
        client = self.random.choice(self.clients)
        data = self.mutated(self.message(client)) if self.random.random() < 0.5 else self.message(client)
        try:
            answer = self.world.control.handle(data, client.wire.five_tuple, self.world.now)
            self.judge(data, answer)
            if self.random.random() < 0.01:
                self.world.advance(self.random.choice((1, 5, 31, 121, 299, 601)))
            if self.steps % 50 == 0:
                self.judge_state()
        except Exception as error:
            raise AssertionError(f"{data.hex()}: {error!r}") from error
        client.wire.inbox.clear()
        if answer is not None:
            message = stun.decode(answer)
            nonce, token = message.get(stun.NONCE), message.get(stun.RESERVATION_TOKEN)
            if nonce is not None and client.nonce:
                client.learn(message)
            if token is not None:
                self.tokens = [*self.tokens[-3:], token]

    def judge(self, data: bytes, answer: bytes | None) -> None:
        """An answer belongs to its request, is whole, has no bytes of somebody else in its padding."""
        if answer is None:
            return
        request, message = stun.decode(data), stun.decode(answer)
        assert request.cls == stun.REQUEST and message.cls in (stun.SUCCESS, stun.ERROR)
        assert (request.method, request.transaction) == (message.method, message.transaction)
        at = stun.HEADER
        while at < len(answer):
            end = at + 4 + int.from_bytes(answer[at + 2 : at + 4], "big")
            at = (end + 3) & ~3
            assert not any(answer[end:at])

    def judge_state(self) -> None:
        """Control and data plane know the same relays, and there are no more of anything than there may be."""
        state, plane = self.world.control._allocations, self.world.plane
        live = {relay.local: relay for each in state.by_client.values() for relay in each.relays}
        held = {each.relay for each in state.reservations.values()}
        assert set(plane.relays) == live.keys() | held
        assert len(state.by_address) == len(live)
        for address, relay in live.items():
            assert plane.permissions[address].keys() == relay.permissions.keys()
            assert plane.channels[address] == {at: each.peer for at, each in relay.channels.items()}
            assert len(relay.permissions) <= 5 and len(relay.channels) <= 5
        users = [each.userid for each in state.by_client.values()]
        assert all(users.count(userid) <= 4 for userid in users)
        assert state.quotas._total == len(users)
        assert sum(state.quotas._sources.values()) == len(users)

    def message(self, client) -> bytes:
        chance, transaction = self.random.random, self.random.randbytes(12)
        method = self.random.choice(METHODS) if chance() < 0.98 else self.random.randrange(0x1000)
        cls = stun.INDICATION if method == stun.SEND else stun.REQUEST
        if chance() < 0.05:
            cls = self.random.randrange(4)
        attributes = self.sensible(method, transaction) if chance() < 0.7 else []
        attributes += [self.attribute(transaction) for _ in range(self.random.choice((0, 0, 0, 1, 2, 6)))]
        self.random.shuffle(attributes)
        options = {}
        if client.nonce and chance() < 0.9:
            attributes += client.login()
            options = {"key": client.key(), "sha256": client.sha256}
        return stun.encode(method, cls, transaction, attributes, fingerprint=chance() < 0.3, **options)

    def sensible(self, method: int, transaction: bytes) -> list[stun.Attribute]:
        """What this method needs, and now and then what it may have."""
        chance, peer = self.random.random, self.peer(transaction)
        if method == stun.ALLOCATE:
            wanted = [(stun.REQUESTED_TRANSPORT, b"\x11\0\0\0")]
            may_have = (
                (stun.EVEN_PORT, self.random.choice((b"\0", b"\x80"))),
                (stun.RESERVATION_TOKEN, self.random.choice(self.tokens)),
                (stun.REQUESTED_ADDRESS_FAMILY, bytes((self.random.choice((1, 2)), 0, 0, 0))),
                (stun.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"),
            )
            wanted += [attribute for attribute in may_have if chance() < 0.12]
            return wanted
        if method == stun.REFRESH:
            return [stun.u32(stun.LIFETIME, self.random.choice((0, 600, 1200, 3600)))]
        if method == stun.CREATE_PERMISSION:
            return [self.peer(transaction) for _ in range(self.random.choice((1, 1, 2, 4)))]
        if method == stun.CHANNEL_BIND:
            return [(stun.CHANNEL_NUMBER, struct.pack("!HH", 0x4000 + self.random.randrange(8), 0)), peer]
        return [peer, (stun.DATA, b"x" * self.random.randrange(9))] if method == stun.SEND else []

    def peer(self, transaction: bytes) -> stun.Attribute:
        ip = self.random.choice(PEERS[:2] if self.random.random() < 0.8 else PEERS)
        address = (ip, self.random.choice((0, 4000, 4001, 50_000, 50_001, 65_535)))
        return stun.XOR_PEER_ADDRESS, stun.xor_address(address, transaction)

    def attribute(self, transaction: bytes) -> stun.Attribute:
        kind = self.random.choice(TYPES)
        number = self.random.choice(NUMBERS)
        value = self.random.choice(
            (
                b"",
                number.to_bytes(4, "big"),
                bytes((number & 0xFF, 0, 0, 0)),
                struct.pack("!HH", number & 0xFFFF, 0),
                self.random.choice(self.tokens),
                self.peer(transaction)[1],
                self.random.randbytes(self.random.choice((1, 3, 4, 8, 20, 32, 100, 763))),
                "١٢:ü\x00".encode() + b"\xff\xfe",
            )
        )
        return kind, value

    def mutated(self, data: bytes) -> bytes:
        """Bits flipped, parts cut, doubled or moved; now and then with a header whose length is right again."""
        out = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 5))):
            kind, at = self.random.randrange(5), self.random.randrange(len(out) + 1)
            if kind == 0 and at < len(out):
                out[at] ^= 1 << self.random.randrange(8)
            elif kind == 1:
                del out[at : at + self.random.choice((1, 4, 8, 40))]
            elif kind == 2:
                out[at:at] = out[at : at + self.random.choice((4, 12))]
            elif kind == 3 and at + 1 < len(out):
                out[at : at + 2] = self.random.choice(NUMBERS).to_bytes(4, "big")[-2:]
            elif kind == 4:
                out[at:at] = self.random.randbytes(self.random.choice((1, 4)))
        if len(out) >= stun.HEADER and self.random.random() < 0.7:
            out = out[: stun.HEADER + (len(out) - stun.HEADER & ~3)]
            out[2:4] = (len(out) - stun.HEADER).to_bytes(2, "big")
        return bytes(out)


def anything(seed: int, steps: int) -> TurnFuzzer:
    """So many steps from this seed."""
    fuzzer = TurnFuzzer(seed)
    for _ in range(steps):
        fuzzer.step()
    fuzzer.judge_state()
    return fuzzer


def fresh_seed() -> int:
    return int.from_bytes(os.urandom(3), "big")
