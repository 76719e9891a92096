"""Who used to live here and lives in another region now, for regions that ask by keyed hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Words(Protocol):
    """See `rainbow_xmpp.store.moves`."""

    async def gone(self) -> dict[str, str]: ...


class NamesKey(Protocol):
    """See `rainbow_xmpp.regions.names`."""

    def hash(self, name: str, /) -> bytes: ...


class MovedAway:
    """They are few, and known for some weeks only, so their hashes are made when somebody asks."""

    def __init__(self, moves: Words, keys: Sequence[NamesKey]) -> None:
        self._moves = moves
        self._keys = keys

    async def moved(self, hashes: Sequence[bytes]) -> Mapping[bytes, str]:
        """The region each of these went to; whoever did not is left out."""
        if not hashes or not (gone := await self._moves.gone()):
            return {}
        known = {key.hash(name): region for name, region in gone.items() for key in self._keys}
        return {each: known[each] for each in hashes if each in known}
