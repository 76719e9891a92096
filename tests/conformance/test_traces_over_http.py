"""A running server sends its traces to a collector, by OTLP over HTTP."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.doors import Door
from tests.process import RainbowServer

CANARY = "canary-in-a-body"


class Collector:
    """What a loopback collector was sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def span_names(self) -> set[str]:
        return {
            span.name
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


async def test_traces_arrive_at_the_collector_without_content(
    start_server: Callable[..., RainbowServer], collector: Collector
) -> None:
    server = start_server(
        {"tracing": {"enabled": True, "endpoint": collector.url, "sample": 1.0, "service_name": "chat-test"}}
    )
    async with AsyncExitStack() as stack:
        door = Door(server, "wss", stack)
        ann, bob = await door.log_in(), await door.log_in()
        await ann.send(f"<message to='{bob.jid}' type='chat'><body>{CANARY}</body></message>")
        await bob.expect(lambda e: e.tag.endswith("}message"))
    await asyncio.to_thread(server.stop)  # sends what is left
    assert {"stanza", "admit", "gate", "deliver", "broadcast"} <= collector.span_names()
    names = {
        attribute.value.string_value
        for request in collector.requests()
        for resource in request.resource_spans
        for attribute in resource.resource.attributes
        if attribute.key == "service.name"
    }
    assert names == {"chat-test"}
    everything = b"".join(collector.bodies)
    for secret in (CANARY, ann.jid, bob.jid, "@localhost", "127.0.0.1"):
        assert secret.encode() not in everything


async def test_a_collector_that_does_not_answer_holds_nobody_up(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server({"tracing": {"enabled": True, "endpoint": "http://127.0.0.1:9/", "sample": 1.0}})
    async with AsyncExitStack() as stack:
        door = Door(server, "tls", stack)
        ann, bob = await door.log_in(), await door.log_in()
        await ann.send(f"<message to='{bob.jid}'><body>hello</body></message>")
        await bob.expect(lambda e: e.tag.endswith("}message"))
    await asyncio.to_thread(server.stop)  # within its time, with a clean log
    assert "traces are lost" in server.log_text()
