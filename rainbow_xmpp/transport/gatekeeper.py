"""How many connections one address may have, and how many that have not logged in all together.

They are counted before a byte of theirs is read.
"""

from __future__ import annotations


class Gatekeeper:
    """Open connections by source, and how many of them have not logged in. 0 = no limit."""

    def __init__(
        self, connections_per_address: int = 0, half_open_per_address: int = 0, half_open: int = 0
    ) -> None:
        self.limit(connections_per_address, half_open_per_address, half_open)
        self._open: dict[str, int] = {}
        self._half_open: dict[str, int] = {}
        self.half_open = 0
        """How many have not logged in, from wherever they come."""

    def __len__(self) -> int:
        return sum(self._open.values())

    def limit(self, connections_per_address: int, half_open_per_address: int, half_open: int = 0) -> None:
        """So many may come in from now on; whoever is in stays."""
        self._half_open_altogether = half_open
        self._limit = connections_per_address
        self._half_open_limit = half_open_per_address

    def admit(self, source: str) -> bool:
        """Count a new connection in, or refuse it. What is admitted must be told to `left`."""
        if self._half_open_altogether and self.half_open >= self._half_open_altogether:
            return False
        if self._limit and self._open.get(source, 0) >= self._limit:
            return False
        if self._half_open_limit and self._half_open.get(source, 0) >= self._half_open_limit:
            return False
        self._open[source] = self._open.get(source, 0) + 1
        self._half_open[source] = self._half_open.get(source, 0) + 1
        self.half_open += 1
        return True

    def logged_in(self, source: str) -> None:
        """One of its connections is no longer half-open."""
        self.half_open -= 1
        _less(self._half_open, source)

    def left(self, source: str, *, was_half_open: bool) -> None:
        """One of its connections is gone."""
        _less(self._open, source)
        if was_half_open:
            self.half_open -= 1
            _less(self._half_open, source)


def _less(counts: dict[str, int], source: str) -> None:
    count = counts.get(source, 0) - 1
    if count > 0:
        counts[source] = count
    else:
        counts.pop(source, None)
