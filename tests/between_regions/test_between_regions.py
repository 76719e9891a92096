"""People of different regions reach each other, and what is theirs stays at home."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.company.regions import WrongRegion
from rainbow_xmpp.plugins.region_routing import RegionRouting
from rainbow_xmpp.regions.parcels import STANZAS, Batch, Parcel, Reply, Who, encode
from rainbow_xmpp.store.values import Authorisation, AuthorisationState, Company, Crossing
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.border import FakeBorder
from rainbow_xmpp.xml import Element
from tests.between_regions.conftest import World

CLIENT = "xmlns='jabber:client'"
BODY = "{jabber:client}body"
ROSTER = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"


async def bodies(client: Client) -> list[str]:
    """Of messages, and of copies of messages."""
    return [
        text for stanza in await client.rest() for text in (each.text for each in stanza.iter(BODY)) if text
    ]


def presences(stanzas: list[Element]) -> set[tuple[str, str]]:
    """From whom, and of which type."""
    found = (stanza for stanza in stanzas if stanza.tag == "{jabber:client}presence")
    return {(stanza.get("from", ""), stanza.get("type", "")) for stanza in found}


async def test_colleagues_of_two_regions_talk(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    await ann.rest(), await bob.rest()
    ann.say("hello", to=bob.bare)
    await world.settle()
    assert await bodies(bob) == ["hello"]
    bob.say("hello yourself", to=ann.jid)
    await world.settle()
    assert await bodies(ann) == ["hello yourself"]


async def test_strangers_abroad_do_not_exist(world: World) -> None:
    await world.company("acme", world.emea)
    await world.company("globex", world.na)
    ann, zoe = await world.emea.login("ann@acme"), await world.na.login("zoe@globex")
    await world.settle()
    await ann.rest()
    ann.say("anybody?", to=zoe.bare)
    ann.say("anybody?", to="nobody@rainbow.test")
    await world.settle()
    errors = [stanza for stanza in await ann.rest() if stanza.get("type") == "error"]
    assert len(errors) == 2
    for error in errors:
        assert [child.tag for child in error[0]] == [
            "{urn:ietf:params:xml:ns:xmpp-stanzas}service-unavailable"
        ]
    assert await bodies(zoe) == []


async def test_two_people_agree_across_the_border(world: World) -> None:
    await world.company("acme", world.emea)
    await world.company("globex", world.na)
    ann, zoe = await world.emea.login("ann@acme"), await world.na.login("zoe@globex")
    ann.send(ROSTER)
    zoe.send(ROSTER)
    await world.settle()
    await ann.rest(), await zoe.rest()
    ann.send(f"<presence type='subscribe' to='{zoe.bare}'/>")
    await world.settle()
    assert (ann.bare, "subscribe") in presences(await zoe.rest())
    zoe.send(f"<presence type='subscribed' to='{ann.bare}'/>")
    await world.settle()
    told = presences(await ann.rest())
    assert {(zoe.bare, "subscribed"), (zoe.jid, "")} <= told
    ann.say("there you are", to=zoe.bare)
    await world.settle()
    assert await bodies(zoe) == ["there you are"]
    zoe.send("<presence><show>dnd</show></presence>")
    await world.settle()
    assert (zoe.jid, "") in presences(await ann.rest())
    zoe.send(f"<presence type='unsubscribed' to='{ann.bare}'/>")
    await world.settle()
    assert (zoe.jid, "unavailable") in presences(await ann.rest())
    ann.say("gone?", to=zoe.bare)
    await world.settle()
    assert await bodies(zoe) == []


async def test_an_answer_comes_back_to_the_session_that_asked(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    bob.send("<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Bob</FN></vCard></iq>")
    await world.settle()
    await ann.rest(), await bob.rest()
    ann.send(f"<iq type='get' id='1' to='{bob.bare}'><vCard xmlns='vcard-temp'/></iq>")
    ann.send(f"<iq type='get' id='2' to='{bob.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
    await world.settle()
    (asked,) = await bob.rest()
    assert (asked.get("from"), asked.get("id")) == (ann.jid, "2")
    bob.send(f"<iq type='result' id='2' to='{ann.jid}'/>")
    await world.settle()
    answers = {stanza.get("id"): stanza for stanza in await ann.rest()}
    assert {id: answer.get("type") for id, answer in answers.items()} == {"1": "result", "2": "result"}
    assert "Bob" in "".join(answers["1"].itertext())
    assert answers["1"].get("from") == bob.bare


async def test_what_is_said_stands_in_the_log_of_each_region(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = await world.emea.login("ann@acme", resource="a"), await world.na.person("bob@acme")
    await world.settle()
    for number in range(3):
        ann.say(f"line {number}", to=bob.bare)
    await world.settle()
    there = await world.na.login("bob@acme", resource="b", available=False)
    there.send("<presence/>")
    await world.settle()
    assert await bodies(there) == ["line 0", "line 1", "line 2"]
    for client in (ann, there):
        client.send("<iq type='set' id='h'><query xmlns='urn:xmpp:mam:2'/></iq>")
        await world.settle()
        assert await bodies(client) == ["line 0", "line 1", "line 2"]


async def test_a_cut_border_loses_nothing_and_keeps_the_order(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    ann.say("before", to=bob.bare)
    await world.settle()
    world.borders.cut.add(frozenset(("emea", "na")))
    for number in range(50):
        ann.say(f"line {number}", to=bob.bare)
    await world.settle()
    assert await bodies(bob) == ["before"]
    assert [s for s in await ann.rest() if s.get("type") == "error"] == []
    world.borders.cut.clear()
    await until(lambda: outbox_is_empty(world))
    await world.settle()
    assert await bodies(bob) == [f"line {number}" for number in range(50)]


async def test_an_answer_that_is_lost_doubles_nothing(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    ann.say("first", to=bob.bare)
    await world.settle()
    assert await bodies(bob) == ["first"]
    world.borders.lost_answers = 3
    for number in range(5):
        ann.say(f"line {number}", to=bob.bare)
    await until(lambda: outbox_is_empty(world))
    await world.settle()
    assert await bodies(bob) == [f"line {number}" for number in range(5)]


async def test_a_query_to_a_region_that_is_away_is_answered_so(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    ann.say("known by now", to=bob.bare)
    await world.settle()
    await ann.rest()
    world.borders.cut.add(frozenset(("emea", "na")))
    ann.send(f"<iq type='get' id='1' to='{bob.bare}'><vCard xmlns='vcard-temp'/></iq>")
    ann.say("who are you?", to="nobody.knows@rainbow.test")
    await world.settle()
    told = await ann.rest()
    assert [stanza.get("type") for stanza in told] == ["error", "error"]
    for stanza in told:
        assert stanza.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}remote-server-timeout") is not None


async def test_nobody_speaks_in_the_name_of_another_regions_people(world: World) -> None:
    await world.company("acme", world.emea, world.na)
    bob, eve = await world.na.login("bob@acme", resource="b"), await world.na.person("eve@acme")
    ann = await world.emea.login("ann@acme", resource="a")
    await world.settle()
    await bob.rest()
    forged = Parcel(
        7,
        f"{eve.bare}/x",
        Who.of(eve.account),
        bob.bare,
        f"<message {CLIENT} from='{eve.bare}/x' to='{bob.bare}' type='chat'><body>!</body></message>".encode(),
        0,
    )
    border = FakeBorder(world.borders, "emea")
    await border.ask("na", STANZAS, encode(Batch([forged], [])))
    answer = Reply(
        bob.jid,
        f"<message xmlns='jabber:client' from='{ann.bare}' type='chat'><body>!</body></message>".encode(),
    )
    shown = Reply(bob.jid, f"<presence xmlns='jabber:client' from='{eve.bare}/x' to='{bob.jid}'/>".encode())
    broken = Reply(bob.jid, b"<message xmlns='jabber:client' type='error'")
    await border.ask("na", STANZAS, encode(Batch([], [answer, shown, broken])))
    await world.settle()
    assert await bob.rest() == []


async def test_companies_decide_what_crosses(world: World) -> None:
    acme = await world.company("acme", world.emea, world.na)
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    await ann.rest()
    await set_settings(world, acme, cross_region=Crossing.NOTIFY)
    ann.say("secret words", to=bob.bare)
    await world.settle()
    (told,) = await bodies(bob)
    assert "emea" in told and "secret" not in told
    assert not any(b"secret words" in crossed[3] for crossed in world.borders.crossed)
    await set_settings(world, acme, cross_region=Crossing.REFUSE)
    ann.say("nothing", to=bob.bare)
    ann.say("nothing", to="nobody@rainbow.test")
    await world.settle()
    assert await bodies(bob) == []
    refused, absent = [stanza for stanza in await ann.rest() if stanza.get("type") == "error"]
    assert [child.tag for child in refused[0]] == [child.tag for child in absent[0]]


async def test_nothing_leaves_before_its_author_consented(world: World) -> None:
    acme = await world.company("acme", world.emea, world.na)
    ann, bob = (
        await world.emea.login("ann@acme", resource="a"),
        await world.na.login("bob@acme", resource="b"),
    )
    await world.settle()
    await set_settings(world, acme, cross_region_consent=True)
    await ann.rest()
    ann.say("too early", to=bob.bare)
    await world.settle()
    assert await bodies(bob) == []
    (error,) = [stanza for stanza in await ann.rest() if stanza.get("type") == "error"]
    assert error.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}not-allowed") is not None
    routing = world.emea.plugin(RegionRouting)
    await routing.consent(ann.session.account, ann.session.account.id)
    ann.say("now", to=bob.bare)
    await world.settle()
    assert await bodies(bob) == ["now"]
    assert [record.entry.kind for record in await world.emea.audit("region_routing.consented")]
    await routing.withdraw(ann.session.account, ann.session.account.id)
    ann.say("no more", to=bob.bare)
    await world.settle()
    assert await bodies(bob) == []


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await is_so():
            await asyncio.sleep(0.05)


async def outbox_is_empty(world: World) -> bool:
    return not await world.emea.store.outbox.counts()


async def set_settings(world: World, company: Company, **values: Any) -> None:
    known = await world.emea.store.companies.by_id(company.id)
    assert known is not None
    await world.emea.store.companies.update(company.id, settings=replace(known.settings, **values))
    await world.settle()
    assert world.emea.node.neighbours.reach is not None
    await world.emea.node.neighbours.reach.companies.tell()
    await world.settle()


async def test_invitations_by_the_api_cross_with_their_answers_and_ends(world: World) -> None:
    await world.company("acme", world.emea)
    await world.company("globex", world.na)
    ann, zoe = await world.emea.login("ann@acme"), await world.na.login("zoe@globex")
    await world.settle()
    await world.emea.node.courier.invite(
        ann.session.account, "zoe@globex.example", note="From the fair", expires_at=None
    )
    await world.settle()
    asked = await half_of(world.na, zoe)
    assert (asked.state, asked.note, asked.contact_jid) == (
        AuthorisationState.ASKED,
        "From the fair",
        ann.bare,
    )
    inviter = await world.na.node.pipeline.account_at(ann.bare)
    assert inviter is not None and inviter.abroad
    await world.na.node.agreements.accept(zoe.session.account, inviter, actor="zoe")
    await world.settle()
    assert (await half_of(world.emea, ann)).state is AuthorisationState.ACCEPTED
    ann.say("hello", to=zoe.bare)
    await world.settle()
    assert await bodies(zoe) == ["hello"]
    other = await world.emea.node.pipeline.account_at(zoe.bare)
    assert other is not None
    await world.emea.node.agreements.end(ann.session.account, other, actor="ann")
    await world.settle()
    assert (
        await world.na.store.authorisations.of(zoe.session.account.company.id, zoe.session.account.id) == []
    )
    zoe.say("still there?", to=ann.bare)
    await world.settle()
    assert await bodies(ann) == []


async def half_of(server: TestServer, client: Client) -> Authorisation:
    account = client.session.account
    (half,) = await server.store.authorisations.of(account.company.id, account.id)
    return half


async def test_a_company_is_changed_at_home_only(world: World) -> None:
    acme = await world.company("acme", world.emea, world.na)
    there = await world.na.store.companies.by_id(acme.id)
    assert there is not None
    wanted = CompanyChange(organisation="Group")
    with pytest.raises(WrongRegion, match="at home in emea: change it there"):
        await world.na.node.companies.change(there, wanted, actor="ops")
    await world.emea.node.companies.change(acme, wanted, actor="ops")
    await world.settle()
    assert world.emea.node.neighbours.reach is not None
    await world.emea.node.neighbours.reach.companies.tell()
    await world.settle()
    there = await world.na.store.companies.by_id(acme.id)
    assert there is not None and there.organisation == "Group"
