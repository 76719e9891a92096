"""What a TLS client wants is read from its hello before anybody answers, within its bounds."""

import random
import ssl

import pytest

from rainbow_xmpp.transport.client_hello import MOST_RECORDS, PEEK_BYTES, missing, offers, server_name


def hello(name: str | None = "na.chat.example.com", *, alpn: tuple[str, ...] = ("xmpp-client",)) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same message in records of this size."""
    message, cut = data[5:], b""
    for at in range(0, len(message), size):
        piece = message[at : at + size]
        cut += data[:3] + len(piece).to_bytes(2, "big") + piece
    return cut


@pytest.mark.parametrize("name", ["na.chat.example.com", "NA.Chat.Example.Com"])
def test_the_host_is_read_whatever_its_case(name: str) -> None:
    assert server_name(hello(name)) == "na.chat.example.com"


def test_who_names_no_host_wants_none() -> None:
    assert server_name(hello(None)) == ""
    assert (
        server_name(b"GET / HTTP/1.1\r\n\r\n")
        == server_name(b"<?xml version='1.0'?>")
        == server_name(b"")
        == ""
    )


def test_a_hello_in_several_records_is_read_as_one() -> None:
    whole = hello()
    cut = in_records(whole, len(whole) // (MOST_RECORDS - 1))
    assert missing(cut) == 0
    assert server_name(cut) == "na.chat.example.com"
    assert offers(cut, b"xmpp-client")
    many = in_records(whole, 8)
    assert missing(many) == 0, "nobody waits for more of that"
    assert server_name(many) == ""


def test_what_is_missing_is_known_from_the_first_byte_on() -> None:
    whole = hello()
    assert missing(whole) == 0
    for end in range(1, len(whole)):
        wanted = missing(whole[:end])
        assert 0 < wanted <= len(whole) - end
        assert server_name(whole[:end]) == ""
    looks, have = 0, 1
    while more := missing(whole[:have]):
        have, looks = have + more, looks + 1
    assert looks <= 2, "the header of a record says how long it is"


def test_nothing_that_is_too_long_is_waited_for() -> None:
    assert missing(b"\x16\x03\x01\xff\xff\x01") == 0
    assert missing(b"\x16\x03\x01\x00\x00") == 0
    assert missing(b"\x16\x03\x01\x00\x04\x01" + (PEEK_BYTES * 2).to_bytes(3, "big")) == 0
    assert missing(b"\x16\x03\x01\x00\x01\x02") == 0, "another message than a hello"
    assert missing(b"") == 0


def test_two_names_are_none() -> None:
    """RFC 6066 §3: not more than one of a type; whoever sends two may mean either."""
    whole = hello("aa.example.com")
    at = whole.index(b"\x00\x0eaa.example.com") - 1
    entry = whole[at : at + 17]
    body = entry + entry
    doubled = (
        whole[: at - 6] + b"\0\0" + (len(body) + 2).to_bytes(2, "big") + len(body).to_bytes(2, "big") + body
    )
    rest = whole[at + 17 :]
    doubled += rest
    grown = bytearray(doubled)
    grown[3:5] = (len(doubled) - 5).to_bytes(2, "big")
    grown[6:9] = (len(doubled) - 9).to_bytes(3, "big")
    extensions = 43 + 1 + grown[43]
    extensions += 2 + int.from_bytes(grown[extensions : extensions + 2], "big")
    extensions += 1 + grown[extensions]
    grown[extensions : extensions + 2] = (len(grown) - extensions - 2).to_bytes(2, "big")
    assert missing(bytes(grown)) == 0
    assert offers(bytes(grown), b"xmpp-client"), "the rest of it is sound"
    assert server_name(bytes(grown)) == ""


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_is_read_without_a_fault(seed: int) -> None:
    dice, whole = random.Random(seed), hello()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        if dice.random() < 0.3:
            data = data[: dice.randrange(len(data))]
        if dice.random() < 0.1:
            data = bytearray(dice.randbytes(dice.randrange(200)))
        said = server_name(bytes(data))
        assert said.isascii() and len(said) <= 253
        offers(bytes(data), b"xmpp-client")
        assert 0 <= missing(bytes(data)) <= PEEK_BYTES
