"""A short, seeded piece of what `make fuzz` does to the relay for longer, and the parser against any bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainbow_xmpp.plugins.webrtc_relay import stun
from tests.plugins.webrtc_relay.fuzzing import anything
from tests.plugins.webrtc_relay.simulated import SimulatedWorld

WORLD = SimulatedWorld()
WIRE = WORLD.wire()
BLOCKS = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40), st.integers(-3, 3)), max_size=12)


def _frame(kind: int, cookie: bytes, body: bytes, wrong: int) -> bytes:
    return kind.to_bytes(2, "big") + max(0, len(body) + wrong).to_bytes(2, "big") + cookie + bytes(12) + body


FRAMES = st.builds(
    _frame,
    st.integers(0, 0xFFFF),
    st.sampled_from([stun.MAGIC_BYTES, stun.MAGIC_BYTES, stun.MAGIC_BYTES, bytes(4)]),
    BLOCKS.map(
        lambda blocks: b"".join(
            kind.to_bytes(2, "big")
            + max(0, len(value) + off).to_bytes(2, "big")
            + value
            + bytes(-len(value) % 4)
            for kind, value, off in blocks
        )
    ),
    st.sampled_from([0, 0, 0, 0, 4, -4, 1]),
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), FRAMES))
def test_of_any_bytes_the_parser_makes_a_message_within_their_bounds_or_none(data: bytes):
    WORLD.control.handle(data, WIRE.five_tuple, WORLD.now)
    try:
        message = stun.decode(data)
    except stun.NotStun:
        return
    assert message.data == data and len(message.attributes) <= stun.MAX_ATTRIBUTES
    at = stun.HEADER
    for kind, value in message.attributes:
        found = data.index(kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value, at)
        at = found + 4 + len(value)
        assert at <= len(data)
    for signed_at in (message.sha1_at, message.sha256_at):
        assert not signed_at or stun.HEADER <= signed_at <= len(data) - 4
    assert not message.signed_with(b"a key that nobody has")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=80)), max_size=20), st.booleans())
def test_what_was_encoded_is_decoded(attributes, fingerprint: bool):
    special = {stun.FINGERPRINT, stun.MESSAGE_INTEGRITY, stun.MESSAGE_INTEGRITY_SHA256}
    attributes = [each for each in attributes if each[0] not in special]
    for sha256 in (False, True):
        data = stun.encode(
            stun.REFRESH,
            stun.REQUEST,
            b"t" * 12,
            attributes,
            key=b"k",
            sha256=sha256,
            fingerprint=fingerprint,
        )
        message = stun.decode(data)
        assert (message.attributes, message.fingerprint) == (attributes, fingerprint)
        assert message.signed_with(b"k") and not message.signed_with(b"l")


@settings(max_examples=60, deadline=None)
@given(st.ip_addresses(), st.integers(0, 0xFFFF), st.binary(min_size=12, max_size=12))
def test_addresses_come_back(ip, port: int, transaction: bytes):
    value = stun.xor_address((str(ip), port), transaction)
    kind, (read, read_port) = stun.read_xor_address(value, transaction)
    assert (stun.packed_ip(read)[1], read_port) == (ip.packed, port)
    assert kind == (stun.IPV4 if ip.version == 4 else stun.IPV6)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_clients_send_nothing_breaks_and_nothing_is_left_over(seed: int):
    fuzzer = anything(seed, 1500)
    assert fuzzer.world.plane.opened and fuzzer.world.plane.sent
    fuzzer.world.advance(3700)
    fuzzer.judge_state()
    assert not fuzzer.world.plane.relays
    assert not any(ports._busy for _, ports in fuzzer.world.control._allocations.ports.values())
