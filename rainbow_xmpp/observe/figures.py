"""Figures that are looked up when somebody asks: queues, times, the database, the certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rainbow_xmpp.observe.timings import histogram_family

if TYPE_CHECKING:
    from rainbow_xmpp.node import Node


@dataclass(slots=True)
class Health:
    """What the server knows beside its node; it keeps this up to date."""

    database: Callable[[], bool]
    """Whether the database answered when it was last asked."""
    certificate_ends: float = 0.0
    """Unix time at which the certificate in use expires."""


class NodeFigures:
    """The rest of what `/metrics` shows; a `MetricSource`."""

    def __init__(self, node: Node, health: Health) -> None:
        self._node = node
        self._health = health

    def metrics(self) -> Iterator[Metric]:
        """Everything, as it is now."""
        yield from self._times()
        yield self._queues()
        yield self._audit()
        yield self._commits()
        yield from self._state()
        yield self._unacknowledged()
        yield from self._cluster()
        yield from self._regions()
        yield from self._node.plugins.registries.figures.metrics()

    def queues(self) -> dict[str, int]:
        """What waits where. Lanes are sessions with a stanza that waits for something."""
        node = self._node
        return {
            "lanes": sum(session.is_busy for session in node.sessions.by_full.values()),
            "background": len(node.background),
            "password_checks": node.pool.pending,
            "database_writes": node.store.writing,
            "commits": node.store.uncommitted,
            "contact_requests": len(node.courier),
        }

    def _queues(self) -> Metric:
        made = GaugeMetricFamily("rainbow_queue_length", "What waits, or is under way.", labels=["queue"])
        for name, length in self.queues().items():
            made.add_metric([name], length)
        return made

    def _times(self) -> Iterator[Metric]:
        times, database = self._node.timings, self._node.store.timings
        yield histogram_family(
            "rainbow_login_seconds", "From the connection to the bound resource.", {"": times.login}
        )
        yield histogram_family(
            "rainbow_stanza_seconds",
            "A stanza from being read to being handed on or answered; one in 64 is measured.",
            {"": times.stanza},
        )
        yield histogram_family(
            "rainbow_loop_lag_seconds", "How late the event loop gets to what is due.", {"": times.loop_lag}
        )
        yield histogram_family(
            "rainbow_database_seconds",
            "Calls of the database, waiting included.",
            {"query": database.query, "read": database.read, "write": database.write},
            "operation",
        )

    def _cluster(self) -> Iterator[Metric]:
        cluster = self._node.neighbours.cluster
        nodes, is_connected = (0, False) if cluster is None else (len(cluster.nodes), cluster.is_connected)
        yield GaugeMetricFamily(
            "rainbow_cluster_nodes", "Other nodes of the region that this one hears.", nodes
        )
        yield GaugeMetricFamily(
            "rainbow_cluster_connected", "1 while the bus between nodes can be reached.", int(is_connected)
        )

    def _regions(self) -> Iterator[Metric]:
        reach = self._node.neighbours.reach
        waiting = GaugeMetricFamily(
            "rainbow_region_waiting", "Stanzas that wait to be taken by another region.", labels=["region"]
        )
        away = GaugeMetricFamily(
            "rainbow_region_away_seconds",
            "For how long another region has not answered; 0 while it does.",
            labels=["region"],
        )
        for region in () if reach is None else reach.others:
            waiting.add_metric([region], reach.waiting(region) if reach is not None else 0)
            away.add_metric([region], reach.sight.away.get(region, 0.0) if reach is not None else 0.0)
        yield waiting
        yield away

    def _unacknowledged(self) -> Metric:
        made = GaugeMetricFamily(
            "rainbow_unacknowledged",
            "What clients were sent and have not acknowledged, of sessions with stream management.",
            labels=["unit"],
        )
        stanzas, size = self._node.streams.unacknowledged(self._node.sessions)
        made.add_metric(["stanzas"], stanzas)
        made.add_metric(["bytes"], size)
        return made

    def _commits(self) -> Metric:
        made = CounterMetricFamily(
            "rainbow_commit_entries", "Entries that were written many at a time.", labels=["result"]
        )
        made.add_metric(["written"], sum(commits.committed for commits in self._node.store.group_commits))
        made.add_metric(["failed"], sum(commits.failed for commits in self._node.store.group_commits))
        return made

    def _audit(self) -> Metric:
        made = CounterMetricFamily("rainbow_audit_records", "Records for the audit log.", labels=["result"])
        made.add_metric(["written"], self._node.audit.written)
        made.add_metric(["failed"], self._node.audit.failed)
        return made

    def _state(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "rainbow_database_up",
            "Whether the database answers, and takes what is written.",
            value=float(self._health.database()),
        )
        yield GaugeMetricFamily(
            "rainbow_certificate_expiry_timestamp_seconds",
            "When the certificate in use expires (Unix time).",
            value=self._health.certificate_ends,
        )
