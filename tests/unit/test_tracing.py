"""Traces of stanzas: what they tell, what they never tell, and what they cost whoever leaves none."""

import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from rainbow_xmpp.config import Tracing as Config
from rainbow_xmpp.observe.histogram import QUICK, Histogram
from rainbow_xmpp.observe.tracing import Tracing
from rainbow_xmpp.plugin import Condition, Passage, Plugin, Stage, StanzaError, hook
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.plugins.ping import Ping
from rainbow_xmpp.router.sampling import StanzaTimer
from rainbow_xmpp.router.traced import TraceSampler
from rainbow_xmpp.testing import TestServer

BODY = "canary-body"


class Traces:
    """Everything that a server's stanzas leave."""

    def __init__(self, server: TestServer, share: float = 1.0) -> None:
        self.kept = InMemorySpanExporter()
        self.tracing = Tracing(Config(), self.kept)
        self.times = Histogram(QUICK)
        server.node.inbound.sample(TraceSampler(self.tracing.begin, share, StanzaTimer(self.times)))

    def spans(self) -> list[ReadableSpan]:
        self.tracing._processor.force_flush()
        return list(self.kept.get_finished_spans())

    def only(self) -> tuple[ReadableSpan, list[str]]:
        """The one trace: its root, and the names of the others in the order in which they began."""
        spans = sorted(self.spans(), key=lambda span: span.start_time or 0)
        (root,) = [span for span in spans if span.parent is None]
        others = [span for span in spans if span is not root]
        assert all(span.parent is not None and span.parent.span_id == root.context.span_id for span in others)
        return root, [span.name for span in others]


def facts(span: ReadableSpan) -> dict[str, object]:
    return {name.removeprefix("rainbow."): value for name, value in (span.attributes or {}).items()}


async def test_a_message_between_two_people_is_a_trace_of_its_stages() -> None:
    async with TestServer([CompanyIsolation]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        traces = Traces(server)
        ann.send(f"<message to='{bob.jid}' type='chat'><body>{BODY}</body></message>")
        await bob.receive()
        root, stages = traces.only()
        assert stages == ["admit", "gate", "deliver"]
        told = facts(root)
        assert told.pop("bytes", 0)
        assert told == {
            "kind": "message",
            "type": "chat",
            "outcome": "delivered",
            "sender_account": ann.account.id,
            "sender_company": ann.account.company.id,
            "recipient_account": bob.account.id,
            "recipient_company": bob.account.company.id,
        }
        gate = next(span for span in traces.spans() if span.name == "gate")
        (event,) = gate.events
        assert (event.name, (event.attributes or {})["rainbow.plugin"]) == ("gate", "company_isolation")


async def test_what_waits_is_a_span_of_its_own() -> None:
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        traces = Traces(server)
        ann.send(f"<message to='{bob.bare}' type='chat'><body>{BODY}</body></message>")
        await server.settle()
        root, stages = traces.only()
        assert [name for name in stages if name != "resolve later"] == [
            "admit", "resolve", "gate", "deliver", "place", "place offline", "deliver later",
        ]  # fmt: skip
        assert facts(root)["outcome"] == "stored"
        waited = next(span for span in traces.spans() if span.name == "place offline")
        assert root.start_time <= waited.start_time <= waited.end_time <= root.end_time  # type: ignore[operator]


async def test_a_refusal_tells_its_condition_and_nothing_of_the_stanza() -> None:
    async with TestServer([CompanyIsolation]) as server:
        ann, eve = await server.login("ann@acme"), await server.login("eve@globex")
        traces = Traces(server)
        ann.send(f"<message to='{eve.jid}' type='chat'><body>{BODY}</body></message>")
        await ann.receive()
        root, stages = traces.only()
        assert stages == ["admit", "gate"]
        assert facts(root)["outcome"] == "refused"
        gate = next(span for span in traces.spans() if span.name == "gate")
        assert (gate.status.status_code, gate.status.description) == (StatusCode.ERROR, "service-unavailable")


class Clumsy(Plugin, name="clumsy"):
    """Fails with words that a peer chose."""

    @hook(Stage.ADMIT)
    def stumble(self, p: Passage) -> None:
        if p.type == "headline":
            raise ValueError(BODY)
        if p.type == "normal":
            raise StanzaError(Condition.NOT_ALLOWED, BODY)


@pytest.mark.parametrize(
    ("type_", "outcome", "error"),
    [("headline", "failed", "ValueError"), ("normal", "refused", "not-allowed")],
)
async def test_a_failure_is_told_by_its_name_only(type_: str, outcome: str, error: str) -> None:
    async with TestServer([Clumsy]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        traces = Traces(server)
        ann.send(f"<message to='{bob.jid}' type='{type_}'><body>{BODY}</body></message>")
        await ann.receive()
        root, _ = traces.only()
        assert facts(root)["outcome"] == outcome
        (event,) = root.events
        assert event.attributes == {"rainbow.plugin": "clumsy", "rainbow.error": error}
        assert BODY not in "".join(span.to_json() for span in traces.spans())


async def test_requests_and_presence_leave_traces_too() -> None:
    async with TestServer([Ping]) as server:
        ann = await server.login("ann@acme")
        traces = Traces(server)
        ann.send(f"<iq type='get' id='1' to='{server.domain}'><ping xmlns='urn:xmpp:ping'/></iq>")
        await ann.receive()
        root, stages = traces.only()
        assert stages == ["answer"]
        assert (facts(root)["kind"], facts(root)["to"], facts(root)["outcome"]) == (
            "iq",
            "server",
            "answered",
        )
        traces.kept.clear()
        ann.send("<iq type='get' id='2'><nothing xmlns='urn:canary'/></iq>")
        await ann.receive()
        assert facts(traces.only()[0])["outcome"] == "refused"
        traces.kept.clear()
        ann.send("<presence><show>away</show></presence>")
        await server.settle()
        root, stages = traces.only()
        assert (stages, facts(root)["kind"], facts(root)["type"]) == (["broadcast"], "presence", "")


async def test_a_broken_stream_ends_its_trace_with_the_condition() -> None:
    async with TestServer() as server:
        ann = await server.login("ann@acme")
        traces = Traces(server)
        ann.send("<message from='somebody@else.example'/>")
        root, _ = traces.only()
        assert (root.status.status_code, root.status.description) == (StatusCode.ERROR, "invalid-from")


async def test_a_share_of_the_stanzas_is_traced_and_the_others_take_the_plain_way() -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        traces = Traces(server, share=0.25)
        for _ in range(400):
            ann.send(f"<message to='{bob.jid}'><body>{BODY}</body></message>")
        roots = [span for span in traces.spans() if span.parent is None]
        assert len(roots) == 100
        assert len(bob.wire.unread) == 400
        assert type(server.node.inbound._pipeline).__name__ == "Pipeline"


async def test_a_small_share_leaves_the_timing_of_the_others_alone() -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        traces = Traces(server, share=0.001)
        for _ in range(6400):
            ann.send(f"<message to='{bob.jid}'><body>{BODY}</body></message>")
            bob.wire.unread.clear()
        roots = [span for span in traces.spans() if span.parent is None]
        assert len(roots) < 60  # 6.4 are to be expected
        assert 95 <= sum(traces.times.counts) + len(roots) <= 100


async def test_switched_off_nothing_of_it_is_imported() -> None:
    import subprocess

    code = (
        "import sys, rainbow_xmpp.server, rainbow_xmpp.cli.run; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


class Unreliable(InMemorySpanExporter):
    """A collector that is away for a while."""

    is_away = True

    def export(self, spans):  # type: ignore[no-untyped-def]
        if self.is_away:
            raise ConnectionError(BODY)
        return SpanExportResult.SUCCESS


def test_a_collector_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rainbow_xmpp")
    collector = Unreliable()
    tracing = Tracing(Config(), collector)
    for is_away in (True, True, False, False):
        collector.is_away = is_away
        tracing.begin("stanza").end()
        tracing._processor.force_flush()
    tracing.close()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("rainbow")] == [
        "traces are lost: tracing.endpoint does not take them (ConnectionError)",
        "traces arrive again",
    ]
