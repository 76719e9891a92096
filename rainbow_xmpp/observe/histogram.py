"""A histogram of plain integers: one search in a short tuple and two additions for each observation."""

from bisect import bisect_left
from collections.abc import Sequence

QUICK = (0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5)
"""Bounds in seconds for what happens in memory."""
USUAL = (0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds in seconds for what waits for a database, a disk or a turn of the loop."""
SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds in seconds for what waits for a peer."""


class Histogram:
    """Counts of observations up to each bound, and their sum. Times are in seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """The last one is for what lies beyond every bound."""
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them: (upper bound, count up to it)."""
        found: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            found.append(("+Inf" if bound == float("inf") else repr(bound), so_far))
        return found


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """About where this share of the observations lies, from counts for each bucket; None without any.

    As Prometheus does it: evenly spread within a bucket, and the greatest bound for what lies beyond.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    lower = 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count >= wanted:
            return lower + (bound - lower) * wanted / count
        wanted -= count
        lower = bound
    return bounds[-1]
