"""Two nodes of one region serve their people together: who is on which makes no difference."""

import asyncio
import random

import pytest

from rainbow_xmpp.cluster.service import NotAlone, NumberTaken
from rainbow_xmpp.config import ClusterConfig
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.bus import Hub
from rainbow_xmpp.xml import Element

CARBONS = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
ROSTER = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
BODY = "{jabber:client}body"


async def settled(nodes: list[TestServer]) -> None:
    """Everything that was said has arrived on both."""
    for _ in range(3):
        for node in nodes:
            await node.node.watch.poll()  # a server does so every second
            await node.settle()
        await asyncio.sleep(0.02)


async def bodies(client: Client) -> list[str]:
    """Of messages, and of copies of messages."""
    return [
        text for stanza in await client.rest() for text in (each.text for each in stanza.iter(BODY)) if text
    ]


def presences(stanzas: list[Element]) -> set[tuple[str, str]]:
    """Who is available, and who went."""
    found = (stanza for stanza in stanzas if stanza.tag == "{jabber:client}presence")
    return {(stanza.get("from", ""), stanza.get("type", "")) for stanza in found}


async def quiet(nodes: list[TestServer], *clients: Client) -> None:
    await settled(nodes)
    for client in clients:
        await client.rest()


async def test_who_comes_to_one_node_while_another_keeps_a_message_for_them_gets_it_in_order(
    nodes: list[TestServer], hub: Hub
) -> None:
    """The one has looked at what waits, and the other has not heard yet that anybody is there."""
    one, two = nodes
    ann = await one.login("ann@acme")
    await quiet(nodes, ann)
    once, hub.fate = hub.fate, lambda subject, data: 0 if ".node." in subject else 1  # hellos arrive
    bob = await two.login("bob@acme")
    await bob.rest()
    ann.say("nobody is there", to=bob.bare)
    await one.settle()
    hub.fate = once
    ann.say("or is there?", to=bob.bare)
    heard: list[str] = []
    async with asyncio.timeout(30):
        while len(heard) < 2:
            await settled(nodes)
            heard += await bodies(bob)
    ann.say("so it is", to=bob.bare)
    await settled(nodes)
    assert [*heard, *await bodies(bob)] == ["nobody is there", "or is there?", "so it is"]


async def test_a_message_reaches_all_devices_wherever_they_are(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann = await one.login("ann@acme", resource="a")
    bob_here, bob_there = (
        await one.login("bob@acme", resource="b1"),
        await two.login("bob@acme", resource="b2"),
    )
    await quiet(nodes, ann, bob_here, bob_there)
    ann.say("hello", to=bob_here.bare)
    ann.say("only there", to=bob_there.jid)
    await settled(nodes)
    assert await bodies(bob_here) == ["hello"]
    assert await bodies(bob_there) == ["hello", "only there"]
    bob_there.say("from afar", to=ann.jid)
    await settled(nodes)
    assert await bodies(ann) == ["from afar"]


async def test_presence_and_rosters_are_the_same_on_both(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann, bob = await one.login("ann@acme", resource="a"), await two.login("bob@acme", resource="b")
    await settled(nodes)
    assert (bob.jid, "") in presences(await ann.rest())
    assert (ann.jid, "") in presences(await bob.rest())
    bob.send("<presence><show>away</show></presence>")
    await settled(nodes)
    assert (bob.jid, "") in presences(await ann.rest())
    ann_later = await two.login("ann@acme", resource="a2")
    await settled(nodes)
    assert {(bob.jid, ""), (ann.jid, "")} <= presences(await ann_later.rest())
    ann.send(ROSTER)
    ann_later.send(ROSTER)
    await quiet(nodes, ann, ann_later, bob)
    item = "<item jid='someone@rainbow.test' name='Some'/>"
    ann.send(f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
    await settled(nodes)
    pushed = [each for stanza in await ann_later.rest() for each in stanza.iter("{jabber:iq:roster}item")]
    assert [each.get("name") for each in pushed] == ["Some"]
    await bob.leave()
    await settled(nodes)
    assert (bob.jid, "unavailable") in presences(await ann.rest())


async def test_people_of_two_companies_agree_across_nodes(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann, zoe = await one.login("ann@acme"), await two.login("zoe@globex")
    zoe.send(ROSTER)
    ann.send(ROSTER)
    await quiet(nodes, ann, zoe)
    ann.say("nobody there?", to=zoe.bare)
    await settled(nodes)
    assert [stanza.get("type") for stanza in await ann.rest()] == ["error"]
    assert await zoe.rest() == []
    ann.send(f"<presence type='subscribe' to='{zoe.bare}'/>")
    await settled(nodes)
    assert (ann.bare, "subscribe") in presences(await zoe.rest())
    zoe.send(f"<presence type='subscribed' to='{ann.bare}'/>")
    await settled(nodes)
    told = presences(await ann.rest())
    assert {(zoe.bare, "subscribed"), (zoe.jid, "")} <= told
    ann.say("there you are", to=zoe.bare)
    await settled(nodes)
    assert await bodies(zoe) == ["there you are"]
    zoe.send("<presence><show>dnd</show></presence>")
    await settled(nodes)
    assert (zoe.jid, "") in presences(await ann.rest())
    zoe.send(f"<presence type='unsubscribed' to='{ann.bare}'/>")
    await settled(nodes)
    assert (zoe.jid, "unavailable") in presences(await ann.rest())


async def test_copies_go_to_devices_of_both(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann, ann_there = await one.login("ann@acme", resource="a1"), await two.login("ann@acme", resource="a2")
    bob = await two.login("bob@acme", resource="b")
    ann.send(CARBONS)
    ann_there.send(CARBONS)
    await quiet(nodes, ann, ann_there, bob)
    ann.say("sent here", to=bob.jid)
    await settled(nodes)
    assert await bodies(ann_there) == ["sent here"]
    bob.say("for one", to=ann_there.jid)
    await settled(nodes)
    assert await bodies(ann) == ["for one"]
    ann_there.send("<iq type='set' id='d'><disable xmlns='urn:xmpp:carbons:2'/></iq>")
    await quiet(nodes, ann, ann_there, bob)
    ann.say("no copy", to=bob.jid)
    await settled(nodes)
    assert await bodies(ann_there) == []


async def test_whom_somebody_blocks_on_one_node_the_other_knows_at_once(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann, bob = await one.login("ann@acme"), await two.login("bob@acme")
    await quiet(nodes, ann, bob)
    ann.say("yes", to=bob.jid)
    await settled(nodes)
    assert await bodies(bob) == ["yes"]
    bob.send(f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ann.bare}'/></block></iq>")
    await two.settle()
    await asyncio.sleep(0.02)
    ann.say("no", to=bob.jid)
    await settled(nodes)
    assert await bodies(bob) == []


async def test_what_somebody_publishes_on_one_node_is_read_on_the_other(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann, bob = await one.login("ann@acme"), await two.login("bob@acme")
    await quiet(nodes, ann, bob)
    items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/></pubsub>"
    for said in ("one", "two"):
        payload = f"<publish node='n'><item id='current'><x xmlns='urn:test'>{said}</x></item></publish>"
        bob.send(
            f"<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'>{payload}</pubsub></iq>"
        )
        await settled(nodes)
        answer = await ann.ask("get", items, to=bob.bare)
        assert [each.text for each in answer.iter("{urn:test}x")] == [said]


async def test_what_nobody_takes_waits_for_a_device_of_either(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann = await one.login("ann@acme")
    bob = await two.person("bob@acme")
    await quiet(nodes, ann)
    ann.say("later", to=bob.bare)
    await settled(nodes)
    device = await two.login("bob@acme")
    await settled(nodes)
    assert await bodies(device) == ["later"]


async def test_a_node_that_dies_takes_its_people_offline_until_they_are_back(
    nodes: list[TestServer], hub: Hub
) -> None:
    one, two = nodes
    ann, bob = await one.login("ann@acme", resource="a"), await two.login("bob@acme", resource="b")
    await quiet(nodes, ann, bob)
    hub.buses[1].is_connected = False
    ann.say("on its way", to=bob.jid)
    await asyncio.sleep(3)
    await settled([one])
    assert (bob.jid, "unavailable") in presences(await ann.rest())
    assert one.node.neighbours.cluster is not None and one.node.neighbours.cluster.nodes == []
    back = await one.login("bob@acme", resource="b1")
    await settled([one])
    assert await bodies(back) == ["on its way"]
    ann.say("here now", to=back.bare)
    await settled([one])
    assert await bodies(back) == ["here now"]
    hub.buses[1].is_connected = True
    await asyncio.sleep(1.5)
    await settled(nodes)
    assert (bob.jid, "") in presences(await ann.rest())
    assert {(ann.jid, ""), (back.jid, "")} <= presences(await bob.rest())
    await quiet(nodes, ann, back, bob)
    ann.say("both again", to=back.bare)
    await settled(nodes)
    assert (await bodies(back), await bodies(bob)) == (["both again"], ["both again"])


@pytest.mark.parametrize("seed", range(2))
async def test_a_bus_that_loses_and_doubles_costs_no_message(
    nodes: list[TestServer], hub: Hub, seed: int
) -> None:
    one, two = nodes
    ann, bob = await one.login("ann@acme"), await two.login("bob@acme")
    await quiet(nodes, ann, bob)
    chance = random.Random(seed)
    hub.fate = lambda subject, data: chance.choices((0, 1, 2), (3, 6, 1))[0]
    for number in range(200):
        ann.say(f"a{number}", to=bob.bare)
        bob.say(f"b{number}", to=ann.bare)
        if number % 10 == 0:
            await asyncio.sleep(0.01)
    got: tuple[list[str], list[str]] = ([], [])
    for _ in range(100):
        await settled(nodes)
        got[0].extend(await bodies(ann))
        got[1].extend(await bodies(bob))
        if len(got[0]) >= 200 and len(got[1]) >= 200:
            break
        await asyncio.sleep(0.1)
    assert got == ([f"b{number}" for number in range(200)], [f"a{number}" for number in range(200)])


async def test_a_second_node_of_the_same_number_does_not_start(nodes: list[TestServer], hub: Hub) -> None:
    with pytest.raises(NumberTaken, match="a node with this number runs already"):
        async with TestServer(cluster=ClusterConfig(servers=("nats://x",), number=2), bus=hub.bus()):
            pass


async def test_a_node_whose_database_is_its_own_does_not_start_beside_another() -> None:
    hub, one, two = (
        Hub(),
        ClusterConfig(servers=("nats://x",)),
        ClusterConfig(servers=("nats://x",), number=1),
    )
    async with TestServer(cluster=one, bus=hub.bus()):
        with pytest.raises(NotAlone, match=r"storage\.url is SQLite"):
            async with TestServer(cluster=two, bus=hub.bus()):
                pass


async def test_what_a_node_kept_and_did_not_hand_on_before_it_died_is_shown_when_it_is_said_again(
    nodes: list[TestServer], hub: Hub
) -> None:
    one, two = nodes
    ann, bob = await one.login("ann@acme", resource="a"), await two.login("bob@acme", resource="b")
    await quiet(nodes, ann, bob)
    said = "<message to='{}' type='chat'><body>{}</body><origin-id xmlns='urn:xmpp:sid:0' id='{}'/></message>"
    hub.buses[0].is_connected = False
    ann.send(said.format(bob.bare, "kept", "o1"))
    await one.settle()
    assert await bodies(bob) == []
    again = await two.login("ann@acme", resource="a2")
    again.send(said.format(bob.bare, "kept", "o1"))
    again.send(said.format(bob.bare, "after", "o2"))
    async with asyncio.timeout(10):
        heard: list[Element] = []
        while len([each for each in heard if each.find(BODY) is not None]) < 2:
            heard += await bob.rest()
            await asyncio.sleep(0.05)
    assert [text for each in heard if (text := each.findtext(BODY))] == ["kept", "after"]
    kept = next(each for each in heard if each.findtext(BODY) == "kept")
    bob.send("<iq type='set' id='h'><query xmlns='urn:xmpp:mam:2'/></iq>")
    await two.settle()
    logged = [result.get("id") for each in await bob.rest() for result in each.iter("{urn:xmpp:mam:2}result")]
    stanza_id = kept.find("{urn:xmpp:sid:0}stanza-id")
    assert stanza_id is not None and stanza_id.get("id") == logged[0] and len(logged) == 2


async def test_what_is_said_again_to_another_node_that_lives_is_shown_once(nodes: list[TestServer]) -> None:
    one, two = nodes
    ann, bob = await one.login("ann@acme", resource="a"), await two.login("bob@acme", resource="b")
    again = await two.login("ann@acme", resource="a2")
    await quiet(nodes, ann, bob, again)
    said = "<message to='{}' type='chat'><body>{}</body><origin-id xmlns='urn:xmpp:sid:0' id='{}'/></message>"
    ann.send(said.format(bob.bare, "once", "o1"))
    await settled(nodes)
    again.send(said.format(bob.bare, "once", "o1"))
    await asyncio.sleep(1.5)
    await settled(nodes)
    assert await bodies(bob) == ["once"]
