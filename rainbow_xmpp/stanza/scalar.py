"""Values in attributes and texts: from XML to Python's types and back."""

from __future__ import annotations

import base64
import binascii
import math
import re
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.jid import JID

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}").fullmatch
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?").fullmatch
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
).fullmatch


class Scalar(NamedTuple):
    """How one type is read and written. `read` raises ValueError; `name` is for people."""

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def scalar_of(kind: Any) -> Scalar:
    """How values of this type, or of `X | None`, look in XML. Raises LocalMisuse."""
    options = [kind]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        options = list(typing.get_args(kind))
    plain = [option for option in options if option is not type(None)]
    if len(plain) == 1:
        if plain[0] in _KNOWN:
            return _KNOWN[plain[0]]
        if isinstance(plain[0], type) and issubclass(plain[0], Enum):
            return _one_of(plain[0])
    known = ", ".join(kind.__name__ for kind in _KNOWN)
    raise LocalMisuse(f"{kind} cannot stand in an attribute or a text; use {known}, an Enum, or one `| None`")


def _one_of(kind: type[Enum]) -> Scalar:
    names = ", ".join(str(member.value) for member in kind)
    by_text = {str(member.value): member for member in kind}

    def read(text: str) -> Enum:
        try:
            return by_text[text]
        except KeyError:
            raise ValueError(text) from None

    return Scalar(f"one of {names}", read, lambda member: str(member.value))


def _bool(text: str) -> bool:
    """xs:boolean."""
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError(text)


def _int(text: str) -> int:
    """xs:long: what Python alone takes (`1_000`, Arabic digits), and what no database keeps, is none."""
    if not _WHOLE(text):
        raise ValueError(text)
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value


def _float(text: str) -> float:
    """xs:decimal or xs:double; what is none, or has no end, is refused."""
    if len(text) > 64 or not _NUMBER(text):
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _time(text: str) -> datetime:
    """A moment (XEP-0082 §3.2), in UTC; without an offset, or at the very ends of the calendar, it is none."""
    if not _MOMENT(text):
        raise ValueError(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None


def stamp_of(moment: datetime) -> str:
    """A moment in UTC as XEP-0082 §3.2 spells it; fractions of a second only where there are some."""
    if moment.tzinfo is None:
        raise LocalMisuse("a time without an offset is no moment: datetime.now(UTC)")
    utc = moment.astimezone(UTC)
    fractions = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    precision = fractions if utc.microsecond else "seconds"
    return utc.isoformat(timespec=precision).replace("+00:00", "Z")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


def _trimmed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """XML Schema collapses white space around every value that is no text (part 2, §4.3.6)."""
    return lambda text: read(text.strip(" \t\r\n"))


_KNOWN: dict[Any, Scalar] = {
    str: Scalar("text", str, str),
    bool: Scalar("true or false", _trimmed(_bool), lambda value: "true" if value else "false"),
    int: Scalar("a whole number", _trimmed(_int), str),
    float: Scalar("a number", _trimmed(_float), repr),
    JID: Scalar("an address", JID.parse, str),
    datetime: Scalar("a time such as 2026-01-31T12:00:00Z", _trimmed(_time), stamp_of),
    bytes: Scalar("base64", _bytes, lambda value: base64.b64encode(value).decode()),
}
