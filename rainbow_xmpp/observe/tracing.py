"""Traces for OpenTelemetry, sent to a collector by OTLP over HTTP. Imported only where they are switched on.

Spans carry identifiers, kinds and times, never addresses or content.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from rainbow_xmpp.config import Tracing as Config

log = logging.getLogger(__name__)

EXPORT_TIMEOUT_S = 5
CLOSE_MS = 1000


class Tracing:
    """Makes spans and sends them, from a thread of its own, until it is closed."""

    def __init__(self, config: Config, exporter: SpanExporter | None = None) -> None:
        """`exporter` takes the place of the one for the configured endpoint."""
        # Its own words come at every attempt, with tracebacks; ours come when something changes.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = exporter or OTLPSpanExporter(endpoint=config.endpoint, timeout=EXPORT_TIMEOUT_S)
        self._processor = BatchSpanProcessor(_Telling(exporter))
        self._provider = TracerProvider(resource=Resource({SERVICE_NAME: config.service_name}))
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("rainbow_xmpp")

    def begin(self, name: str) -> TracedSpan:
        """A new trace; its first span begins now."""
        now = time.time_ns()
        return TracedSpan(self._tracer, self._tracer.start_span(name, Context(), start_time=now), now)

    def close(self) -> None:
        """Send what is left, for a moment at most; blocks."""
        self._processor.force_flush(CLOSE_MS)
        self._provider.shutdown()


class TracedSpan:
    """One span; `router.traced` says what the methods promise."""

    __slots__ = ("_began_ns", "_span", "_tracer")

    def __init__(self, tracer: Tracer, span: Span, began_ns: int) -> None:
        self._tracer = tracer
        self._span = span
        self._began_ns = began_ns

    def child(self, name: str, *, from_beginning: bool = False) -> TracedSpan:
        began_ns = self._began_ns if from_beginning else time.time_ns()
        context = set_span_in_context(self._span, Context())
        return TracedSpan(self._tracer, self._tracer.start_span(name, context, start_time=began_ns), began_ns)

    def event(self, name: str, **facts: str | int) -> None:
        self._span.add_event(name, _named(facts))

    def put(self, **facts: str | int) -> None:
        self._span.set_attributes(_named(facts))

    def failed(self, why: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, why))

    def end(self) -> None:
        self._span.end()


class _Telling(SpanExporter):
    """Says once that traces are lost, and once that they arrive again."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._is_well = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
            why = ""
        except Exception as error:  # of a library; whatever it is, the server goes on
            result, why = SpanExportResult.FAILURE, f" ({type(error).__name__})"
        is_well = result is SpanExportResult.SUCCESS
        if is_well != self._is_well:
            self._is_well = is_well
            if is_well:
                log.info("traces arrive again")
            else:
                log.warning("traces are lost: tracing.endpoint does not take them%s", why)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _named(facts: dict[str, str | int]) -> dict[str, str | int]:
    return {f"rainbow.{name}": fact for name, fact in facts.items()}
