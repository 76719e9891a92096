"""How long things take, as histograms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from rainbow_xmpp.observe.histogram import QUICK, SLOW, USUAL, Histogram


@dataclass(frozen=True, slots=True)
class DatabaseTimings:
    """Calls of the database, each from being asked for to its answer, waiting for a connection included."""

    query: Histogram = field(default_factory=lambda: Histogram(USUAL))
    """The short queries that every login makes."""
    read: Histogram = field(default_factory=lambda: Histogram(USUAL))
    write: Histogram = field(default_factory=lambda: Histogram(USUAL))
    """Transactions, waiting for other writers included."""


@dataclass(frozen=True, slots=True)
class Timings:
    """A node's. What is observed here has just happened; nothing of it is ever a label."""

    login: Histogram = field(default_factory=lambda: Histogram(SLOW))
    """From the connection to the bound resource."""
    stanza: Histogram = field(default_factory=lambda: Histogram(QUICK))
    """A sampled stanza from being read to being handed on, or answered."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(USUAL))
    """How late the event loop gets to what is due."""


class PluginFigures:
    """How often and how long handlers of plugins wait, and how often they fail.

    The manager calls it; one entry for each plugin that runs, so the labels are a small fixed set.
    """

    def __init__(self) -> None:
        self._waits: dict[str, Histogram] = {}
        self._failures: dict[str, int] = {}
        self._late: dict[str, int] = {}

    def add(self, plugin: str) -> None:
        """This plugin runs: show its figures, from 0."""
        self._waits.setdefault(plugin, Histogram(USUAL))
        self._failures.setdefault(plugin, 0)
        self._late.setdefault(plugin, 0)

    def waited(self, plugin: str, seconds: float) -> None:
        """A handler that waits has come to its end, well or not."""
        waits = self._waits.get(plugin)
        if waits is not None:
            waits.observe(seconds)

    def failed(self, plugin: str) -> None:
        """A handler raised what it should not have."""
        if plugin in self._failures:
            self._failures[plugin] += 1

    def late(self, plugin: str) -> None:
        """A handler was ended at its deadline."""
        if plugin in self._late:
            self._late[plugin] += 1

    def metrics(self) -> Iterator[Metric]:
        """For the exposition."""
        yield histogram_family(
            "rainbow_plugin_wait_seconds", "Plugins' handlers that wait: how long.", self._waits, "plugin"
        )
        yield _counts("rainbow_plugin_failures", "Plugins' handlers that failed.", self._failures)
        yield _counts("rainbow_plugin_deadlines", "Plugins' handlers ended at their deadline.", self._late)


def histogram_family(name: str, doc: str, histograms: Mapping[str, Histogram], label: str = "") -> Metric:
    """One metric with a histogram for each value of `label`; without a label, the one under ""."""
    made = HistogramMetricFamily(name, doc, labels=[label] if label else [])
    for value, histogram in histograms.items():
        made.add_metric([value] if label else [], buckets=histogram.buckets(), sum_value=histogram.total)
    return made


def _counts(name: str, doc: str, counts: Mapping[str, int]) -> Metric:
    made = CounterMetricFamily(name, doc, labels=["plugin"])
    for plugin, count in counts.items():
        made.add_metric([plugin], count)
    return made
