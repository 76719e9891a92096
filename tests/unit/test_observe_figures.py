"""Figures that are looked up when somebody asks, on a server that does something."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rainbow_xmpp.observe.figures import Health, NodeFigures
from rainbow_xmpp.observe.metrics import Exposition, FaultCounter
from rainbow_xmpp.plugin import Context, Plugin, on_iq
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.xml import Element

WAIT = "<wait xmlns='urn:test:patience'/>"


class Patience(Plugin, name="patience"):
    """Waits until it may go on, fails when it is told to, and has a tenth of a second for one thing."""

    async def start(self) -> None:
        self.may_go_on = asyncio.Event()

    @on_iq("get", "{urn:test:patience}wait", to="server")
    async def wait(self, ctx: Context, payload: Element) -> None:
        await self.may_go_on.wait()

    @on_iq("get", "{urn:test:patience}fail", to="server")
    async def fail(self, ctx: Context, payload: Element) -> None:
        raise ZeroDivisionError

    @on_iq("get", "{urn:test:patience}linger", to="server", deadline_s=0.1)
    async def linger(self, ctx: Context, payload: Element) -> None:
        await asyncio.Event().wait()


class Figures:
    """What a scrape of this server shows."""

    def __init__(self, server: TestServer) -> None:
        self.health = Health(lambda: self.is_database_up, certificate_ends=1_900_000_000.0)
        self.is_database_up = True
        self._exposition = Exposition(server.node.counters, [NodeFigures(server.node, self.health)])

    def __call__(self, name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(self._exposition.render().decode()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        raise KeyError(name)


@pytest.fixture
def faults_are_counted() -> Iterator[list[logging.Handler]]:
    handlers: list[logging.Handler] = []
    yield handlers
    for handler in handlers:
        logging.getLogger("rainbow_xmpp").removeHandler(handler)


def ask(client: Client, server: TestServer, payload: str) -> None:
    client.send(f"<iq type='get' id='1' to='{server.domain}'>{payload}</iq>")


async def test_a_session_whose_stanza_waits_is_seen_while_it_waits() -> None:
    async with TestServer([Patience]) as server:
        ann, figures = await server.login("ann@acme"), Figures(server)
        assert figures("rainbow_queue_length", queue="lanes") == 0
        ask(ann, server, WAIT)
        assert figures("rainbow_queue_length", queue="lanes") == 1
        server.plugin(Patience).may_go_on.set()
        await ann.receive()
        await server.settle()
        assert figures("rainbow_queue_length", queue="lanes") == 0
        assert figures("rainbow_plugin_wait_seconds_count", plugin="patience") == 1


async def test_a_plugin_that_fails_or_is_late_is_named(faults_are_counted: list[logging.Handler]) -> None:
    async with TestServer([Patience]) as server:
        counter = FaultCounter(server.node.counters, server.node.plugins.registries.figures)
        faults_are_counted.append(counter)
        logging.getLogger("rainbow_xmpp").addHandler(counter)
        ann, figures = await server.login("ann@acme"), Figures(server)
        ask(ann, server, WAIT.replace("wait", "fail"))
        await ann.receive()
        ask(ann, server, WAIT.replace("wait", "linger"))
        await ann.receive()
        assert figures("rainbow_plugin_failures_total", plugin="patience") == 1
        assert figures("rainbow_plugin_deadlines_total", plugin="patience") == 1
        assert figures("rainbow_plugin_wait_seconds_count", plugin="patience") == 2
        assert figures("rainbow_faults_total") == 1


async def test_calls_of_the_database_are_measured_by_kind() -> None:
    async with TestServer() as server:
        figures = Figures(server)
        before = figures("rainbow_database_seconds_count", operation="write")
        await server.store.companies.add("Globex")
        await server.store.companies.list()
        await server.store.changes.latest_id()
        assert figures("rainbow_database_seconds_count", operation="write") == before + 1
        assert figures("rainbow_database_seconds_count", operation="read") >= 1
        assert figures("rainbow_database_seconds_count", operation="query") >= 1
        assert figures("rainbow_queue_length", queue="database_writes") == 0


async def test_database_certificate_and_audit_log_are_shown() -> None:
    async with TestServer() as server:
        figures = Figures(server)
        assert figures("rainbow_database_up") == 1
        figures.is_database_up = False
        assert figures("rainbow_database_up") == 0
        assert figures("rainbow_certificate_expiry_timestamp_seconds") == 1_900_000_000
        before = figures("rainbow_audit_records_total", result="written")
        await server.node.audit.record("server.started", company_id="", actor="system")
        assert figures("rainbow_audit_records_total", result="written") == before + 1


async def test_one_stanza_in_so_many_is_timed() -> None:
    async with TestServer() as server:
        ann, figures = await server.login("ann@acme"), Figures(server)
        for _ in range(640):
            ann.send("<message to='nobody@rainbow.test'/>")
        await server.settle()
        assert 9 <= figures("rainbow_stanza_seconds_count") <= 11
