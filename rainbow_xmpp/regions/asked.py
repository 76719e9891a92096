"""To whom sessions here said something: nobody else answers them, and no region but the one that it went to."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MOST_ASKED = 50_000
"""What is forgotten for these is found again in the batch that brings the answer; only late answers are lost."""


class Asked(NamedTuple):
    """What a region may answer."""

    region: str
    session: str
    """A full JID."""
    contact: str
    """A bare JID."""


class AskedLately:
    """Remembers, and is bounded."""

    def __init__(self) -> None:
        self._known: OrderedDict[Asked, None] = OrderedDict()

    def note(self, region: str, session: str, to: str) -> None:
        """The session (a full JID) says something to somebody of that region."""
        asked = Asked(region, session, to.partition("/")[0])
        self._known[asked] = None
        self._known.move_to_end(asked)
        if len(self._known) > MOST_ASKED:
            self._known.popitem(last=False)

    def may_answer(self, region: str, session: str, contact: str) -> bool:
        """The region may send this session something in the name of that bare JID."""
        return Asked(region, session, contact) in self._known
