"""The metrics listener."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.http.metrics import MetricsListener, listen_for_scrapes
from rainbow_xmpp.observe.metrics import Counters, Exposition
from tests.unit.http_client import ask


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
async def listener(counters: Counters) -> AsyncIterator[MetricsListener]:
    listener = await listen_for_scrapes(Exposition(counters), "127.0.0.1", 0)
    yield listener
    await listener.close()


async def test_a_scrape_shows_the_figures_of_this_moment(
    listener: MetricsListener, counters: Counters
) -> None:
    counters.messages_in = 7
    answer = await ask(listener.port, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'rainbow_stanzas_received_total{kind="message"} 7.0' in answer.text.splitlines()
    counters.messages_in += 1
    assert 'kind="message"} 8.0' in (await ask(listener.port, "/metrics")).text


async def test_there_is_nothing_else_and_no_hsts_in_plain_text(listener: MetricsListener) -> None:
    for path in ("/", "/healthz", "/metrics"):
        answer = await ask(listener.port, path)
        assert answer.status == (200 if path == "/metrics" else 404)
        assert "strict-transport-security" not in answer.headers
        assert "server" not in answer.headers


async def test_a_port_that_is_taken_is_an_error(listener: MetricsListener) -> None:
    with pytest.raises(OSError, match="in use"):
        await listen_for_scrapes(Exposition(Counters()), "127.0.0.1", listener.port)


async def test_a_closed_listener_takes_no_connection(counters: Counters) -> None:
    listener = await listen_for_scrapes(Exposition(counters), "127.0.0.1", 0)
    port = listener.port
    await listener.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
