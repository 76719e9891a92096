"""XEP-0402 §5.3: one list of rooms, however clients keep it."""

from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugin import Element
from rainbow_xmpp.plugins.bookmarks import Bookmarks
from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.pep import Pep
from rainbow_xmpp.plugins.private_xml import PrivateXml
from rainbow_xmpp.testing import Client, TestServer
from tests.plugins.eventing import EVENT, INFO, PUBSUB, come, events, ids_in, items, publish, published

NODE, OLD = "urn:xmpp:bookmarks:1", "storage:bookmarks"
OPTIONS = {
    "access_model": "whitelist",
    "max_items": "max",
    "persist_items": "true",
    "send_last_published_item": "never",
}
PLAY, ORCHARD = "theplay@conference.shakespeare.lit", "orchard@conference.shakespeare.lit"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Bookmarks, Caps, Disco, Pep, PrivateXml]) as server:
        yield server


def room(jid: str, name: str = "", inside: str = "", **more: str) -> str:
    attributes = "".join(f" {key}='{value}'" for key, value in more.items())
    return f"<conference jid='{jid}' name='{name}'{attributes}>{inside}</conference>"


async def add(client: Client, jid: str, inside: str = "", **attributes: str) -> None:
    written = "".join(f" {name}='{value}'" for name, value in attributes.items())
    await published(
        client, NODE, f"<conference xmlns='{NODE}'{written}>{inside}</conference>", jid, **OPTIONS
    )


async def store(client: Client, *rooms: str) -> None:
    """Write the old list to private XML."""
    inside = f"<storage xmlns='{OLD}'>{''.join(rooms)}</storage>"
    answer = await client.ask("set", f"<query xmlns='jabber:iq:private'>{inside}</query>")
    assert answer.get("type") == "result"


def rooms_in(element: Element) -> dict[str, tuple[str, str, str]]:
    return {
        el.get("jid", ""): (el.get("name", ""), el.get("autojoin", ""), el.findtext(f"{{{OLD}}}nick") or "")
        for el in element.iter(f"{{{OLD}}}conference")
    }


async def stored(client: Client) -> dict[str, tuple[str, str, str]]:
    """The old list in private XML."""
    return rooms_in(
        await client.ask("get", f"<query xmlns='jabber:iq:private'><storage xmlns='{OLD}'/></query>")
    )


async def listed(client: Client) -> dict[str, tuple[str, str, str]]:
    """The old list, published."""
    return rooms_in(await items(client, OLD))


def told(stanzas: list[Element]) -> list[tuple[str, str, str]]:
    """The node, and what happened to which item."""
    return [
        (each.get("node", ""), el.tag.rpartition("}")[2], el.get("id", ""))
        for stanza in stanzas
        for each in stanza.iter(f"{{{EVENT}}}items")
        for el in each
    ]


async def test_rooms_that_are_published_stand_in_the_old_lists(server: TestServer):
    juliet = await come(server, "juliet@capulet", OLD)
    await juliet.rest()
    await add(
        juliet,
        PLAY,
        "<nick>JC</nick><extensions><x xmlns='urn:x'/></extensions>",
        name="The Play",
        autojoin="1",
    )
    await add(juliet, ORCHARD)
    expected = {PLAY: ("The Play", "true", "JC"), ORCHARD: ("", "", "")}
    assert await stored(juliet) == await listed(juliet) == expected
    assert told(await events(juliet)) == [(OLD, "item", "current")] * 2
    await juliet.ask(
        "set", f"<pubsub xmlns='{PUBSUB}'><retract node='{NODE}'><item id='{PLAY}'/></retract></pubsub>"
    )
    assert await stored(juliet) == await listed(juliet) == {ORCHARD: ("", "", "")}


@pytest.mark.parametrize("way", ["private XML", "published"])
async def test_an_old_list_changes_only_what_differs(server: TestServer, way: str):
    juliet = await come(server, "juliet@capulet", NODE)
    await add(
        juliet,
        PLAY,
        "<nick>JC</nick><extensions><x xmlns='urn:x'/></extensions>",
        name="The Play",
        autojoin="true",
    )
    await add(juliet, ORCHARD, name="The Orcard")
    await add(juliet, "gone@conference.shakespeare.lit")
    await juliet.rest()
    rooms = [
        room(PLAY, "The Play", "<nick>JC</nick>", autojoin="1"),
        room(ORCHARD, "The Orchard"),
        room("new@conference.shakespeare.lit", "New", "<nick>N</nick><password>p</password>"),
        room("@", "nowhere"),
        "<url name='Works' url='https://works.example/'/>",
    ]
    if way == "published":
        answer = await publish(juliet, OLD, f"<storage xmlns='{OLD}'>{''.join(rooms)}</storage>", "current")
        assert answer.get("type") == "result"
    else:
        await store(juliet, *rooms)
    assert sorted(told(await events(juliet))) == [
        (NODE, "item", "new@conference.shakespeare.lit"),
        (NODE, "item", ORCHARD),
        (NODE, "retract", "gone@conference.shakespeare.lit"),
    ]
    found = await items(juliet, NODE)
    assert sorted(ids_in(found)) == ["new@conference.shakespeare.lit", ORCHARD, PLAY]
    assert found.find(f".//{{{NODE}}}extensions/{{urn:x}}x") is not None
    assert found.findtext(f".//{{{NODE}}}password") == "p"
    assert (await stored(juliet))[ORCHARD] == (await listed(juliet))[ORCHARD] == ("The Orchard", "", "")
    old = (
        await items(juliet, OLD)
        if way == "published"
        else await juliet.ask("get", f"<query xmlns='jabber:iq:private'><storage xmlns='{OLD}'/></query>")
    )
    assert old.find(f".//{{{OLD}}}url").get("url") == "https://works.example/"


async def test_an_extension_stays_when_an_old_client_renames_the_room(server: TestServer):
    juliet = await server.login("juliet@capulet")
    await add(juliet, PLAY, "<extensions><x xmlns='urn:x'/></extensions>", name="The Play")
    await store(juliet, room(PLAY, "A Play"))
    found = await items(juliet, NODE)
    assert found.find(f".//{{{NODE}}}conference").get("name") == "A Play"
    assert found.find(f".//{{{NODE}}}extensions/{{urn:x}}x") is not None


async def test_nobody_else_ever_sees_the_list(server: TestServer):
    juliet, romeo = await server.login("juliet@capulet"), await server.login("romeo@capulet")
    await store(juliet, room(PLAY, "The Play"))
    for node in (NODE, OLD):
        assert (await items(romeo, node, to=juliet.bare)).get("type") == "error"
    # Whoever opens the node to others has what is private kept apart.
    await published(
        romeo, NODE, f"<conference xmlns='{NODE}'/>", ORCHARD, access_model="open", max_items="max"
    )
    await store(romeo, room(PLAY, "The Play"))
    assert ids_in(await items(romeo, NODE)) == [ORCHARD]
    assert await stored(romeo) == {PLAY: ("The Play", "", "")}
    assert (await items(romeo, OLD)).get("type") == "error"


async def test_a_list_that_is_too_large_for_one_item_is_not_told_in_part():
    options = {
        Bookmarks: Bookmarks.Options(),
        Pep: Pep.Options(max_item_bytes=1024),
        PrivateXml: PrivateXml.Options(),
    }
    async with TestServer(options) as server:
        juliet = await server.login("juliet@capulet")
        for number in range(4):
            await add(juliet, f"r{number}@conference.shakespeare.lit", name="n" * 300)
        assert len(await stored(juliet)) == 4
        assert ids_in(await items(juliet, OLD)) == []


async def test_without_pep_the_old_list_is_as_it_was():
    async with TestServer([Bookmarks, Disco, PrivateXml]) as server:
        juliet = await server.login("juliet@capulet")
        await store(juliet, room(PLAY, "The Play"))
        assert await stored(juliet) == {PLAY: ("The Play", "", "")}
        info = await juliet.ask("get", f"<query xmlns='{INFO}'/>", to=juliet.bare)
        assert not any(el.get("var", "").startswith(NODE) for el in info.iter(f"{{{INFO}}}feature"))


async def test_it_is_announced(server: TestServer):
    juliet = await server.login("juliet@capulet")
    info = await juliet.ask("get", f"<query xmlns='{INFO}'/>", to=juliet.bare)
    features = {el.get("var") for el in info.iter(f"{{{INFO}}}feature")}
    assert {f"{NODE}#compat", f"{NODE}#compat-pep"} <= features
