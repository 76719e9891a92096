"""How rows of people's data go to another region with their owner, where that is not simply as they are.

A table says it in its declaration (`people_table(…, carried=…)`): what is bound to the keys of a region is opened
there and sealed anew where it arrives, what is drawn from other rows stays behind. A table that says nothing is carried
row by row, all columns but those that say whose a row is and numbers that the database draws.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from rainbow_xmpp.auth.box import Box
    from rainbow_xmpp.auth.seal import Sealer

Row = dict[str, Any]
"""Values by column, those that say whose it is included."""
Put = Callable[[AsyncConnection, Sequence[Row]], Awaitable[Mapping[object, object]]]
"""Writes rows in another way than by INSERT. Returns which values of the primary key had to become others."""

_INFO = "carried"


class Keys(Protocol):
    """The keys of one region."""

    @property
    def sealer(self) -> Sealer:
        """Seals credentials."""

    def secret_for(self, purpose: str) -> bytes:
        """As plugins are given it (`Services.secret_for`)."""

    def box_for(self, purpose: str) -> Box:
        """As plugins are given it (`Services.box_for`)."""


class Unreadable(Exception):
    """Something is sealed under a key that is not here, so that it cannot be sealed under another."""


Change = Callable[[Row, Keys], Row]


@dataclass(frozen=True, slots=True)
class Carried:
    """What of a table's rows is special. Give `to_cross` and `to_stay` together, or neither."""

    to_cross: Change | None = None
    """The row with what is bound to keys of its region opened. Raises Unreadable."""
    to_stay: Change | None = None
    """The row as another region keeps it."""
    put: Put | None = None
    stays: str = ""
    """Why rows are not carried, and end with the move."""
    must_be_over: bool = False
    """Rows that are on their way somewhere: a move waits until there are none."""

    @property
    def info(self) -> dict[str, object]:
        """For the declaration of a table."""
        return {_INFO: self}


_AS_IT_IS = Carried()


def carried(table: sa.Table) -> Carried:
    """What a table's declaration says."""
    found = table.info.get(_INFO, _AS_IT_IS)
    assert isinstance(found, Carried)
    return found


def boxed(purpose: str, belongs_to: Mapping[str, Callable[[Row], str]]) -> Carried:
    """Columns that are sealed in the `Box` of this purpose, each with what its seal belongs to; NULL stays NULL."""

    def to_cross(row: Row, keys: Keys) -> Row:
        box, changed = keys.box_for(purpose), dict(row)
        for name, place in belongs_to.items():
            if row[name] is not None:
                changed[name] = box.open(row[name], place(row))
                if changed[name] is None:
                    raise Unreadable(f"{purpose}: sealed under a key that is not here")
        return changed

    def to_stay(row: Row, keys: Keys) -> Row:
        box = keys.box_for(purpose)
        sealed = {n: box.seal(row[n], place(row)) for n, place in belongs_to.items() if row[n] is not None}
        return {**row, **sealed}

    return Carried(to_cross, to_stay)
