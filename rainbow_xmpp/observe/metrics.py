"""Figures about a running node: plain integers on the hot path, put into Prometheus' form when asked for.

Every label has a fixed set of values, known here. Nothing a peer sends ever becomes a label: a metric
store that keeps one series for each name an attacker invents runs out of memory.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rainbow_xmpp.errors import StreamCondition

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True, eq=False)
class Counters:
    """One node's counts since its start; the gauges at the end go up and down.

    Whoever sees the event adds to the attribute itself (`counters.messages_in += 1`): everything runs in one
    thread, and a method call for each stanza would cost more than the counting.
    """

    messages_in: int = 0
    presences_in: int = 0
    iqs_in: int = 0
    messages_delivered: int = 0

    stanzas_spared: int = 0
    stanzas_delivered: int = 0
    stanzas_stored: int = 0
    stanzas_answered: int = 0
    stanzas_ignored: int = 0
    stanzas_repeated: int = 0
    stanzas_refused: int = 0
    stanzas_failed: int = 0

    logins_ok: int = 0
    logins_failed: int = 0
    fast_logins: int = 0
    fast_tokens: int = 0
    relay_credentials: int = 0
    relay_opened: int = 0
    relay_bytes_in: int = 0
    relay_bytes_out: int = 0
    relay_restarts: int = 0
    relay_refused_unauthenticated: int = 0
    relay_refused_credentials: int = 0
    relay_refused_quota: int = 0
    relay_refused_capacity: int = 0
    relay_refused_peer: int = 0
    relay_refused_rate: int = 0
    relay_refused_other: int = 0
    streams_opened: int = 0
    stream_errors: dict[StreamCondition, int] = field(
        default_factory=lambda: dict.fromkeys(StreamCondition, 0)
    )
    connections_refused: int = 0
    passages_failed: int = 0
    homes_unreached: int = 0
    handshakes_ok: int = 0
    handshakes_failed: int = 0
    http_requests: int = 0
    faults: int = 0

    limit_handshake_time: int = 0
    limit_login_time: int = 0
    limit_login_attempts: int = 0
    limit_login_failures: int = 0
    limit_password_checks: int = 0
    limit_resources: int = 0
    limit_pace: int = 0
    limit_output: int = 0
    limit_silence: int = 0
    limit_unacknowledged: int = 0

    resumptions_ok: int = 0
    resumptions_failed: int = 0

    archive_pages: int = 0
    archive_expired: int = 0
    archive_erased: int = 0
    archive_retracted: int = 0

    webhooks_delivered: int = 0
    webhooks_failed: int = 0
    webhooks_dead: int = 0

    push_sent: int = 0
    push_failed: int = 0
    push_gone: int = 0
    push_expired: int = 0
    push_needless: int = 0

    pins_sent: int = 0
    pins_failed: int = 0
    pins_used: int = 0
    pins_void: int = 0
    factors_right: int = 0
    factors_recovered: int = 0
    factors_wrong: int = 0
    factors_held_back: int = 0
    mail_queued: int = 0
    mail_sent: int = 0
    mail_failed: int = 0
    mail_expired: int = 0
    mail_waiting: int = 0
    mail_oldest_at: int = 0

    loop_stalls: int = 0

    connections: int = 0
    connections_half_open: int = 0
    connections_passed: int = 0
    connections_homeward: int = 0
    sessions: int = 0
    sessions_inactive: int = 0
    sessions_websocket: int = 0
    sessions_direct_tls: int = 0
    sessions_starttls: int = 0
    sessions_kept: int = 0
    relay_allocations: int = 0
    relay_connections: int = 0
    relay_down: int = 0
    push_devices: int = 0

    def ended(self, outcome: str) -> None:
        """Count a stanza that came to this end of its way; KeyError for any other name."""
        field = _OUTCOMES[outcome]
        setattr(self, field, getattr(self, field) + 1)


OUTCOMES = ("delivered", "stored", "answered", "ignored", "repeated", "refused", "failed")
_OUTCOMES: Mapping[str, str] = {outcome: f"stanzas_{outcome}" for outcome in OUTCOMES}


@dataclass(frozen=True, slots=True)
class Family:
    """One metric and the counters behind it: `fields` maps each value of `label` to an attribute."""

    name: str
    doc: str
    fields: Mapping[str, str]
    label: str = ""
    gauge: bool = False


def _one(name: str, doc: str, field: str, *, gauge: bool = False) -> Family:
    return Family(name, doc, {"": field}, gauge=gauge)


FAMILIES: Sequence[Family] = (
    Family(
        "rainbow_stanzas_received",
        "Stanzas received from clients.",
        {"message": "messages_in", "presence": "presences_in", "iq": "iqs_in"},
        "kind",
    ),
    _one("rainbow_messages_delivered", "Messages handed to at least one session.", "messages_delivered"),
    Family("rainbow_stanzas_routed", "Stanzas by what became of them.", _OUTCOMES, "outcome"),
    Family(
        "rainbow_pins",
        "PINs for registrations and new passwords by what happened. Watch the rate of failed ones: guessing shows "
        "there and nowhere else.",
        {"sent": "pins_sent", "failed": "pins_failed", "used": "pins_used", "void": "pins_void"},
        "event",
    ),
    Family(
        "rainbow_second_factor",
        "Codes of second factors by what became of them: right ones of an app, recovery codes, wrong ones, and tries "
        "that were not looked at since there were too many wrong ones.",
        {
            "right": "factors_right",
            "recovered": "factors_recovered",
            "wrong": "factors_wrong",
            "held_back": "factors_held_back",
        },
        "outcome",
    ),
    Family(
        "rainbow_letters",
        "Letters by what happened: taken into the queue, sent, an attempt that failed, too late.",
        {"queued": "mail_queued", "sent": "mail_sent", "failed": "mail_failed", "expired": "mail_expired"},
        "event",
    ),
    _one("rainbow_letters_waiting", "Letters that wait to be sent.", "mail_waiting", gauge=True),
    _one(
        "rainbow_letters_oldest_timestamp_seconds",
        "When the letter was posted that waits longest, as Unix time; 0 while none waits.",
        "mail_oldest_at",
        gauge=True,
    ),
    Family(
        "rainbow_logins",
        "Log-in attempts that came to an end.",
        {"ok": "logins_ok", "failed": "logins_failed"},
        "result",
    ),
    _one("rainbow_fast_logins", "Logins by a FAST token; they are among the others too.", "fast_logins"),
    _one("rainbow_fast_tokens", "FAST tokens given to clients.", "fast_tokens"),
    _one(
        "rainbow_relay_credentials",
        "Credentials for the relay of calls given to clients.",
        "relay_credentials",
    ),
    _one("rainbow_relay_opened", "Allocations of the relay that were made.", "relay_opened"),
    Family(
        "rainbow_relay_bytes",
        "Payload that the relay has carried, seen from its clients.",
        {"in": "relay_bytes_in", "out": "relay_bytes_out"},
        "direction",
    ),
    Family(
        "rainbow_relay_refused",
        "What the relay refused: requests without credentials, which every client begins with, or with wrong ones, "
        "allocations beyond a quota or beyond what it has, forbidden peers, and strangers that ask too often.",
        {
            kind: f"relay_refused_{kind}"
            for kind in ("unauthenticated", "credentials", "quota", "capacity", "peer", "rate", "other")
        },
        "kind",
    ),
    _one(
        "rainbow_relay_restarts", "How often the relay's process had to be started again.", "relay_restarts"
    ),
    _one("rainbow_relay_allocations", "Allocations of the relay now.", "relay_allocations", gauge=True),
    _one(
        "rainbow_relay_connections",
        "TCP and TLS connections of the relay now.",
        "relay_connections",
        gauge=True,
    ),
    _one(
        "rainbow_relay_down",
        "1 while a relay is configured here and does not relay: port or address missing, or its process away.",
        "relay_down",
        gauge=True,
    ),
    _one("rainbow_streams_opened", "XMPP streams opened.", "streams_opened"),
    _one("rainbow_connections_refused", "Connections closed by a limit.", "connections_refused"),
    _one(
        "rainbow_passages_failed",
        "Connections that could not be passed on, since their region did not answer.",
        "passages_failed",
    ),
    _one(
        "rainbow_homes_unreached",
        "Logins that could not go on, since the region of whoever it was did not answer.",
        "homes_unreached",
    ),
    Family(
        "rainbow_tls_handshakes",
        "TLS handshakes that came to an end.",
        {"ok": "handshakes_ok", "failed": "handshakes_failed"},
        "result",
    ),
    Family(
        "rainbow_limits_hit",
        "How often a limit made itself felt.",
        {
            "handshake_time": "limit_handshake_time",
            "login_time": "limit_login_time",
            "login_attempts": "limit_login_attempts",
            "login_failures": "limit_login_failures",
            "password_checks": "limit_password_checks",
            "resources": "limit_resources",
            "pace": "limit_pace",
            "output": "limit_output",
            "silence": "limit_silence",
            "unacknowledged": "limit_unacknowledged",
        },
        "limit",
    ),
    _one("rainbow_archive_pages", "Pages of histories that clients were given.", "archive_pages"),
    Family(
        "rainbow_archive_removed",
        "Messages taken out of histories: too old or too many, of a removed account, taken back by their sender.",
        {"retention": "archive_expired", "erasure": "archive_erased", "retraction": "archive_retracted"},
        "by",
    ),
    Family(
        "rainbow_webhooks",
        "Calls of webhooks that were answered well or failed, and messages given up.",
        {"delivered": "webhooks_delivered", "failed": "webhooks_failed", "dead": "webhooks_dead"},
        "outcome",
    ),
    Family(
        "rainbow_push",
        "Notifications to devices that are away: taken by a push service, failed, subscriptions that are gone, "
        "no news any more, not needed since the device came.",
        {
            "sent": "push_sent",
            "failed": "push_failed",
            "gone": "push_gone",
            "expired": "push_expired",
            "needless": "push_needless",
        },
        "outcome",
    ),
    _one("rainbow_push_devices", "Devices that are told when something comes.", "push_devices", gauge=True),
    _one("rainbow_loop_stalls", "Times the event loop stood still for long.", "loop_stalls"),
    _one("rainbow_http_requests", "HTTP requests answered, refusals included.", "http_requests"),
    _one("rainbow_faults", "Errors of the server itself; each has a traceback in the log.", "faults"),
    _one("rainbow_connections", "Open connections of every kind.", "connections", gauge=True),
    _one(
        "rainbow_connections_half_open",
        "Open connections that have not logged in.",
        "connections_half_open",
        gauge=True,
    ),
    _one(
        "rainbow_connections_passed",
        "Open connections that are passed on to another region, unread.",
        "connections_passed",
        gauge=True,
    ),
    _one(
        "rainbow_connections_homeward",
        "Open connections of people whose login, and all that follows, goes on in another region.",
        "connections_homeward",
        gauge=True,
    ),
    Family(
        "rainbow_resumptions",
        "Attempts to resume a session whose connection was lost.",
        {"ok": "resumptions_ok", "failed": "resumptions_failed"},
        "result",
    ),
    _one("rainbow_sessions", "Sessions with a bound resource.", "sessions", gauge=True),
    _one(
        "rainbow_sessions_inactive",
        "Those whose client says that nobody looks at it.",
        "sessions_inactive",
        gauge=True,
    ),
    _one(
        "rainbow_stanzas_spared",
        "Presence and chat states that inactive clients were not sent, since later ones say more.",
        "stanzas_spared",
    ),
    _one(
        "rainbow_sessions_kept",
        "Of these, sessions whose connection was lost and that may be resumed.",
        "sessions_kept",
        gauge=True,
    ),
    Family(
        "rainbow_transport_sessions",
        "The same by what carries them.",
        {
            "websocket": "sessions_websocket",
            "direct_tls": "sessions_direct_tls",
            "starttls": "sessions_starttls",
        },
        "transport",
        gauge=True,
    ),
)


class Failures(Protocol):
    """Whoever counts failures of plugins."""

    def failed(self, plugin: str) -> None: ...


class FaultCounter(logging.Handler):
    """A log handler that counts what is logged with a traceback: whatever is caught anywhere is counted here.

    With `extra={"plugin": name}` it is that plugin's, too.
    """

    def __init__(self, counters: Counters, plugins: Failures | None = None) -> None:
        super().__init__(logging.ERROR)
        self._counters = counters
        self._plugins = plugins

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._counters.faults += 1
            plugin = getattr(record, "plugin", None)
            if plugin is not None and self._plugins is not None:
                self._plugins.failed(plugin)


class MetricSource(Protocol):
    """Whoever has figures of its own, a plugin for instance; `metrics` is called for each scrape."""

    def metrics(self) -> Iterable[Metric]:
        """The current figures; labels from a fixed set only."""


class Exposition(Collector):
    """All figures of the node in Prometheus' text form.

    Adds what the operating system knows of the process (CPU, memory, open files), without any version.
    """

    def __init__(self, counters: Counters, sources: Iterable[MetricSource] = ()) -> None:
        self._counters = counters
        self._sources = list(sources)
        # A registry of its own, since the library's global one would show the interpreter's version.
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def add(self, source: MetricSource) -> None:
        """Show these figures too from the next scrape on."""
        self._sources.append(source)

    def remove(self, source: MetricSource) -> None:
        """Show them no longer."""
        self._sources.remove(source)

    def collect(self) -> Iterator[Metric]:
        """One scrape (called by prometheus_client)."""
        for family in FAMILIES:
            yield _filled(family, self._counters)
        yield _stream_errors(self._counters)
        for source in self._sources:
            yield from source.metrics()

    def render(self) -> bytes:
        """The body of `/metrics`; its media type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def _stream_errors(counters: Counters) -> Metric:
    made = CounterMetricFamily(
        "rainbow_stream_errors", "Streams closed with an error by this server.", labels=["condition"]
    )
    for condition, count in counters.stream_errors.items():
        made.add_metric([condition], count)
    return made


def _filled(family: Family, counters: Counters) -> Metric:
    labels = [family.label] if family.label else []
    made = (GaugeMetricFamily if family.gauge else CounterMetricFamily)(
        family.name, family.doc, labels=labels
    )
    for value, name in family.fields.items():
        made.add_metric([value] if family.label else [], getattr(counters, name))
    return made
