"""XEP-0490: what was displayed is published to one's own devices, and told to nobody else."""

from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.displayed_sync import ASSIST, NODE, DisplayedSync
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.plugins.pep import Pep
from rainbow_xmpp.testing import TestServer
from tests.plugins.eventing import EVENT, INFO, befriend, come, events, ids_in, items, published

MARKER = "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Caps, Disco, DisplayedSync, ForgeryGuard, Offline, Pep]) as server:
        yield server


def displayed(stanza_id: str, by: str = "juliet@rainbow.test") -> str:
    return f"<displayed xmlns='{NODE}'><stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='{stanza_id}'/></displayed>"


async def test_what_was_displayed_is_taken_out_and_published_to_ones_own_devices(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, phone = await come(server, "juliet@capulet"), await come(server, "juliet@capulet", NODE)
    romeo = await come(server, "romeo@capulet", NODE)
    for client in (phone, romeo):
        await client.rest()
    for number in range(3):
        juliet.send(f"<message to='{romeo.bare}'>{MARKER}{displayed(f's{number}')}</message>")
    heard = await romeo.rest()
    assert [[el.tag for el in stanza] for stanza in heard] == [["{urn:xmpp:chat-markers:0}displayed"]] * 3
    told = await events(phone)
    assert [e.find(f".//{{{EVENT}}}item").get("id") for e in told] == [romeo.bare] * 3
    assert [e.find(".//{urn:xmpp:sid:0}stanza-id").get("id") for e in told] == ["s0", "s1", "s2"]
    kept = await items(juliet, NODE)
    assert ids_in(kept) == [romeo.bare]
    assert kept.find(".//{urn:xmpp:sid:0}stanza-id").get("id") == "s2"
    assert (await items(romeo, NODE, to=juliet.bare)).get("type") == "error"
    again = await come(server, "juliet@capulet", NODE)
    assert await events(again) == []  # fetched, not sent


async def test_nobody_learns_it_whatever_it_looks_like(server: TestServer):
    juliet = await server.login("juliet@capulet")
    romeo = await server.person("romeo@capulet")
    for inside in (
        f"<displayed xmlns='{NODE}'/>",
        displayed("a") + displayed("b"),
        f"<d:displayed xmlns:d='{NODE}'><x xmlns='urn:x'/></d:displayed>",
    ):
        juliet.say("hello", inside, to=romeo.bare)
    await server.settle()
    late = await server.login("romeo@capulet")  # from where messages wait
    heard = [stanza for stanza in await late.rest() if stanza.tag.endswith("}message")]
    assert len(heard) == 3
    assert not any(el.tag.startswith(f"{{{NODE}}}") for stanza in heard for el in stanza)
    assert (await items(juliet, NODE)).find(".//{urn:xmpp:sid:0}stanza-id").get("id") == "b"


async def test_a_node_that_others_may_see_is_not_written_to(server: TestServer):
    juliet, romeo = await server.login("juliet@capulet"), await server.login("romeo@capulet")
    await published(juliet, NODE, displayed("mine"), "x@y", access_model="open")
    juliet.send(f"<message to='{romeo.bare}'>{MARKER}{displayed('s')}</message>")
    assert len((await romeo.rest())[-1]) == 1
    assert ids_in(await items(juliet, NODE)) == ["x@y"]


async def test_devices_publish_it_themselves_too_and_find_the_help_announced(server: TestServer):
    juliet, phone = await server.login("juliet@capulet"), await come(server, "juliet@capulet", NODE)
    options = {
        "access_model": "whitelist",
        "max_items": "max",
        "persist_items": "true",
        "send_last_published_item": "never",
    }
    await published(juliet, NODE, displayed("s"), "romeo@montague.lit", **options)
    assert len(await events(phone)) == 1
    juliet.send(f"<message to='romeo@{server.domain}'>{displayed('t')}</message>")
    await server.settle()
    info = await juliet.ask("get", f"<query xmlns='{INFO}'/>", to=juliet.bare)
    assert ASSIST in {el.get("var") for el in info.iter(f"{{{INFO}}}feature")}
