"""Whom a block list means (XEP-0191 §5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set


def covers(blocked: Set[str], jid: str) -> bool:
    """The address itself is on the list, or its account, or its domain.

    `user@domain/resource` and `domain/resource` mean that address only.
    """
    bare = jid.partition("/")[0]
    return jid in blocked or bare in blocked or bare.partition("@")[2] in blocked


def met_by(jids: Iterable[str], people: Set[str]) -> Iterator[str]:
    """The addresses of those of `people` (bare JIDs) that are meant: the full one where only that is on the list."""
    for jid in jids:
        bare, _, resource = jid.partition("/")
        if bare in people:
            yield jid
        elif "@" not in bare and not resource:
            yield from (person for person in people if person.partition("@")[2] == bare)
