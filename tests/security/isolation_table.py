"""The table of `docs/admin/isolation.md`, as values: what the tests of isolation are made from."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rainbow_xmpp.company import Action, Relation
from rainbow_xmpp.store.values import Visibility

PAGE = Path(__file__).parents[2] / "docs" / "admin" / "isolation.md"
WORDS = {
    "find": {Action.SEARCH, Action.PROFILE},
    "invite": {Action.INVITE},
    "reach": {Action.PRESENCE, Action.MESSAGE, Action.CALL, Action.ROOM},
    "nothing": set(),
    "everything": set(Action),
}
_TITLES = {
    "Colleagues": Relation.COLLEAGUE,
    "People who agreed": Relation.AUTHORISED,
    "People of linked companies": Relation.LINKED,
    "People of the same organisation": Relation.ORGANISATION,
    "Strangers": Relation.STRANGER,
}


class Cell(NamedTuple):
    """What somebody may do with somebody."""

    actor: Visibility
    target: Visibility
    relation: Relation
    allowed: frozenset[Action]

    @property
    def name(self) -> str:
        """For a test's id."""
        return f"{self.actor} with {self.target}, {self.relation}"


def cells() -> Iterator[Cell]:
    """Every cell of every table."""
    for title, table in re.findall(r"^### (.*?)(?::.*)?\n\n((?:\|.*\n?)+)", PAGE.read_text(), re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        for actor, *allowed in rows:
            for target, words in zip(head[1:], allowed, strict=True):
                actions = frozenset().union(*(WORDS[word] for word in words.split(", ")))
                yield Cell(Visibility(actor), Visibility(target), _TITLES[title], actions)
