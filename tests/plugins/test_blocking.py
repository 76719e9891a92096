"""XEP-0191: the list and its pushes, what the blocked can tell from it, what the blocker's stanzas meet."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.plugin import Action, Condition
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.blocking.matching import covers, met_by
from rainbow_xmpp.plugins.blocking.store import BlockedJids
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.company_roster import CompanyRoster
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.plugins.ping import Ping
from rainbow_xmpp.plugins.vcard_temp import VCardTemp
from rainbow_xmpp.store.values import RosterItem, Subscription
from rainbow_xmpp.testing import Client, TestServer, condition_of

NS = "urn:xmpp:blocking"
LIST = f"<blocklist xmlns='{NS}'/>"
BODY = "{jabber:client}body"
BLOCKED = "{jabber:client}error/{urn:xmpp:blocking:errors}blocked"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Blocking, CompanyIsolation, Offline, Ping, VCardTemp]) as server:
        yield server


def command(name: str, *jids: str) -> str:
    items = "".join(f"<item jid='{jid}'/>" for jid in jids)
    return f"<{name} xmlns='{NS}'>{items}</{name}>"


async def block(client: Client, *jids: str) -> None:
    assert (await client.ask("set", command("block", *jids))).get("type") == "result"


async def unblock(client: Client, *jids: str) -> None:
    assert (await client.ask("set", command("unblock", *jids))).get("type") == "result"


async def blocked_by(client: Client) -> list[str]:
    answer = await client.ask("get", LIST)
    return [item.get("jid", "") for item in answer.iter(f"{{{NS}}}item")]


def say(sender: Client, to: str, text: str = "hello", type_: str = "chat") -> None:
    sender.send(f"<message to='{to}' type='{type_}' id='m'><body>{text}</body></message>")


async def befriend(server: TestServer, *names: str) -> None:
    """Everybody sees everybody's presence."""
    people = [await server.person(name) for name in names]
    for owner in people:
        for contact in people:
            if contact is not owner:
                item = RosterItem(contact=contact.bare, subscription=Subscription.BOTH)
                account = owner.account
                await server.store.rosters.apply(
                    account.company.id, account.id, contact.bare, lambda _, item=item: item
                )


async def presences(client: Client) -> list[tuple[str | None, str]]:
    """What presence has come: from whom, and of which type."""
    stanzas = await client.rest()
    return [(s.get("from"), s.get("type", "")) for s in stanzas if s.tag == "{jabber:client}presence"]


# -- the list ----------------------------------------------------------------------------------------------


async def test_a_list_is_empty_grows_and_shrinks_and_outlives_sessions(server: TestServer):
    ann = await server.login("ann@acme")
    assert await blocked_by(ann) == []
    await block(ann, "EVE@Rainbow.test", "spam.example", "x@y/z")
    await block(ann, "spam.example")
    assert await blocked_by(ann) == ["eve@rainbow.test", "spam.example", "x@y/z"]
    await unblock(ann, "x@y/z", "never@blocked")
    await ann.leave()
    again = await server.login("ann@acme")
    assert await blocked_by(again) == ["eve@rainbow.test", "spam.example"]
    await unblock(again)
    assert await blocked_by(again) == []


@pytest.mark.parametrize(
    ("wish", "condition"),
    [
        (f"<block xmlns='{NS}'/>", Condition.BAD_REQUEST),
        (f"<block xmlns='{NS}'><item/></block>", Condition.BAD_REQUEST),
        (command("block", "@nobody"), Condition.BAD_REQUEST),
        (command("unblock", "@nobody"), Condition.BAD_REQUEST),
        (command("block", f"{'a' * 1000}@b/{'c' * 1023}é{'d' * 21}"), Condition.BAD_REQUEST),
        (command("block", f"{'a' * 1023}@b/{'c' * 1023}"), Condition.NOT_ACCEPTABLE),
        (command("block", "a@b", "c@d", "e@f", "g@h"), Condition.RESOURCE_CONSTRAINT),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(wish: str, condition: Condition):
    async with TestServer({Blocking: Blocking.Options(max_items=3)}) as server:
        ann = await server.login("ann@acme")
        await block(ann, "a@b", "c@d")
        assert condition_of(await ann.ask("set", wish)) is condition
        assert await blocked_by(ann) == ["a@b", "c@d"]
        await block(ann, "a@b", "e@f")


async def test_every_resource_that_asked_for_the_list_is_told_of_changes_after_the_answer(server: TestServer):
    ann, other, unasked = [await server.login("ann@acme") for _ in range(3)]
    await blocked_by(ann)
    await blocked_by(other)
    for client in (ann, other, unasked):
        await client.rest()
    for name, jids in (("block", ["eve@x", "y"]), ("unblock", ["eve@x"]), ("unblock", [])):
        ann.send(f"<iq type='set' id='1'>{command(name, *jids)}</iq>")
        answer, push = await ann.rest()
        assert (answer.get("type"), answer.get("id")) == ("result", "1")
        (pushed,) = await other.rest()
        for stanza, whose in ((push, ann), (pushed, other)):
            assert (stanza.get("type"), stanza.get("to"), stanza.get("from")) == ("set", whose.jid, None)
            assert stanza[0].tag == f"{{{NS}}}{name}"
            assert [item.get("jid") for item in stanza[0]] == jids
        assert await unasked.rest() == []


async def test_somebody_elses_list_is_nobodys_business(server: TestServer):
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    for kind, payload in (("get", LIST), ("set", command("block", "x@y")), ("set", command("unblock"))):
        assert condition_of(await ann.ask(kind, payload, to=bob.bare)) is Condition.SERVICE_UNAVAILABLE
    assert await blocked_by(bob) == []


async def test_changes_of_several_devices_at_once_all_count(server: TestServer):
    devices = [await server.login("ann@acme") for _ in range(5)]
    await asyncio.gather(*(block(device, f"{n}@x") for n, device in enumerate(devices)))
    assert await blocked_by(devices[0]) == [f"{n}@x" for n in range(5)]
    at_hand = server.plugin(Blocking)._lists.at_hand
    assert at_hand[devices[0].account.id] == {f"{n}@x" for n in range(5)}


# -- what the blocked hear ---------------------------------------------------------------------------------


async def answer_to(sender: Client, stanza: str) -> bytes:
    """The one answer, without its addresses."""
    sender.send(stanza)
    (answer,) = await sender.rest_bytes()
    return answer


STANZAS = [
    "<message to='{to}' id='1' type='chat'><body>hello</body></message>",
    "<message to='{to}' id='1'><body>hello</body></message>",
    "<iq to='{to}' id='1' type='get'><vCard xmlns='vcard-temp'/></iq>",
    "<iq to='{to}' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq to='{to}' id='1' type='set'><x xmlns='urn:x'/></iq>",
]


@pytest.mark.parametrize("where", ["bare", "jid"])
@pytest.mark.parametrize("stanza", STANZAS)
async def test_the_blocked_are_answered_as_though_nobody_had_the_address(
    server: TestServer, stanza: str, where: str
):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    to = getattr(ann, where)
    nobody = to.replace("ann", "nob")
    refused, absent = [await answer_to(eve, stanza.format(to=jid)) for jid in (to, nobody)]
    assert refused.replace(to.encode(), b"TO") == absent.replace(nobody.encode(), b"TO")
    assert b"service-unavailable" in refused
    assert await ann.rest() == []


@pytest.mark.parametrize(
    "stanza",
    [
        "<presence to='{to}'/>",
        "<presence to='{to}' type='unavailable'/>",
        "<presence to='{to}' type='probe'/>",
        "<presence to='{to}' type='unsubscribe'/>",
        "<presence to='{to}' type='subscribed'/>",
        "<message to='{to}' type='error' id='1'/>",
        "<iq to='{to}' type='result' id='1'/>",
        "<iq to='{to}' type='error' id='1'/>",
    ],
)
async def test_presence_and_answers_of_the_blocked_vanish_without_a_word(server: TestServer, stanza: str):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    for to in (ann.bare, ann.jid):
        eve.send(stanza.format(to=to))
    assert await eve.rest() == []
    assert await ann.rest() == []


async def test_a_request_to_subscribe_is_not_delivered_now_or_later(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    eve.send(f"<presence to='{ann.bare}' type='subscribe'/>")
    await eve.rest()
    await unblock(ann, eve.bare)
    again = await server.login("ann@acme")
    assert await presences(again) == [(ann.jid, "")]
    again.send("<presence/>")
    assert await presences(again) == [(again.jid, "")]


async def test_a_request_that_waited_since_before_the_block_is_shown_after_it_only(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    eve.send(f"<presence to='{ann.bare}' type='subscribe'/>")
    await server.settle()
    await block(ann, eve.bare)
    assert await presences(await server.login("ann@acme")) == [(ann.jid, "")]
    await unblock(ann)
    assert (eve.bare, "subscribe") in await presences(await server.login("ann@acme"))


async def test_nothing_of_the_blocked_waits_for_somebody_who_is_away(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    await ann.leave()
    server.plugin(Blocking)._lists.forget(ann.account.id)
    say(eve, ann.bare)
    assert [condition_of(stanza) for stanza in await eve.rest()] == [Condition.SERVICE_UNAVAILABLE]
    await unblock(ann := await server.login("ann@acme"))
    assert await ann.rest() == []


async def test_others_are_not_concerned(server: TestServer):
    eve, bob, ann = [await server.login(f"{name}@acme") for name in ("eve", "bob", "ann")]
    await block(ann, eve.bare)
    say(bob, ann.bare)
    assert (await ann.receive()).findtext(BODY) == "hello"
    say(ann, bob.bare)
    assert (await bob.receive()).findtext(BODY) == "hello"


@pytest.mark.parametrize(
    ("item", "is_stopped"),
    [
        ("eve@rainbow.test", True),
        ("eve@rainbow.test/phone", True),
        ("eve@rainbow.test/desk", False),
        ("rainbow.test", True),
        ("rainbow.test/phone", False),
        ("test", False),
        ("ve@rainbow.test", False),
    ],
)
async def test_addresses_match_as_section_5_says(server: TestServer, item: str, is_stopped: bool):
    eve, ann = await server.login("eve@acme", resource="phone"), await server.login("ann@acme")
    await block(ann, item)
    say(eve, ann.bare)
    assert (await ann.rest() == []) is is_stopped
    assert ([condition_of(s) for s in await eve.rest()] == [Condition.SERVICE_UNAVAILABLE]) is is_stopped


def test_resources_may_look_like_anything():
    assert covers({"a@b"}, "a@b/x@c/d")
    assert not covers({"c"}, "a@b/x@c")
    assert not covers({"c/d"}, "a@b/x@c/d")


def test_presence_goes_to_those_who_are_meant():
    people = {"a@x", "b@x", "c@y"}
    assert sorted(met_by(["x"], people)) == ["a@x", "b@x"]
    assert sorted(met_by(["a@x", "c@y/z", "q@x", "y/r", "a"], people)) == ["a@x", "c@y/z"]


async def test_nobody_can_block_themselves_or_the_server(server: TestServer):
    ann, other = await server.login("ann@acme"), await server.login("ann@acme", available=False)
    await block(ann, ann.bare, server.domain)
    say(ann, other.jid)
    say(ann, ann.bare)
    assert (await other.receive()).findtext(BODY) == "hello"
    assert (await ann.receive()).findtext(BODY) == "hello"
    await server.plugin(Blocking).services.notify(ann.account, body="from the server")
    assert (await ann.receive()).findtext(BODY) == "from the server"
    answer = await ann.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=server.domain)
    assert answer.get("type") == "result"


async def test_across_companies_a_block_cannot_be_felt(server: TestServer):
    ann, spy = await server.login("ann@acme"), await server.login("spy@globex")
    answers = []
    for _ in range(2):
        for to in (ann.bare, f"nob@{server.domain}"):
            for stanza in (*STANZAS, "<presence to='{to}' type='probe'/>"):
                answer = await answer_to(spy, stanza.format(to=to))
                answers += [answer.replace(to.encode(), b"TO")]
        await block(ann, spy.bare)
    assert answers == answers[: len(STANZAS) + 1] * 4


async def test_nothing_is_read_about_strangers(server: TestServer, monkeypatch: pytest.MonkeyPatch):
    spy, ann = await server.login("spy@globex"), await server.person("ann@acme")
    load, asked = BlockedJids.load, []

    async def counted(self, whose):
        asked.extend(whose)
        return await load(self, whose)

    monkeypatch.setattr(BlockedJids, "load", counted)
    say(spy, ann.bare)
    assert [condition_of(stanza) for stanza in await spy.rest()] == [Condition.SERVICE_UNAVAILABLE]
    assert asked == []


@pytest.mark.parametrize("action", Action)
async def test_what_is_no_stanza_is_refused_likewise(server: TestServer, action: Action):
    eve, ann, bob = [await server.login(f"{name}@acme") for name in ("eve", "ann", "bob")]
    services = server.plugin(Blocking).services
    await block(ann, eve.bare)
    assert not await services.may(action, eve.account, ann.account)
    is_looking = action in (Action.SEARCH, Action.PROFILE)
    assert await services.may(action, ann.account, eve.account) is is_looking
    assert await services.may(action, bob.account, ann.account)


# -- what the blocker's stanzas meet -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "who", ["eve@rainbow.test", "nobody@rainbow.test", "a@far.example", "spy@rainbow.test"]
)
@pytest.mark.parametrize(
    "stanza",
    [
        *STANZAS,
        "<presence to='{to}'/>",
        *(
            f"<presence to='{{to}}' type='{kind}'/>"
            for kind in ("probe", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed")
        ),
    ],
)
async def test_what_is_sent_to_the_blocked_is_refused_and_says_so(server: TestServer, stanza: str, who: str):
    eve, spy, ann = [await server.login(name) for name in ("eve@acme", "spy@globex", "ann@acme")]
    await block(ann, who)
    ann.send(stanza.format(to=who))
    (answer,) = await ann.rest()
    assert (answer.get("type"), answer.get("from")) == ("error", who)
    assert condition_of(answer) is Condition.NOT_ACCEPTABLE
    assert answer.find("{jabber:client}error").get("type") == "cancel"
    assert answer.find(BLOCKED) is not None
    assert await eve.rest() == await spy.rest() == []
    account = ann.account
    assert not (await server.store.rosters.load(account.company.id, account.id)).items


async def test_answers_to_the_blocked_are_dropped(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    for kind in ("result", "error"):
        ann.send(f"<iq to='{eve.jid}' type='{kind}' id='1'/>")
    assert await ann.rest() == await eve.rest() == []


# -- presence ----------------------------------------------------------------------------------------------


async def test_a_contact_sees_the_person_leave_and_come_back(server: TestServer):
    await befriend(server, "ann@acme", "eve@acme", "bob@acme")
    eve, bob, ann = [await server.login(f"{name}@acme") for name in ("eve", "bob", "ann")]
    for client in (eve, bob, ann):
        await client.rest()
    await block(ann, eve.bare)
    assert await presences(eve) == [(ann.jid, "unavailable")]
    ann.send("<presence><show>away</show></presence>")
    eve.send("<presence><show>dnd</show></presence>")
    assert await presences(eve) == [(eve.jid, "")]
    assert await presences(bob) == [(ann.jid, ""), (eve.jid, "")]
    assert await presences(ann) == [(ann.jid, "")]
    await unblock(ann, eve.bare)
    (shown,) = await eve.rest()
    assert (shown.get("from"), shown.findtext("{jabber:client}show")) == (ann.jid, "away")
    (seen,) = await ann.rest()
    assert (seen.get("from"), seen.findtext("{jabber:client}show")) == (eve.jid, "dnd")
    assert await presences(bob) == []


@pytest.mark.parametrize("item", ["rainbow.test", "eve@rainbow.test"])
async def test_so_does_a_colleague_without_any_subscription(item: str):
    async with TestServer([Blocking, CompanyRoster]) as server:
        eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
        await eve.rest()
        await ann.rest()
        await block(ann, item)
        assert await presences(eve) == [(ann.jid, "unavailable")]
        eve.send("<presence><show>dnd</show></presence>")
        ann.send("<presence><show>away</show></presence>")
        assert await presences(eve) == [(eve.jid, "")]
        assert await presences(ann) == [(ann.jid, "")]
        await unblock(ann)
        assert await presences(eve) == [(ann.jid, "")]
        assert await presences(ann) == [(eve.jid, "")]


@pytest.mark.parametrize("item", ["rainbow.test", "eve@rainbow.test/desk"])
async def test_so_do_all_people_of_a_domain_and_a_single_device(server: TestServer, item: str):
    await befriend(server, "ann@acme", "eve@acme")
    eve, ann = await server.login("eve@acme", resource="desk"), await server.login("ann@acme")
    await eve.rest()
    await ann.rest()
    await block(ann, item)
    assert await presences(eve) == [(ann.jid, "unavailable")]
    await unblock(ann)
    assert await presences(eve) == [(ann.jid, "")]


async def test_who_may_not_see_the_person_sees_nothing_of_a_block(server: TestServer):
    await befriend(server, "eve@acme", "bob@acme")
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    await unblock(ann)
    assert await presences(eve) == []


async def test_who_is_still_covered_by_another_item_stays_blocked(server: TestServer):
    await befriend(server, "ann@acme", "eve@acme")
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await ann.rest()
    await block(ann, eve.bare, server.domain)
    await eve.rest()
    await unblock(ann, eve.bare)
    assert await presences(eve) == await presences(ann) == []
    await unblock(ann, server.domain)
    assert await presences(eve) == [(ann.jid, "")]


async def test_directed_presence_is_withdrawn_and_its_end_is_not_told_again(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    ann.send(f"<presence to='{eve.jid}'/>")
    assert await presences(eve) == [(ann.jid, "")]
    await block(ann, eve.bare)
    assert await presences(eve) == [(ann.jid, "unavailable")]
    await ann.leave()
    assert await presences(eve) == []


async def test_an_end_is_not_told_to_the_blocked(server: TestServer):
    await befriend(server, "ann@acme", "eve@acme")
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    await eve.rest()
    await ann.leave()
    again = await server.login("ann@acme")
    assert await presences(eve) == []
    assert await presences(again) == []


# -- what is kept in memory --------------------------------------------------------------------------------


async def test_a_change_counts_for_all_sessions_at_once(server: TestServer):
    eve, ann, other = [await server.login(f"{name}@acme") for name in ("eve", "ann", "ann")]
    say(eve, other.jid)
    assert (await other.rest())[-1].findtext(BODY) == "hello"
    await block(ann, eve.bare)
    say(eve, other.jid)
    assert [condition_of(stanza) for stanza in await eve.rest()] == [Condition.SERVICE_UNAVAILABLE]
    say(other, eve.bare)
    assert [condition_of(stanza) for stanza in await other.rest()] == [Condition.NOT_ACCEPTABLE]


async def test_what_another_server_wrote_is_known_after_the_next_renewal(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await BlockedJids(server.store).add(ann.account.company.id, ann.account.id, [eve.bare], most=10)
    await server.plugin(Blocking).renew()
    say(eve, ann.bare)
    assert [condition_of(stanza) for stanza in await eve.rest()] == [Condition.SERVICE_UNAVAILABLE]


async def test_a_renewal_drops_the_lists_of_who_is_away(server: TestServer):
    ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
    await bob.leave()
    plugin = server.plugin(Blocking)
    assert plugin._lists.at_hand.keys() == {ann.account.id, bob.account.id}
    await plugin.renew()
    assert plugin._lists.at_hand.keys() == {ann.account.id}


async def test_lists_go_with_their_accounts(server: TestServer):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    await block(ann, eve.bare)
    await server.store.accounts.remove(ann.account.company.id, ann.account.id)
    await server.node.watch.poll()
    assert ann.account.id not in server.plugin(Blocking)._lists.at_hand
    assert not await BlockedJids(server.store).load([(ann.account.company.id, ann.account.id)])


async def test_a_list_that_cannot_be_read_keeps_the_gate_closed(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
):
    eve, ann = await server.login("eve@acme"), await server.person("ann@acme")
    bob = await server.login("bob@acme")
    server.plugin(Blocking)._lists.forget(bob.account.id)

    async def away(self, whose):
        raise OSError("the database is away")

    monkeypatch.setattr(BlockedJids, "load", away)
    say(eve, ann.bare)
    assert [condition_of(stanza) for stanza in await eve.rest()] == [Condition.SERVICE_UNAVAILABLE]
    say(bob, eve.bare)
    assert Condition.RESOURCE_CONSTRAINT in [condition_of(stanza) for stanza in await bob.rest()]
    late = await server.login("cem@acme")
    assert late.wire.violation.condition is StreamCondition.RESOURCE_CONSTRAINT
    monkeypatch.undo()
    say(bob, eve.bare, "again")
    assert (await eve.receive()).findtext(BODY) == "again"


# -- reports -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ("<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/>", "spam"),
        (
            "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:abuse'><text>he said</text></report>",
            "abuse",
        ),
        ("<report xmlns='urn:xmpp:reporting:1' reason='urn:x:rudeness'/>", "other"),
        ("<report xmlns='urn:xmpp:reporting:1'/>", "other"),
        ("<report xmlns='urn:xmpp:reporting:0'/>", None),
    ],
)
async def test_a_report_is_recorded_and_never_in_the_way(server: TestServer, report: str, reason: str | None):
    eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
    wish = f"<block xmlns='{NS}'><item jid='{eve.bare}'>{report}</item><item jid='far.example'/></block>"
    assert (await ann.ask("set", wish)).get("type") == "result"
    await server.settle()
    records = [record.entry for record in await server.audit("blocking.reported")]
    expected = [] if reason is None else [(ann.account.company.id, ann.account.id, eve.account.id, reason)]
    assert [(r.company_id, r.actor, r.target, r.reason) for r in records] == expected
    assert await blocked_by(ann) == [eve.bare, "far.example"]
