"""What the server told, and what follows from two such reports: rates and times."""

from collections.abc import Mapping
from typing import Any

from rainbow_xmpp.observe.histogram import quantile


class Report:
    """One answer of the server (`observe.status`)."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.told = told
        self.at: float = told["time"]
        self.counters: Mapping[str, int] = told["counters"]
        self.queues: Mapping[str, int] = told["queues"]
        self.companies: list[tuple[str, int]] = [(name, count) for name, count in told["companies"]]
        self.process: Mapping[str, float] = told["process"]

    def is_of_same_run(self, other: "Report") -> bool:
        """Both are of one run of the server: their sums can be compared."""
        return bool(self.told["started"] == other.told["started"] and self.at > other.at)


class Between:
    """What happened between two reports of one run."""

    def __init__(self, before: Report, after: Report) -> None:
        self._before = before
        self._after = after
        self.seconds = after.at - before.at

    def rate(self, *counters: str) -> float:
        """How many a second, these counters together."""
        return sum(self._after.counters[c] - self._before.counters[c] for c in counters) / self.seconds

    def cpu(self) -> float:
        """The share of one core."""
        return (self._after.process["cpu_s"] - self._before.process["cpu_s"]) / self.seconds

    def quantile_s(self, name: str, share: float) -> float | None:
        """About how long this share took at most, in seconds; None when there was nothing."""
        before, after = self._before.told["times"][name], self._after.told["times"][name]
        counts = [now - then for now, then in zip(after["counts"], before["counts"], strict=True)]
        return quantile(after["bounds"], counts, share)
