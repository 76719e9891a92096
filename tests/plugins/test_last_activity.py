import asyncio

import pytest

from rainbow_xmpp.plugin import Condition, DiscoInfo, Visibility
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.last_activity import MAX_STATUS, Last, LastActivity
from rainbow_xmpp.plugins.last_activity.store import LastActivities
from rainbow_xmpp.testing import Client, TestServer, condition_of
from rainbow_xmpp.xml import serialise

REFUSED = Condition.SERVICE_UNAVAILABLE


@pytest.fixture
async def server():
    async with TestServer([LastActivity, Disco]) as running:
        yield running


async def seen(asker: Client, to: str) -> Last | Condition | None:
    answer = await asker.ask("get", Last(), to=to)
    return condition_of(answer) or Last.from_xml(answer[0])


async def test_whoever_may_see_presence_is_told_when_somebody_went_and_with_which_words(server):
    bob = await server.login("bob@acme")
    ann = await server.login("ann@acme")
    await server.subscribe(ann.bare, to=await server.person("bob@acme"))
    bob.send("<presence type='unavailable'><status>Heading Home</status></presence>")
    await server.settle()
    server.clock.advance(903)
    assert await seen(ann, bob.bare) == Last(903, "Heading Home")


async def test_somebody_who_is_there_was_here_0_seconds_ago(server):
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    await server.subscribe(ann.bare, to=await server.person("bob@acme"))
    server.clock.advance(60)
    assert await seen(ann, bob.bare) == Last(0)
    assert await seen(ann, "") == Last(0)


async def test_the_last_of_several_clients_counts(server):
    ann = await server.login("ann@acme")
    laptop, phone = await server.login("bob@acme"), await server.login("bob@acme")
    await server.subscribe(ann.bare, to=await server.person("bob@acme"))
    laptop.send("<presence type='unavailable'><status>from the laptop</status></presence>")
    await server.settle()
    server.clock.advance(10)
    assert await seen(ann, phone.bare) == Last(0)
    await phone.leave()
    server.clock.advance(20)
    assert await seen(ann, phone.bare) == Last(20)


async def test_a_client_that_is_connected_but_not_available_is_not_there(server):
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    await server.subscribe(ann.bare, to=await server.person("bob@acme"))
    bob.send("<presence type='unavailable'/>")
    await server.settle()
    server.clock.advance(5)
    assert await seen(ann, bob.bare) == Last(5)
    assert await seen(bob, "") == Last(5)


async def test_whoever_may_not_see_presence_learns_what_a_stranger_learns_of_nobody(server):
    await (await server.login("bob@acme")).leave()
    eve = await server.login("eve@acme")
    there = await server.login("cid@acme")
    answers = [
        serialise(await eve.ask("get", Last(), to=to)).replace(to.encode(), b"TO").partition(b"id=")[2][12:]
        for to in (f"bob@{server.domain}", there.bare, f"nobody@{server.domain}")
    ]
    assert len(set(answers)) == 1
    assert b"service-unavailable" in answers[0]


async def test_somebody_who_was_never_here_is_like_nobody(server):
    ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
    await server.subscribe(ann.bare, to=bob)
    assert await seen(ann, bob.bare) is REFUSED


async def test_a_client_is_asked_by_those_who_may_see_it_only(server):
    await server.subscribe(f"ann@{server.domain}", to=await server.person("bob@acme"))
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    other, eve = await server.login("bob@acme"), await server.login("eve@acme")
    for asker in (ann, other):
        asking = asyncio.create_task(seen(asker, bob.jid))
        await bob.answer(Last(123))
        assert await asking == Last(123)
    assert await seen(eve, bob.jid) is REFUSED
    eve.send(f"<iq type='get' id='1' to='{bob.jid}'><query xmlns='jabber:iq:version'/></iq>")
    assert (await bob.asked()).get("from") == eve.jid


async def test_across_companies_the_gate_is_asked_first():
    async with TestServer([LastActivity, CompanyIsolation]) as server:
        bob = await server.person("bob@globex", visibility=Visibility.PRIVATE)
        await (await server.login("bob@globex")).leave()
        ann = await server.login("ann@acme")
        await server.subscribe(ann.bare, to=bob)
        assert await seen(ann, bob.bare) is REFUSED


async def test_the_servers_age_is_told_only_where_that_is_wished(server):
    ann = await server.login("ann@acme")

    async def announced() -> bool:
        return Last.NS in DiscoInfo.from_xml((await ann.ask("get", DiscoInfo(), to=server.domain))[0]).names

    server.clock.advance(3600)
    assert await seen(ann, server.domain) is REFUSED
    assert not await announced()
    assert server.reconfigure({LastActivity: LastActivity.Options(tell_uptime=True)}) == []
    assert await seen(ann, server.domain) == Last(3600)
    assert await announced()


async def test_a_long_status_is_kept_in_part(server):
    ann = await server.login("ann@acme")
    ann.send(f"<presence type='unavailable'><status>{'x' * 3000}</status></presence>")
    await server.settle()
    assert await seen(ann, "") == Last(0, "x" * MAX_STATUS)


async def test_what_was_kept_outlives_the_server_and_goes_with_the_account(server):
    ann = await server.person("ann@acme")
    kept = LastActivities(server.store)
    await asyncio.gather(*(kept.put(ann.account.company.id, ann.account.id, at, "bye") for at in (5, 7, 6)))
    found = await LastActivities(server.store).get(ann.account.company.id, ann.account.id)
    assert found is not None and found.status == "bye"
    other = await server.company("globex")
    assert await kept.get(other.id, ann.account.id) is None
    await kept.put(other.id, ann.account.id, 9, "forged")
    assert await kept.get(other.id, ann.account.id) is None
    await server.store.accounts.remove(ann.account.company.id, ann.account.id)
    assert await kept.get(ann.account.company.id, ann.account.id) is None
