"""What regions say to each other of a move (msgpack, sealed by the border).

Fields are only ever added at the end, with defaults: regions are not updated at the same moment.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from rainbow_xmpp.errors import RainbowError

SERVICE = "moving"
"""The service of the border that takes people in."""

T = TypeVar("T")


class Malformed(RainbowError):
    """What another region said is not what this version understands."""


class Begin(msgspec.Struct, array_like=True, frozen=True, tag="b"):
    """Somebody is to come. Whatever came of the same move before is void."""

    move: str
    company: bytes
    """As `rainbow_xmpp.company.record` has it."""
    account_id: str
    localpart: str
    emails: list[str]
    columns: dict[str, list[str]]
    """What crosses of a row, by table."""


class Part(msgspec.Struct, array_like=True, frozen=True, tag="p"):
    """Some rows of one table, in order."""

    move: str
    kind: str
    number: int
    """From 0, without gaps."""
    rows: bytes
    """A list of rows, each a list of values in the order of the columns."""


class Compare(msgspec.Struct, array_like=True, frozen=True, tag="c"):
    """That was all: is it the same there?"""

    move: str
    totals: dict[str, tuple[int, str]]


class Take(msgspec.Struct, array_like=True, frozen=True, tag="t"):
    """Make the account out of it: it lives there from now on."""

    move: str
    company: bytes
    totals: dict[str, tuple[int, str]]


class Drop(msgspec.Struct, array_like=True, frozen=True, tag="d"):
    """They stay: what came of this move is not needed."""

    move: str


class Home(msgspec.Struct, array_like=True, frozen=True, tag="h"):
    """The company is at home elsewhere from now on: all its people are there. To all regions, that one first."""

    company: bytes


Words = Begin | Part | Compare | Take | Drop | Home


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """Done, or why not, in an administrator's words. Said again, the same is answered."""

    is_done: bool
    why_not: str = ""
    is_there: bool = False
    """They live there already."""


_encoder = msgspec.msgpack.Encoder()
_words: msgspec.msgpack.Decoder[Words] = msgspec.msgpack.Decoder(Words)
_answer = msgspec.msgpack.Decoder(Answer)
_rows = msgspec.msgpack.Decoder(list[list[Any]])


def encode(said: Words | Answer | list[list[Any]]) -> bytes:
    """As it crosses."""
    return _encoder.encode(said)


def words(data: bytes) -> Words:
    """What was said. Raises Malformed."""
    return _decoded(_words, data)


def answer(data: bytes) -> Answer:
    """What was answered. Raises Malformed."""
    return _decoded(_answer, data)


def rows(data: bytes) -> list[list[Any]]:
    """The rows of a part. Raises Malformed."""
    return _decoded(_rows, data)


def _decoded(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise Malformed(f"a region says what is not understood here: {error}") from None
