"""What changed between two states of a company's people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self


class Difference(NamedTuple):
    """Bare JIDs."""

    come: frozenset[str]
    gone: frozenset[str]
    renamed: frozenset[str]

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str], *, is_renamed: bool) -> Self:
        """`is_renamed`: the group they all stand in has another name."""
        kept = before.keys() & after.keys()
        renamed = kept if is_renamed else {bare for bare in kept if before[bare] != after[bare]}
        return cls(
            frozenset(after.keys() - before.keys()),
            frozenset(before.keys() - after.keys()),
            frozenset(renamed),
        )

    def __bool__(self) -> bool:
        return bool(self.all)

    @property
    def all(self) -> frozenset[str]:
        """Everybody about whom there is something to tell."""
        return self.come | self.gone | self.renamed
