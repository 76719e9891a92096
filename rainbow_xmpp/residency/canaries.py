"""Canaries: texts that stand nowhere else, one for each kind of data that the declared tables have.

All texts of one planting have a tag in common, so that what is looked for is one text and not hundreds; what stands
behind the tag says which it is.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from rainbow_xmpp.errors import RainbowError

VERSION = 1
TAG_CHARS = 12
_LETTERS = "bcdfghjkmnpqrstvwxz"
_ALPHABET = _LETTERS + "23456789"
"""Small letters and digits, which no protocol, database or file name changes; no vowels, so no words."""


class NoCanaries(RainbowError):
    """A file that was not written by `audit residency --plant`."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One text, and where it was planted."""

    text: str
    place: str
    """Table and column, or what else it was said as."""
    may_be_with: tuple[str, ...] = ()
    """Accounts elsewhere that may have a copy of their own: whom it was said to."""


@dataclass(slots=True)
class Canaries:
    """Those of one region."""

    region: str
    tag: str = field(default_factory=lambda: new_tag())
    planted: list[Canary] = field(default_factory=list)
    unplanted: list[str] = field(default_factory=list)
    """Places that have no room for one: numbers, and texts that are too short."""
    hashes: dict[str, str] = field(default_factory=dict)
    """Keyed hashes of names that were planted, as hex digits, by what they are of."""
    accounts: list[str] = field(default_factory=list)
    """Ids of the accounts that were made for it."""
    companies: list[str] = field(default_factory=list)

    def new(self, place: str, may_be_with: Sequence[str] = ()) -> str:
        """A text for this place."""
        canary = Canary(f"{self.tag}{len(self.planted):04d}", place, tuple(may_be_with))
        self.planted.append(canary)
        return canary.text

    @property
    def of_account(self) -> Canary:
        """The id of an account that was made for it, which those may know to whom it spoke."""
        may = tuple(dict.fromkeys(id_ for canary in self.planted for id_ in canary.may_be_with))
        return Canary("", "the account's id", may)

    @property
    def length(self) -> int:
        """Of each text."""
        return TAG_CHARS + 4

    def which(self, text: str) -> Canary | None:
        """Which one it is; None for the tag alone."""
        found = re.search(re.escape(self.tag) + r"(\d{4})", text, re.IGNORECASE)
        number = int(found[1]) if found else -1
        return self.planted[number] if 0 <= number < len(self.planted) else None

    def to_json(self) -> str:
        """For the file that goes to the other regions' servers."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises NoCanaries."""
        try:
            found: dict[str, Any] = json.loads(text)
            if found.pop("version") != VERSION:
                raise NoCanaries("the canaries were planted by another version")
            planted = [
                Canary(each["text"], each["place"], tuple(each["may_be_with"]))
                for each in found.pop("planted")
            ]
            return cls(planted=planted, **found)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NoCanaries("this is no file of audit residency --plant") from None


def new_tag() -> str:
    """A text that stands nowhere, of 57 bits. It ends with a letter: what follows is a number."""
    drawn = [secrets.choice(_ALPHABET) for _ in range(TAG_CHARS - 1)]
    return "".join((*drawn, secrets.choice(_LETTERS)))
