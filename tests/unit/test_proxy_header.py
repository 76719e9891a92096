"""The header of the PROXY protocol, version 2: what it says, and what is none."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainbow_xmpp.transport.proxy_header import (
    FIXED_BYTES,
    MOST_BYTES,
    SIGNATURE,
    Arrival,
    BadHeader,
    arrival_of,
    body_length,
)
from tests.proxy_headers import LOCAL, ON_TLS, header


def read(data: bytes) -> Arrival:
    return arrival_of(data, "10.0.0.9", 999)


@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8::7"])
def test_it_says_whose_the_connection_is(address: str) -> None:
    assert read(header(address, 4711)) == Arrival(address, 4711)


def test_fields_behind_the_addresses_are_passed_over_but_for_that_of_tls() -> None:
    name = struct.pack("!BH", 0x02, 4) + b"name"
    assert read(header("198.51.100.7", fields=name)) == Arrival("198.51.100.7", 4711)
    assert read(header("198.51.100.7", fields=name + ON_TLS + name)).had_tls


def test_what_client_and_balancer_agreed_on_is_told() -> None:
    agreed = struct.pack("!BH", 0x01, 11) + b"xmpp-client"
    assert read(header("198.51.100.7", fields=ON_TLS + agreed)).alpn == "xmpp-client"


def test_a_client_without_tls_is_not_taken_for_one_with_it() -> None:
    assert not read(header("198.51.100.7", fields=struct.pack("!BH", 0x20, 5) + b"\x06\0\0\0\0")).had_tls


def test_a_check_is_the_load_balancers_own_connection() -> None:
    assert read(LOCAL) == Arrival("10.0.0.9", 999, is_check=True)
    stuffed = SIGNATURE + b"\x20\x11" + struct.pack("!H", 20) + bytes(20)
    assert read(stuffed) == Arrival("10.0.0.9", 999, is_check=True)


GOOD = header("198.51.100.7", fields=ON_TLS)


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        SIGNATURE + b"\x11" + GOOD[13:],
        SIGNATURE + b"\x31" + GOOD[13:],
        SIGNATURE + b"\x22" + GOOD[13:],
        SIGNATURE + b"\x21\x00" + GOOD[14:],
        SIGNATURE + b"\x21\x12" + GOOD[14:],
        SIGNATURE + b"\x21\x31" + GOOD[14:],
        SIGNATURE + b"\x21\x21" + struct.pack("!H", 12) + bytes(12),
        SIGNATURE + b"\x21\x11" + struct.pack("!H", 11) + bytes(11),
        SIGNATURE + b"\x21\x11" + struct.pack("!H", MOST_BYTES) + bytes(MOST_BYTES),
        header("198.51.100.7", fields=b"\x02"),
        header("198.51.100.7", fields=b"\x02\x00\x05four"),
        header("198.51.100.7", fields=b"\x20\x00\x01\x07"),
        GOOD[:-1],
        GOOD + b"\x16",
    ],
    ids=[
        "version 1", "a handshake", "version 1 in this form", "version 3", "an unknown command", "no family", "UDP",
        "a local socket", "too short for IPv6", "too short for IPv4", "too long", "a field of one byte",
        "a field that is cut off", "TLS that is cut off", "a byte less", "a byte more",
    ],
)  # fmt: skip
def test_what_is_no_such_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadHeader):
        read(data)


def test_what_cannot_become_one_is_refused_at_its_first_wrong_byte() -> None:
    for size in range(1, len(SIGNATURE) + 1):
        assert body_length(SIGNATURE[:size]) == 0
        with pytest.raises(BadHeader):
            body_length(SIGNATURE[: size - 1] + b"?")


@given(st.binary(max_size=600) | st.binary(max_size=600).map(lambda tail: SIGNATURE + b"\x21\x11" + tail))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    try:
        arrival = read(data)
    except BadHeader:
        return
    assert FIXED_BYTES <= len(data) <= MOST_BYTES
    assert 0 <= arrival.port <= 65_535


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(at: int, byte: int) -> None:
    try:
        read(GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])
    except BadHeader:
        return
    assert at >= 12, "the signature was another one"
