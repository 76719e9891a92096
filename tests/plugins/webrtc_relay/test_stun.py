"""The STUN codec: the vectors of RFC 5769 and RFC 8489 appendix B, and messages that are none."""

import struct
import zlib

import pytest

from rainbow_xmpp.plugins.webrtc_relay import stun

SHORT_TERM = b"VOkJxbRl1RmTxUk/WvJxBt"
MATRIX = "マトリックス"
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae80220010"
    "5354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36"
    "0006000965767"
    "46a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_IPV4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200008"
    "0001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_IPV6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200014"
    "0002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275"
    "bfe3ed4180280004c8fb0b4c"
)
LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
APPENDIX_B = bytes.fromhex(  # as verified erratum 6268 has it
    "000100902112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f733241414143662f2f3439396b3935346436"
    "4f4c33346f4c394653547679363473410000000014000b6578616d706c652e6f726700"
    "001d000400020000001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
)


def test_rfc_5769_2_1_a_request_with_short_term_credentials():
    message = stun.decode(REQUEST)
    assert (message.method, message.cls, message.fingerprint) == (stun.BINDING, stun.REQUEST, True)
    assert message.transaction.hex() == "b7e7a701bc34d686fa87dfae"
    assert message.get(stun.USERNAME) == b"evtj:h6vY"
    assert message.get(stun.SOFTWARE) == b"STUN test client"
    assert message.signed_with(SHORT_TERM)
    assert not message.signed_with(SHORT_TERM + b"x")


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (RESPONSE_IPV4, ("192.0.2.1", 32853)),
        (RESPONSE_IPV6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
    ids=["2.2", "2.3"],
)
def test_rfc_5769_responses(data, address):
    message = stun.decode(data)
    value = message.get(stun.XOR_MAPPED_ADDRESS)
    assert (message.cls, message.fingerprint, message.signed_with(SHORT_TERM)) == (stun.SUCCESS, True, True)
    assert stun.read_xor_address(value, message.transaction) == (stun.family_of(address[0]), address)
    assert stun.xor_address(address, message.transaction) == value


def test_rfc_5769_2_4_a_request_with_long_term_credentials_is_made_byte_for_byte():
    key = stun.long_term_key(MATRIX, "example.org", "TheMatrIX")
    message = stun.decode(LONG_TERM)
    assert message.signed_with(key)
    assert message.attributes == [
        (stun.USERNAME, MATRIX.encode()),
        (stun.NONCE, b"f//499k954d6OL34oL9FSTvy64sA"),
        (stun.REALM, b"example.org"),
    ]
    assert (
        stun.encode(stun.BINDING, stun.REQUEST, message.transaction, message.attributes, key=key) == LONG_TERM
    )


def test_rfc_8489_appendix_b_sha256_and_userhash_byte_for_byte():
    key = stun.long_term_key(MATRIX, "example.org", "TheMatrIX", sha256=True)
    message = stun.decode(APPENDIX_B)
    assert message.signed_with(key)
    assert message.get(stun.USERHASH) == stun.userhash(MATRIX, "example.org")
    made = stun.encode(
        stun.BINDING, stun.REQUEST, message.transaction, message.attributes, key=key, sha256=True
    )
    assert made == APPENDIX_B


def test_rfc_8489_9_2_2_the_key_of_its_example():
    assert stun.long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"


@pytest.mark.parametrize("data", [REQUEST, RESPONSE_IPV4, RESPONSE_IPV6], ids=["2.1", "2.2", "2.3"])
def test_every_changed_bit_is_noticed(data):
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0x01
        try:
            message = stun.decode(bytes(changed))
        except stun.NotStun:
            continue
        # Its own header is what a changed FINGERPRINT type hides behind: an optional attribute nobody knows.
        assert at in (len(data) - 8, len(data) - 7) and not message.fingerprint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:19],
        b"\x40\0\0\0" + REQUEST[4:20],  # channel data
        b"\x80\1\0\0" + REQUEST[4:20],  # first bits not zero
        b"\0\1\0\0\0\0\0\0" + REQUEST[8:20],  # no magic cookie
        b"\0\1\0\2" + REQUEST[4:20] + b"\0\0",  # no multiple of four
        b"\0\1\0\4" + REQUEST[4:20],  # longer than the datagram
        b"\0\1\0\0" + REQUEST[4:20] + b"\0\x06\0\0",  # shorter than the datagram
        b"\0\1\0\4" + REQUEST[4:20] + b"\0\x06\0\1",  # attribute longer than the message
        b"\0\1\0\4" + REQUEST[4:20] + b"\0\x06\xff\xff",
        b"\0\1\2\4" + REQUEST[4:20] + b"\0\x06\0\0" * 129,  # too many
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(stun.NotStun):
        stun.decode(data)


def test_a_fingerprint_that_is_not_last_is_no_message():
    head = stun.encode(stun.BINDING, stun.REQUEST, bytes(12), fingerprint=True)
    body = head[20:] + struct.pack("!HH", stun.SOFTWARE, 0)
    with pytest.raises(stun.NotStun):
        stun.decode(head[:2] + len(body).to_bytes(2, "big") + head[4:20] + body)


def test_of_an_attribute_that_stands_twice_the_first_counts_and_what_follows_integrity_does_not():
    key = b"k"
    attributes = [(stun.REALM, b"one"), (stun.REALM, b"two")]
    signed = stun.encode(stun.REFRESH, stun.REQUEST, bytes(12), attributes, key=key)
    added = struct.pack("!HHI", stun.LIFETIME, 4, 0) + struct.pack("!HH", 0x7777, 0)
    longer = signed[:2] + (len(signed) - 20 + len(added)).to_bytes(2, "big") + signed[4:] + added
    message = stun.decode(longer)
    assert message.signed_with(key)
    assert message.get(stun.REALM) == b"one"
    assert message.all(stun.REALM) == [b"one", b"two"]
    assert message.get(stun.LIFETIME) is None
    assert message.unknown_required(frozenset({stun.REALM})) == []


def test_sha256_integrity_may_follow_sha1_and_is_the_one_that_counts_and_may_not_be_truncated():
    def sha256_after(key256: bytes, size: int) -> bool:
        with_sha1 = stun.encode(stun.REFRESH, stun.REQUEST, bytes(12), key=b"one")
        whole = with_sha1[:2] + (24 + 4 + size).to_bytes(2, "big") + with_sha1[4:]
        mac = stun.hmac.digest(key256, whole, "sha256")[:size]
        return stun.decode(whole + struct.pack("!HH", stun.MESSAGE_INTEGRITY_SHA256, size) + mac).signed_with(
            b"one"
        )

    assert sha256_after(b"one", 32)
    assert not sha256_after(b"two", 32)
    assert not sha256_after(b"one", 16)


def test_methods_and_classes_of_every_number_come_back():
    for method in range(0x1000):
        for cls in range(4):
            message = stun.decode(stun.encode(method, cls, bytes(12)))
            assert (message.method, message.cls) == (method, cls)
    assert stun.encode(stun.CREATE_PERMISSION, stun.ERROR, bytes(12))[:2] == b"\x01\x18"


def test_padding_is_zeros_and_counts_for_the_length_not_the_value():
    for size in range(9):
        data = stun.encode(stun.BINDING, stun.SUCCESS, bytes(12), [(stun.SOFTWARE, b"\xff" * size)])
        assert data[24 + size :] == bytes(-size % 4)
        assert data[22:24] == size.to_bytes(2, "big")


def test_malformed_addresses_are_none():
    for value in (
        b"",
        b"\0\1\0\0",
        b"\0\1" + bytes(7),
        b"\0\2" + bytes(6),
        b"\0\3" + bytes(6),
        b"\0\1" + bytes(18),
    ):
        assert stun.read_xor_address(value, bytes(12)) is None


def test_the_fingerprint_is_what_the_rfc_says():
    data = stun.encode(stun.BINDING, stun.REQUEST, bytes(12), fingerprint=True)
    assert data[-8:-4] == bytes.fromhex("80280004")
    assert int.from_bytes(data[-4:], "big") == zlib.crc32(data[:-8]) ^ 0x5354554E
