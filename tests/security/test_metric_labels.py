"""Whatever peers send, the metrics have the same series as before: no label is made of it."""

import asyncio
import secrets
import urllib.request
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from rainbow_xmpp.plugin.discovery import find_plugins
from tests.doors import Door
from tests.process import RainbowServer

CANARY = "canary" + secrets.token_hex(8)

HOSTILE = (
    f"<{CANARY} xmlns='jabber:client'/>",
    f"<message xmlns='jabber:client' type='{CANARY}' to='{CANARY}@localhost'><body>{CANARY}</body></message>",
    f"<iq xmlns='jabber:client' type='{CANARY}' id='1'/>",
    f"<iq xmlns='jabber:client' type='get' id='1'><{CANARY} xmlns='urn:{CANARY}'/></iq>",
    f"<presence xmlns='jabber:client' type='{CANARY}'/>",
    f"<presence xmlns='jabber:client' type='subscribe' to='{CANARY}@{CANARY}.example'/>",
    f"<message xmlns='{CANARY}'/>",
    f"<message xmlns='jabber:client'><{CANARY}>",
    f"<!-- {CANARY} -->",
)


async def scraped(server: RainbowServer) -> str:
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"

    def fetch() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
        return body.decode()

    return await asyncio.to_thread(fetch)


def series(text: str) -> Iterator[tuple[str, ...]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))


async def test_nothing_a_peer_sends_becomes_a_label(door: Door) -> None:
    server = door.server
    assert isinstance(server, RainbowServer)
    before = sorted(series(await scraped(server)))
    for hostile in HOSTILE:
        wire = await door.opened()
        await wire.send(hostile)
        bound = await door.log_in(resource=CANARY)
        await bound.send(hostile)
    stranger = await door.opened()
    await stranger.send(
        f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{CANARY}'>{CANARY}</auth>"
    )
    await door.log_in()
    text = await scraped(server)
    assert CANARY not in text
    assert sorted(series(text)) == before
    assert len(before) < 200 + 25 * len(find_plugins())
