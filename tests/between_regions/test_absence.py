"""What must look like absence, and what is lost or comes twice only in odd cases."""

import asyncio
from dataclasses import replace

from rainbow_xmpp.company.access import Action
from rainbow_xmpp.store.values import Crossing, Subscription, Visibility
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.border import FakeBorders
from tests.between_regions.conftest import PLUGINS, REGIONS, World

CARD = "<vCard xmlns='vcard-temp'/>"


def told(stanzas: list[bytes], name: str) -> list[bytes]:
    return [each.replace(name.encode(), b"WHO") for each in stanzas]


async def stranger(world: World) -> Client:
    """Ann of acme, who knows neither una of her own region nor zoe of na."""
    for name, home in (("acme", world.emea), ("umbrella", world.emea), ("globex", world.na)):
        await world.company(name, home)
    ann = await world.emea.login("ann@acme")
    await world.emea.person("una@umbrella"), await world.na.person("zoe@globex")
    await world.settle()
    await ann.rest()
    return ann


async def test_while_a_third_region_is_away_strangers_look_like_nobody(world: World) -> None:
    ann = await stranger(world)
    world.borders.cut.add(frozenset(("emea", "de")))
    for _ in range(2):
        answers = []
        for name in ("una", "zoe", "nobody"):
            ann.send(f"<message to='{name}@rainbow.test' type='chat' id='1'><body>word</body></message>")
            await world.settle()
            answers.append(told(await ann.rest_bytes(), name))
        assert answers[0] == answers[1] == answers[2]
        assert b"remote-server-timeout" in answers[0][0]


async def test_strangers_cost_as_many_questions_as_nobody(world: World) -> None:
    """Also where friends of theirs spoke with them a moment ago, or where they spoke themselves."""
    ann = await stranger(world)
    assert world.emea.node.neighbours.reach is not None
    ann.send("<iq type='get' id='1' to='zoe@rainbow.test'>" + CARD + "</iq>")
    await world.settle()
    for name in ("una", "zoe", "nobody"):
        world.emea.node.neighbours.reach.homes.forget_all()
        if name == "zoe":  # a friend of hers asks, who is not refused
            assert await world.emea.node.neighbours.reach.homes.find("zoe") is not None
        asked = []
        for _ in range(3):
            world.borders.crossed.clear()
            ann.send(f"<message to='{name}@rainbow.test' type='chat'><body>word</body></message>")
            await world.settle()
            asked.append(sum(1 for _, _, service, _ in world.borders.crossed if service == "home"))
        assert asked == [4, 0, 0], name  # two regions, there and back


async def test_a_restart_takes_nobody_abroad_out_of_rosters() -> None:
    borders = FakeBorders()
    ends = [borders.border(name) for name in REGIONS]
    na = TestServer(plugins=PLUGINS, border=ends[1], regions=REGIONS)
    emea = TestServer(plugins=PLUGINS, border=ends[0], regions=REGIONS)
    async with na, emea:
        zoe = await na.person("zoe@Rainbow")
        ann = await emea.person("ann@Rainbow")
        await emea.subscribe(zoe.bare, to=ann)
        await emea.subscribe("gone@rainbow.test", to=ann)
        borders.cut |= {frozenset(("emea", "de")), frozenset(("emea", "na"))}
        url = emea.node.config.storage.url
        again = TestServer(plugins=PLUGINS, border=borders.border("emea"), regions=REGIONS, database=url)
        async with again:
            await again.settle()
            assert await contacts(again, ann.account.company.id, ann.account.id) == {
                zoe.bare,
                "gone@rainbow.test",
            }


async def contacts(server: TestServer, company_id: str, owner_id: str) -> set[str]:
    roster = await server.store.rosters.load(company_id, owner_id)
    return {item.contact for item in roster.items if item.subscription is not Subscription.NONE}


async def test_who_is_disabled_abroad_stays_in_rosters_and_who_is_nowhere_goes(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = await world.emea.person("ann@acme"), await world.na.person("bob@acme")
    for contact in (bob.bare, "gone@rainbow.test"):
        await world.emea.subscribe(contact, to=ann)
    await world.na.node.people.disable(bob.account, actor="test")
    await world.settle()
    world.emea.node.departed.look()
    await world.settle()
    assert await contacts(world.emea, ann.account.company.id, ann.account.id) == {bob.bare}


async def test_what_its_recipient_keeps_no_log_of_comes_once_all_the_same(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = await world.emea.login("ann@acme"), await world.na.login("bob@acme")
    bob.send("<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>")
    await world.settle()
    await ann.rest(), await bob.rest()
    ann.say("known", to=bob.bare)
    await world.settle()
    world.borders.lost_answers = 1
    ann.say("word", to=bob.bare)
    async with asyncio.timeout(20):
        while await world.emea.store.outbox.counts():
            await asyncio.sleep(0.05)
    await world.settle()
    said = b"".join(await bob.rest_bytes())
    assert said.count(b"<body>word</body>") == 1


async def test_what_waits_from_abroad_is_judged_again_before_it_is_handed_over(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = await world.emea.login("ann@acme"), await world.na.person("bob@acme")
    carl = await world.emea.login("carl@acme")
    await world.settle()
    ann.say("word", to=bob.bare)
    carl.say("word", to=bob.bare)
    await world.settle()
    blocking = await world.na.login("bob@acme", resource="c", available=False)
    blocking.send(
        f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{carl.bare}'/></block></iq>"
    )
    await world.settle()
    await blocking.rest()
    there = await world.na.login("bob@acme", resource="b")
    await world.settle()
    said = [each for each in await there.rest_bytes() if b"<body>word</body>" in each]
    assert [ann.bare.encode() in each for each in said] == [True]


async def test_more_answers_than_one_batch_holds_all_come(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = await world.emea.login("ann@acme"), await world.na.login("bob@acme")
    photo = "A" * 60_000
    bob.send(
        f"<iq type='set' id='v'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>{photo}</BINVAL></PHOTO></vCard></iq>"
    )
    await world.settle()
    await ann.rest(), await bob.rest()
    for number in range(20):
        ann.send(f"<iq type='get' id='{number}' to='{bob.bare}'>{CARD}</iq>")
        ann.send(f"<iq type='set' id='s{number}' to='{bob.jid}'><query xmlns='a:b'>{photo}</query></iq>")
    await world.settle()
    assert sum(b"type='set'" in each for each in await bob.rest_bytes()) == 20
    answers = [each for each in await ann.rest_bytes() if b"type='result'" in each]
    assert sum(photo.encode() in each for each in answers) == 20


async def test_companies_decide_about_invitations_by_the_api_too(world: World) -> None:
    acme = await world.company("acme", world.emea)
    await world.company("globex", world.na)
    ann = await world.emea.person("ann@acme")
    await world.na.person("zoe@globex")
    assert world.emea.node.neighbours.reach is not None
    services = world.emea.node.services()
    seen = await world.emea.node.neighbours.reach.homes.find("zoe")
    assert seen is not None
    assert await services.may(Action.INVITE, ann.account, seen)
    for refusing in (
        replace(acme.settings, cross_region=Crossing.REFUSE),
        replace(acme.settings, cross_region_consent=True),
    ):
        await world.emea.store.companies.update(acme.id, settings=refusing)
        await world.settle()
        now = await world.emea.store.accounts.by_id(ann.account.id)
        assert now is not None
        assert not await services.may(Action.INVITE, now, seen)


async def test_who_is_out_of_reach_by_a_decision_abroad_leaves_sight_and_roster(world: World) -> None:
    await world.company("acme", world.emea)
    globex = await world.company("globex", world.na)
    ann, zoe = await world.emea.login("ann@acme"), await world.na.login("zoe@globex")
    for client in (ann, zoe):
        client.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    await world.settle()
    for client, to, type_ in (
        (ann, zoe, "subscribe"),
        (zoe, ann, "subscribed"),
        (zoe, ann, "subscribe"),
        (ann, zoe, "subscribed"),
    ):
        client.send(f"<presence type='{type_}' to='{to.bare}'/>")
        await world.settle()
    ids = ann.account.company.id, ann.account.id
    assert await contacts(world.emea, *ids) == {zoe.bare}
    await ann.rest(), await zoe.rest()
    await world.na.store.companies.update(globex.id, visibility=Visibility.ISOLATED)
    await world.settle()
    async with asyncio.timeout(20):
        while await contacts(world.emea, *ids):
            await world.settle()
    assert await contacts(world.na, zoe.account.company.id, zoe.account.id) == set()
    for seer, gone in ((ann, zoe), (zoe, ann)):
        seen = {(each.get("from", "").partition("/")[0], each.get("type")) for each in await seer.rest()}
        assert (gone.bare, "unavailable") in seen
