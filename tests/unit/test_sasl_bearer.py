"""OAUTHBEARER: what the client may send, and how a token that is worth nothing ends (RFC 7628)."""

import base64

import pytest

from rainbow_xmpp.sasl import Challenge, CheckToken, Exchange, Failure, FailureCondition, Offer, Success

OFFER = Offer(("OAUTHBEARER",), {})


def sent(message: bytes) -> str:
    return base64.b64encode(message).decode()


def begin() -> Exchange:
    return Exchange(OFFER, "OAUTHBEARER", "nonce")


@pytest.mark.parametrize(
    ("message", "authzid"),
    [
        (b"n,,\x01auth=Bearer abc.def-g\x01\x01", ""),
        (b"n,a=ann@chat.example,\x01auth=bearer abc.def-g\x01\x01", "ann@chat.example"),
        (
            b"n,a=ann=2Cx@a.example,\x01host=a.example\x01port=443\x01auth=Bearer abc.def-g\x01\x01",
            "ann,x@a.example",
        ),
    ],
)
def test_a_token_is_taken_with_whom_to_act_as(message: bytes, authzid: str) -> None:
    exchange = begin()
    assert exchange.start(sent(message)) == CheckToken(authzid, "abc.def-g")
    assert exchange.checked(True) == Success(b"")


def test_a_token_does_not_show_itself() -> None:
    assert "abc" not in repr(begin().start(sent(b"n,,\x01auth=Bearer abc\x01\x01")))


@pytest.mark.parametrize("answer", [b"\x01", b"", b"n,,\x01auth=Bearer good\x01\x01"])
def test_who_is_refused_is_told_why_and_then_it_is_over(answer: bytes) -> None:
    exchange = begin()
    exchange.start(sent(b"n,,\x01auth=Bearer abc\x01\x01"))
    assert exchange.checked(False) == Challenge(b'{"status":"invalid_token"}')
    over = exchange.respond(sent(answer) or "=")
    assert isinstance(over, Failure)
    assert over.condition is FailureCondition.NOT_AUTHORIZED


@pytest.mark.parametrize(
    "message",
    [
        b"", b"abc", b"n,,\x01\x01", b"n,,auth=Bearer abc", b"p=tls-exporter,,\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Basic abc\x01\x01", b"n,,\x01auth=Bearer \x01\x01", b"n,,\x01auth=Bearer a b\x01\x01",
        b"n,,\x01auth=Bearer abc\x01auth=Bearer def\x01\x01", b"n,,\x01auth=Bearer abc\x01\x01x", b"\xff\xfe",
        b"n,a=\x00,\x01auth=Bearer abc\x01\x01",
    ],
)  # fmt: skip
def test_what_is_no_such_message_is_malformed(message: bytes) -> None:
    step = begin().start(sent(message) or "=")
    assert isinstance(step, Failure)
    assert step.condition is FailureCondition.MALFORMED_REQUEST
