"""What crosses the border, counted by region: labels are regions of the configuration and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rainbow_xmpp.observe.histogram import SLOW, Histogram
from rainbow_xmpp.observe.timings import histogram_family

_ASKED = ("answered", "refused", "unreachable")
_SERVED = ("answered", "refused", "stale")


class BorderFigures:
    """One node's, since its start."""

    def __init__(self, here: str, regions: Iterable[str]) -> None:
        self._here = here
        self._asked = {(region, outcome): 0 for region in regions for outcome in _ASKED}
        self._times = {region: Histogram(SLOW) for region in regions}
        self._served = {(region, outcome): 0 for region in regions for outcome in _SERVED}
        self.ahead_s: dict[str, float] = {}
        """By region, as far as something was heard of it."""
        self.not_for_us = 0
        """What came and did not open."""

    def asked(self, region: str, outcome: str, seconds: float | None = None) -> None:
        """A request of this region has ended; how long it took, if it was answered."""
        self._asked[region, outcome] += 1
        if seconds is not None:
            self._times[region].observe(seconds)

    def served(self, region: str, outcome: str) -> None:
        """A request of another region has ended here."""
        self._served[region, outcome] += 1

    def skew(self, region: str, ahead_s: float) -> None:
        """So far the clock here is ahead of the one there, the time on the way included."""
        self.ahead_s[region] = ahead_s

    def metrics(self) -> Iterator[Metric]:
        """For the exposition."""
        yield self._requests(
            "rainbow_border_requests", "Requests to another region (to), by how they ended.", self._asked
        )
        yield self._requests(
            "rainbow_border_served", "Requests of another region (from), by how they ended.", self._served
        )
        yield histogram_family(
            "rainbow_border_seconds",
            "Requests to another region that were answered: how long.",
            self._times,
            "region",
        )
        yield CounterMetricFamily(
            "rainbow_border_unreadable",
            "What came over the border and was sealed by no known region, or not for this one.",
            value=self.not_for_us,
        )
        skew = GaugeMetricFamily(
            "rainbow_border_clock_seconds",
            "So far the clock here is ahead of the other region's, by its last answer, the way of that included.",
            labels=["region"],
        )
        for region, ahead_s in self.ahead_s.items():
            skew.add_metric([region], ahead_s)
        yield skew

    def _requests(self, name: str, doc: str, counts: dict[tuple[str, str], int]) -> Metric:
        made = CounterMetricFamily(name, doc, labels=["here", "region", "outcome"])
        for (region, outcome), count in counts.items():
            made.add_metric([self._here, region, outcome], count)
        return made
