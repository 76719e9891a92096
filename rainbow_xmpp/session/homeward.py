"""The way home of somebody who came in at another region than their own.

Whoever takes a client in answers its stream until it says who it is. Then its home is found, a connection to a node of
that region is opened with what the client said so far (`Opening`), and everything goes on there: login, session, stream
management. Who took it in passes bytes on and keeps nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from rainbow_xmpp.errors import RainbowError

VERSION = 1
MOST_SAID = 3
"""A stream header, the element that begins a login, and the response to an empty challenge."""
MOST_OPENING_BYTES = 65_536


class HomeUnknown(RainbowError):
    """Where somebody is at home cannot be told now, or their home cannot be reached: to be tried again later."""


class BadOpening(RainbowError):
    """What a region says of somebody who comes home is not of the form."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the home is told of a client that another region took in."""

    framing: str
    """The name of the stream's framing."""
    address: str = field(repr=False)
    """The client's network address."""
    mechanisms: tuple[str, ...]
    """What it was offered: it may prove that it saw this (XEP-0474)."""
    bindings: Mapping[str, bytes]
    """The channels it can bind: those of the TLS that it speaks, which ends where it was taken in."""
    said: tuple[bytes, ...] = field(repr=False)
    """Its stream header, and what has been said of the login; only the last is not answered yet."""

    def to_bytes(self) -> bytes:
        return json.dumps(
            {
                "v": VERSION,
                "framing": self.framing,
                "address": self.address,
                "mechanisms": self.mechanisms,
                "bindings": {kind: base64.b64encode(data).decode() for kind, data in self.bindings.items()},
                "said": [each.decode() for each in self.said],
            },
            ensure_ascii=False,
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises BadOpening; what a later version adds is passed over."""
        try:
            read: Any = json.loads(data)
            if read["v"] != VERSION:
                raise BadOpening(f"version {read['v']!r} is not spoken here")
            said = tuple(_text(each).encode() for each in read["said"])
            opening = cls(
                _text(read["framing"]),
                _text(read["address"]),
                tuple(_text(each) for each in read["mechanisms"]),
                {
                    _text(kind): base64.b64decode(text, validate=True)
                    for kind, text in read["bindings"].items()
                },
                said,
            )
        except (ValueError, TypeError, KeyError, AttributeError, binascii.Error, RecursionError) as error:
            raise BadOpening(f"not of the form: {type(error).__name__}") from None
        if not 2 <= len(said) <= MOST_SAID:
            raise BadOpening("it says too little, or too much")
        return opening


@dataclass(frozen=True, slots=True)
class Relayed:
    """What a login knows of a client that another region took in."""

    region: str
    """That one."""
    mechanisms: tuple[str, ...]
    bindings: Mapping[str, bytes]
    authenticated: Callable[[], None]
    """To be called when it has proved who it is."""
    logged_in: Callable[[], None]
    """To be called when its resource is bound."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A connection that goes on to its home, as whoever passes its bytes on sees it."""

    transport: Any
    unread: bytes
    """What it has said that nobody has looked at, as it came over the wire."""
    farewell: bytes
    """What tells it that its home is not reached any more, as it goes over the wire."""
    logged_in: Callable[[], None]
    """To be called when the home says so."""
    left: Callable[[bool], None]
    """To be called when it is gone; True: before it logged in."""


class WayHome(Protocol):
    """A connection to somebody's home, which has taken them in."""

    def carry(self, guest: Guest) -> None:
        """Pass bytes on, both ways, until either end is gone."""

    def close(self) -> None:
        """They are gone already."""


class Homeward(Protocol):
    """Where people are at home, and the ways there."""

    answer_s: float
    """So long the answer to a name takes at least: how long it took must not say where somebody is, or whether."""

    async def region_of(self, names: Sequence[str]) -> str:
        """The home of the first of these login names that somebody has; "" when it is here. Raises HomeUnknown.

        Names that nobody has are of one region too, which refuses them as it refuses a wrong password.
        """

    async def open(self, region: str, names: Sequence[str], opening: Opening) -> WayHome:
        """To the home of whoever has one of these names. Raises HomeUnknown: that region does not answer."""


class HomeFinder(Protocol):
    """Knows, or asks, where people are at home."""

    async def home_of(self, name: str) -> str | None:
        """The region of whoever has this localpart or e-mail address; None: nobody has it.

        Raises StanzaError when a region does not say: a condition that passes.
        """

    def forget(self, name: str) -> None:
        """Their home did not know them: ask anew the next time."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
