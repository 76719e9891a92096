"""XEP-0163: publishing, who is told, who may look, what is refused; XEP-0060 as far as it is needed."""

from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.company_roster import CompanyRoster
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.pep import Pep
from rainbow_xmpp.testing import TestServer, condition_of
from tests.plugins.eventing import (
    DELAY,
    EVENT,
    INFO,
    ITEMS,
    MOOD,
    OWNER,
    PUBSUB,
    TUNE,
    befriend,
    come,
    events,
    form,
    heard,
    ids_in,
    items,
    owner_request,
    publication,
    publish,
    published,
    show,
    specific,
    tune,
)

PLUGINS = (Blocking, Caps, CompanyIsolation, Disco, Pep)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer(PLUGINS) as server:
        yield server


# -- publishing ------------------------------------------------------------------------------------------


async def test_friends_and_own_devices_that_want_it_are_told(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet", "nurse@capulet")
    juliet = await come(server, "juliet@capulet", TUNE, resource="balcony")
    chamber = await come(server, "juliet@capulet", TUNE, resource="chamber")
    silent = await come(server, "juliet@capulet", MOOD, resource="kitchen")
    romeo, nurse = await come(server, "romeo@capulet", TUNE), await come(server, "nurse@capulet", MOOD)
    benvolio = await come(server, "benvolio@capulet", TUNE)
    for client in (juliet, chamber, silent, romeo, nurse, benvolio):
        await client.rest()
    item = await published(juliet, TUNE, tune("Introduction"))
    (event,) = await events(romeo)
    assert (event.get("from"), event.get("to"), event.get("type")) == (juliet.bare, romeo.jid, "headline")
    assert event.get("id")
    assert event.find(f".//{{{EVENT}}}item").get("id") == item
    assert event.findtext(f".//{{{TUNE}}}title") == "Introduction"
    assert event.find(DELAY) is None
    for client in (juliet, chamber):
        (own,) = await events(client)
        assert (own.get("from"), own.get("to")) == (juliet.bare, client.jid)
    for client in (silent, nurse, benvolio):
        assert await events(client) == []


async def test_an_item_of_the_same_id_takes_the_place_of_the_other(server: TestServer):
    juliet = await server.login("juliet@capulet")
    for title in ("one", "two"):
        assert await published(juliet, TUNE, tune(title), "current") == "current"
    answer = await items(juliet, TUNE)
    assert ids_in(answer) == ["current"]
    assert answer.findtext(f".//{{{TUNE}}}title") == "two"


async def test_as_many_items_are_kept_as_the_node_says_and_come_in_their_order(server: TestServer):
    juliet = await server.login("juliet@capulet")
    for number in range(5):
        await published(juliet, TUNE, tune("x"), f"i{number}", max_items="3")
    await published(juliet, TUNE, tune("x"), "i3")
    assert ids_in(await items(juliet, TUNE)) == ["i2", "i4", "i3"]
    assert ids_in(await items(juliet, TUNE, most=2)) == ["i4", "i3"]
    assert ids_in(await items(juliet, TUNE, "i2", "i3", "i0")) == ["i2", "i3"]
    for most in ("0", "-1", "x"):
        asked = f"<pubsub xmlns='{PUBSUB}'><items node='{TUNE}' max_items='{most}'/></pubsub>"
        assert condition_of(await juliet.ask("get", asked)) is Condition.BAD_REQUEST
    await juliet.ask("set", owner_request("configure", TUNE, form("node_config", max_items="1")))
    assert ids_in(await items(juliet, TUNE)) == ["i3"]


async def test_what_is_not_to_be_kept_is_told_and_gone(server: TestServer):
    juliet = await come(server, "juliet@capulet", TUNE)
    await published(juliet, TUNE, tune("gone"), persist_items="false")
    assert await heard(juliet) == [("juliet", TUNE, "gone")]
    assert ids_in(await items(juliet, TUNE)) == []
    again = await come(server, "juliet@capulet", TUNE)
    assert await heard(again) == []
    for request in ("purge", "retract"):
        if request == "purge":
            answer = await juliet.ask("set", owner_request("purge", TUNE))
        else:
            answer = await juliet.ask(
                "set", f"<pubsub xmlns='{PUBSUB}'><retract node='{TUNE}'><item id='x'/></retract></pubsub>"
            )
        assert condition_of(answer) is Condition.FEATURE_NOT_IMPLEMENTED
        assert answer.find(".//{http://jabber.org/protocol/pubsub#errors}unsupported").get("feature") == (
            "persistent-items"
        )


@pytest.mark.parametrize(
    ("inside", "condition", "detail"),
    [
        (f"<publish node='{TUNE}'/>", Condition.BAD_REQUEST, "item-required"),
        (f"<publish node='{TUNE}'><item/></publish>", Condition.BAD_REQUEST, "payload-required"),
        (f"<publish node='{TUNE}'><item>{tune('x') * 2}</item></publish>", Condition.BAD_REQUEST, "invalid-payload"),
        (f"<publish><item>{tune('x')}</item></publish>", Condition.BAD_REQUEST, "nodeid-required"),
        (f"<publish node='{TUNE}'><item/><item/></publish>", Condition.BAD_REQUEST, ""),
        (f"<publish node='{'n' * 1024}'><item>{tune('x')}</item></publish>", Condition.NOT_ACCEPTABLE, ""),
        (f"<publish node='{TUNE}'><item id='{'é' * 512}'>{tune('x')}</item></publish>", Condition.NOT_ACCEPTABLE, ""),
        ("", Condition.BAD_REQUEST, ""),
        (f"<retract node='{TUNE}'><item id='x'/></retract>", Condition.ITEM_NOT_FOUND, ""),
        (f"<retract node='{TUNE}'/>", Condition.BAD_REQUEST, "item-required"),
        ("<retract><item id='x'/></retract>", Condition.BAD_REQUEST, "nodeid-required"),
        ("<frobnicate/>", Condition.FEATURE_NOT_IMPLEMENTED, "unsupported"),
    ],
)  # fmt: skip
async def test_a_request_that_does_not_fit_changes_nothing(
    server: TestServer, inside: str, condition: Condition, detail: str
):
    juliet = await server.login("juliet@capulet")
    answer = await juliet.ask("set", f"<pubsub xmlns='{PUBSUB}'>{inside}</pubsub>")
    assert (condition_of(answer), specific(answer)) == (condition, detail)
    assert condition_of(await items(juliet, TUNE)) is Condition.ITEM_NOT_FOUND


# -- publish-options (§7.1.5) --------------------------------------------------------------------------------


async def test_options_configure_a_new_node_and_must_fit_an_old_one(server: TestServer):
    juliet = await come(server, "juliet@capulet", TUNE)
    options = {"access_model": "whitelist", "max_items": "max", "send_last_published_item": "never"}
    await published(juliet, TUNE, tune("one"), "a", persist_items="true", **options)
    await published(juliet, TUNE, tune("two"), "b", persist_items="1", **options)
    await juliet.rest()
    refused = await publish(juliet, TUNE, tune("three"), "c", access_model="presence")
    assert (condition_of(refused), specific(refused)) == (Condition.CONFLICT, "precondition-not-met")
    assert await heard(juliet) == []
    assert ids_in(await items(juliet, TUNE)) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "condition", "detail"),
    [
        ({"frobnicate": "1"}, Condition.NOT_ACCEPTABLE, ""),
        ({"access_model": "authorize"}, Condition.NOT_ACCEPTABLE, "unsupported-access-model"),
        ({"publish_model": "open"}, Condition.NOT_ACCEPTABLE, ""),
        ({"max_items": "1001"}, Condition.NOT_ACCEPTABLE, ""),
        ({"max_items": "many"}, Condition.NOT_ACCEPTABLE, ""),
        ({"persist_items": "perhaps"}, Condition.NOT_ACCEPTABLE, ""),
    ],
)
async def test_options_that_cannot_be_kept_make_no_node(
    server: TestServer, options: dict[str, str], condition: Condition, detail: str
):
    juliet = await server.login("juliet@capulet")
    answer = await publish(juliet, TUNE, tune("x"), **options)
    assert (condition_of(answer), specific(answer)) == (condition, detail)
    assert condition_of(await items(juliet, TUNE)) is Condition.ITEM_NOT_FOUND


# -- limits ----------------------------------------------------------------------------------------------------


async def test_nobody_keeps_more_than_they_may():
    options = Pep.Options(max_nodes=2, max_items=10, max_item_bytes=1024, max_bytes=65_536)
    async with TestServer({Caps: Caps.Options(), Pep: options}) as server:
        juliet = await server.login("juliet@capulet")
        big = f"<x xmlns='urn:x'>{'y' * 1000}</x>"
        answer = await publish(juliet, "one", big + "", "x")
        assert answer.get("type") == "result"
        answer = await publish(juliet, "one", f"<x xmlns='urn:x'>{'y' * 1024}</x>")
        assert (condition_of(answer), specific(answer)) == (Condition.NOT_ACCEPTABLE, "payload-too-big")
        for number in range(65):
            last = await publish(juliet, f"{number % 2}", big, f"i{number}", max_items="max")
            if number == 1:
                assert condition_of(last) is Condition.RESOURCE_CONSTRAINT  # a third node
        assert len(ids_in(await items(juliet, "0"))) == 10
        server.reconfigure({Pep: Pep.Options(max_nodes=2, max_item_bytes=65_536, max_bytes=65_536)})
        answer = await publish(juliet, "0", f"<x xmlns='urn:x'>{'y' * 60_000}</x>", "i0")
        assert condition_of(answer) is Condition.RESOURCE_CONSTRAINT
        assert len(ids_in(await items(juliet, "0"))) == 10


# -- the last item ---------------------------------------------------------------------------------------------


async def test_whoever_comes_gets_the_last_items_of_contacts_and_of_their_own(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet = await server.login("juliet@capulet")
    await published(juliet, TUNE, tune("first"), "a", max_items="2")
    await published(juliet, TUNE, tune("second"), "b")
    await published(
        juliet, MOOD, "<mood xmlns='urn:mood'>never told</mood>", send_last_published_item="never"
    )
    await juliet.leave()
    romeo = await come(server, "romeo@capulet", TUNE, MOOD)
    (event,) = await events(romeo)
    assert event.findtext(f".//{{{TUNE}}}title") == "second"
    assert (event.get("from"), event.get("to")) == (juliet.bare, romeo.jid)
    assert event.find(DELAY).get("stamp", "").endswith("Z")
    own = await come(server, "juliet@capulet", TUNE)
    assert await heard(own) == [("juliet", TUNE, "second")]
    phone = await come(server, "juliet@capulet", TUNE, priority=-1)
    assert await heard(phone) == [("juliet", TUNE, "second")]


async def test_it_is_sent_once_and_again_after_having_been_away(server: TestServer):
    juliet = await server.login("juliet@capulet")
    await published(juliet, TUNE, tune("x"))
    await published(juliet, MOOD, "<mood xmlns='urn:mood'>y</mood>")
    other = await come(server, "juliet@capulet", TUNE)
    assert len(await events(other)) == 1
    await show(other, TUNE, priority=5)
    assert await events(other) == []
    await show(other, TUNE, MOOD)  # the client wants more by now
    assert await heard(other) == [("juliet", MOOD, "y")]
    other.send("<presence type='unavailable'/>")
    await show(other, TUNE, MOOD)
    assert len(await events(other)) == 2


async def test_what_is_large_is_sent_all_the_same(server: TestServer):
    juliet = await server.login("juliet@capulet")
    await published(juliet, TUNE, tune("z" * 5000))
    other = await come(server, "juliet@capulet", TUNE)
    assert await heard(other) == [("juliet", TUNE, "z" * 5000)]


async def test_whoever_is_let_see_presence_gets_the_last_item_then(server: TestServer):
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", TUNE)
    await published(juliet, TUNE, tune("x"))
    romeo.send(f"<presence type='subscribe' to='{juliet.bare}'/>")
    await server.settle()
    assert await events(romeo) == []
    juliet.send(f"<presence type='subscribed' to='{romeo.bare}'/>")
    await server.settle()
    assert await heard(romeo) == [("juliet", TUNE, "x")]


async def test_colleagues_are_subscribed_by_themselves():
    async with TestServer([*PLUGINS, CompanyRoster]) as server:
        for name in ("juliet@capulet", "romeo@capulet"):
            await server.person(name)
        juliet = await come(server, "juliet@capulet")
        romeo = await come(server, "romeo@capulet", TUNE)
        await published(juliet, TUNE, tune("x"))
        assert await heard(romeo) == [("juliet", TUNE, "x")]
        await published(
            juliet,
            MOOD,
            "<mood xmlns='urn:mood'>y</mood>",
            access_model="roster",
            roster_groups_allowed="capulet",
        )
        await juliet.leave()
        again = await come(server, "romeo@capulet", TUNE, MOOD)
        assert sorted(await heard(again)) == [("juliet", MOOD, "y"), ("juliet", TUNE, "x")]
        assert (await items(again, TUNE, to=juliet.bare)).get("type") == "result"


async def test_nothing_is_asked_of_the_database_at_a_login_while_nobody_has_a_node(server: TestServer):
    pep = server.plugin(Pep)
    await befriend(server, "juliet@capulet", "romeo@capulet")
    asked: list[object] = []

    async def read(localparts):
        asked.append(localparts)
        return {}

    pep._kept.shelves = read
    juliet = await come(server, "juliet@capulet", TUNE)
    assert (await items(juliet, TUNE, to=f"romeo@{server.domain}")).get("type") == "error"
    assert asked == []
    await published(juliet, TUNE, tune("x"))
    await come(server, "romeo@capulet", TUNE)
    assert len(asked) == 1  # one question for everybody


# -- who may look ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "friend", "colleague"),
    [
        ({"access_model": "open"}, "", ""),
        ({"access_model": "presence"}, "", "presence-subscription-required"),
        ({"access_model": "whitelist"}, "closed-node", "closed-node"),
        (
            {"access_model": "roster", "roster_groups_allowed": "Friends"},
            "",
            "presence-subscription-required",
        ),
        (
            {"access_model": "roster", "roster_groups_allowed": "Foes"},
            "not-in-roster-group",
            "presence-subscription-required",
        ),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else None,
)
async def test_the_access_model_counts_for_items_discovery_and_notifications(
    server: TestServer, options: dict[str, str], friend: str, colleague: str
):
    await befriend(server, "juliet@capulet", "romeo@capulet", groups=("Friends",))
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", TUNE)
    tybalt = await come(server, "tybalt@capulet", TUNE)
    await romeo.rest()
    await published(juliet, TUNE, tune("x"), **options)
    assert await heard(romeo) == ([] if friend else [("juliet", TUNE, "x")])
    assert await heard(tybalt) == []  # nobody is told who did not subscribe to presence
    for client, refused in ((romeo, friend), (tybalt, colleague)):
        answer = await items(client, TUNE, to=juliet.bare)
        assert specific(answer) == refused
        assert (answer.get("type") == "result") is not bool(refused)
        listed = await client.ask("get", f"<query xmlns='{ITEMS}'/>", to=juliet.bare)
        nodes = [item.get("node") for item in listed.iter(f"{{{ITEMS}}}item")]
        assert nodes == ([] if refused else [TUNE])
        for ns in (INFO, ITEMS):
            about = await client.ask("get", f"<query xmlns='{ns}' node='{TUNE}'/>", to=juliet.bare)
            assert (condition_of(about) is Condition.ITEM_NOT_FOUND) is bool(refused)
    again = await come(server, "romeo@capulet", TUNE)
    assert await heard(again) == ([] if friend else [("juliet", TUNE, "x")])
    assert ids_in(await items(juliet, TUNE))


async def test_members_and_outcasts(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet", "nurse@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", MOOD, TUNE)
    nurse = await come(server, "nurse@capulet")
    await romeo.rest()
    await published(juliet, TUNE, tune("x"), access_model="whitelist")
    await published(juliet, MOOD, "<mood xmlns='urn:mood'>y</mood>")
    await romeo.rest()

    async def affiliate(node: str, jid: str, what: str):
        return await juliet.ask(
            "set", owner_request("affiliations", node, f"<affiliation jid='{jid}' affiliation='{what}'/>")
        )

    await affiliate(TUNE, romeo.bare, "member")
    await affiliate(MOOD, romeo.jid, "outcast")
    assert condition_of(await affiliate(TUNE, romeo.bare, "owner")) is Condition.NOT_ACCEPTABLE
    assert condition_of(await affiliate("none", romeo.bare, "member")) is Condition.ITEM_NOT_FOUND
    assert condition_of(await affiliate(TUNE, "@", "member")) is Condition.JID_MALFORMED
    assert ids_in(await items(romeo, TUNE, to=juliet.bare))
    assert condition_of(await items(romeo, MOOD, to=juliet.bare)) is Condition.FORBIDDEN
    assert specific(await items(nurse, TUNE, to=juliet.bare)) == "closed-node"
    await published(juliet, MOOD, "<mood xmlns='urn:mood'>z</mood>")
    assert await heard(romeo) == []
    asked = f"<pubsub xmlns='{PUBSUB}'><affiliations/></pubsub>"
    answer = await romeo.ask("get", asked, to=juliet.bare)
    told = {el.get("node"): el.get("affiliation") for el in answer.iter(f"{{{PUBSUB}}}affiliation")}
    assert told == {TUNE: "member", MOOD: "outcast"}
    answer = await juliet.ask("get", asked)
    assert {el.get("affiliation") for el in answer.iter(f"{{{PUBSUB}}}affiliation")} == {"owner"}
    answer = await juliet.ask("get", owner_request("affiliations", TUNE))
    listed = {el.get("jid"): el.get("affiliation") for el in answer.iter(f"{{{OWNER}}}affiliation")}
    assert listed == {juliet.bare: "owner", romeo.bare: "member"}
    await affiliate(TUNE, romeo.bare, "none")
    assert specific(await items(romeo, TUNE, to=juliet.bare)) == "closed-node"


async def test_nobody_changes_what_is_somebody_elses(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet")
    await published(juliet, TUNE, tune("x"), "a")
    for request in (
        publication(TUNE, tune("forged"), "a"),
        f"<pubsub xmlns='{PUBSUB}'><retract node='{TUNE}'><item id='a'/></retract></pubsub>",
        f"<pubsub xmlns='{PUBSUB}'><create node='new'/></pubsub>",
        owner_request("delete", TUNE),
        owner_request("purge", TUNE),
        owner_request("configure", TUNE, form("node_config", access_model="open")),
    ):
        assert condition_of(await romeo.ask("set", request, to=juliet.bare)) is Condition.FORBIDDEN
    for action in ("configure", "affiliations", "default"):
        answer = await romeo.ask("get", owner_request(action, TUNE), to=juliet.bare)
        assert condition_of(answer) is Condition.FORBIDDEN
    assert (await items(juliet, TUNE)).findtext(f".//{{{TUNE}}}title") == "x"


# -- strangers and the blocked -----------------------------------------------------------------------------------

REQUESTS = {
    "items": ("get", f"<pubsub xmlns='{PUBSUB}'><items node='{TUNE}'/></pubsub>"),
    "subscribe": (
        "set",
        f"<pubsub xmlns='{PUBSUB}'><subscribe node='{TUNE}' jid='eve@rainbow.test'/></pubsub>",
    ),
    "publish": ("set", publication(TUNE, tune("x"))),
    "delete": ("set", owner_request("delete", TUNE)),
    "nodes": ("get", f"<query xmlns='{ITEMS}'/>"),
    "a node": ("get", f"<query xmlns='{INFO}' node='{TUNE}'/>"),
    "its items": ("get", f"<query xmlns='{ITEMS}' node='{TUNE}'/>"),
}


async def test_strangers_and_the_blocked_hear_what_absence_gives_and_are_told_nothing(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", TUNE)
    eve = await come(server, "eve@montague", TUNE)
    await server.subscribe(eve.bare, to=await server.person("juliet@capulet"))  # whatever the roster says
    await published(juliet, TUNE, tune("before"), access_model="open")
    await juliet.ask("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{romeo.bare}'/></block>")
    await romeo.rest()
    await published(juliet, TUNE, tune("after"))
    for client in (romeo, eve):
        assert await heard(client) == []
        for name, (kind, request) in REQUESTS.items():
            answers = []
            for whom in ("juliet", "nobody"):
                to = f"{whom}@{server.domain}"
                client.send(f"<iq type='{kind}' to='{to}' id='q'>{request}</iq>")
                answers.append([data.replace(whom.encode(), b"WHO") for data in await client.rest_bytes()])
            assert answers[0] == answers[1], name
            assert b"service-unavailable" in answers[0][0]
    for name in ("romeo@capulet", "eve@montague"):
        assert await heard(await come(server, name, TUNE)) == []


async def test_nobody_is_told_whom_the_publisher_blocked_the_other_way_round(server: TestServer):
    """Whoever blocked the publisher hears nothing of what is published."""
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", TUNE)
    await romeo.ask("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{juliet.bare}'/></block>")
    await romeo.rest()
    await published(juliet, TUNE, tune("x"))
    assert await heard(romeo) == []
    assert await heard(await come(server, "romeo@capulet", TUNE)) == []


# -- nodes -----------------------------------------------------------------------------------------------------


async def test_nodes_are_made_configured_emptied_and_deleted(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet", TUNE), await come(server, "romeo@capulet", TUNE)
    await juliet.rest()

    async def told() -> list[tuple[str, str]]:
        heard = [
            [(el.tag.rpartition("}")[2], el.get("node")) for el in e.find(f"{{{EVENT}}}event")]
            for e in await events(romeo)
        ]
        return [each for one in heard for each in one]

    config = f"<configure>{form('node_config', access_model='presence', title='Tunes', notify_config='1')}</configure>"
    create = f"<pubsub xmlns='{PUBSUB}'><create node='{TUNE}'/>{config}</pubsub>"
    assert (await juliet.ask("set", create)).get("type") == "result"
    assert condition_of(await juliet.ask("set", create)) is Condition.CONFLICT
    shown = await juliet.ask("get", owner_request("configure", TUNE))
    fields = {
        f.get("var"): [v.text for v in f.iter("{jabber:x:data}value")]
        for f in shown.iter("{jabber:x:data}field")
    }
    assert fields["FORM_TYPE"] == [f"{PUBSUB}#node_config"]
    assert (fields["pubsub#title"], fields["pubsub#max_items"]) == (["Tunes"], ["1"])
    assert (
        await juliet.ask("set", owner_request("configure", TUNE, form("node_config", max_items="5")))
    ).get("type") == "result"
    assert await told() == [("configuration", TUNE)]
    for number in range(3):
        await published(juliet, TUNE, tune("x"), f"i{number}")
    await romeo.rest()
    retract = (
        f"<pubsub xmlns='{PUBSUB}'><retract node='{TUNE}' notify='true'><item id='i2'/></retract></pubsub>"
    )
    assert (await juliet.ask("set", retract)).get("type") == "result"
    (event,) = await events(romeo)
    assert [el.get("id") for el in event.iter(f"{{{EVENT}}}retract")] == ["i2"]
    assert [
        e.find(f".//{{{EVENT}}}item").get("id")
        for e in await events(await come(server, "romeo@capulet", TUNE))
    ] == ["i1"]
    assert (await juliet.ask("set", owner_request("purge", TUNE))).get("type") == "result"
    assert await told() == [("purge", TUNE)]
    assert ids_in(await items(juliet, TUNE)) == []
    assert (await juliet.ask("set", owner_request("delete", TUNE))).get("type") == "result"
    assert await told() == [("delete", TUNE)]
    for request in (
        owner_request("delete", TUNE),
        owner_request("purge", TUNE),
        owner_request("configure", TUNE, form("node_config")),
    ):
        assert condition_of(await juliet.ask("set", request)) is Condition.ITEM_NOT_FOUND


async def test_what_is_not_to_be_told_is_not(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", TUNE)
    await published(juliet, TUNE, tune("x"), "a", notify_delete="0", notify_retract="0", deliver_payloads="0")
    (event,) = await events(romeo)
    assert event.find(f".//{{{EVENT}}}item").get("id") == "a"
    assert len(event.find(f".//{{{EVENT}}}item")) == 0
    await juliet.ask(
        "set", f"<pubsub xmlns='{PUBSUB}'><retract node='{TUNE}'><item id='a'/></retract></pubsub>"
    )
    await juliet.ask("set", owner_request("delete", TUNE))
    assert await events(romeo) == []
    await published(juliet, TUNE, tune("x"), deliver_notifications="0")
    assert await events(romeo) == []
    assert await events(await come(server, "romeo@capulet", TUNE)) == []


async def test_the_rest_of_what_an_owner_may_ask(server: TestServer):
    juliet = await server.login("juliet@capulet")
    made = await juliet.ask("set", f"<pubsub xmlns='{PUBSUB}'><create/></pubsub>")
    node = made.find(f".//{{{PUBSUB}}}create").get("node")
    assert ids_in(await items(juliet, node)) == []
    default = await juliet.ask("get", f"<pubsub xmlns='{OWNER}'><default/></pubsub>")
    assert b"presence" in [v.text.encode() for v in default.iter("{jabber:x:data}value") if v.text]
    cancel = "<x xmlns='jabber:x:data' type='cancel'/>"
    assert (await juliet.ask("set", owner_request("configure", node, cancel))).get("type") == "result"
    assert condition_of(await juliet.ask("set", owner_request("configure", node))) is Condition.BAD_REQUEST
    wrong = form("node_config", access_model="authorize")
    assert (
        specific(await juliet.ask("set", owner_request("configure", node, wrong)))
        == "unsupported-access-model"
    )
    assert specific(await juliet.ask("get", owner_request("frobnicate", node))) == "unsupported"


async def test_an_account_says_what_it_is_and_what_it_has(server: TestServer):
    juliet = await server.login("juliet@capulet")
    await published(juliet, TUNE, tune("x"), "a", title="Tunes")
    info = await juliet.ask("get", f"<query xmlns='{INFO}'/>", to=juliet.bare)
    identities = {(el.get("category"), el.get("type")) for el in info.iter(f"{{{INFO}}}identity")}
    assert identities == {("account", "registered"), ("pubsub", "pep")}
    features = {el.get("var") for el in info.iter(f"{{{INFO}}}feature")}
    assert {
        f"{PUBSUB}#{f}" for f in ("publish", "publish-options", "auto-create", "filtered-notifications")
    } <= features
    listed = await juliet.ask("get", f"<query xmlns='{ITEMS}'/>", to=juliet.bare)
    assert [(el.get("jid"), el.get("node"), el.get("name")) for el in listed.iter(f"{{{ITEMS}}}item")] == [
        (juliet.bare, TUNE, "Tunes")
    ]
    inside = await juliet.ask("get", f"<query xmlns='{ITEMS}' node='{TUNE}'/>", to=juliet.bare)
    assert [(el.get("node"), el.get("name")) for el in inside.iter(f"{{{ITEMS}}}item")] == [(None, "a")]
    about = await juliet.ask("get", f"<query xmlns='{INFO}' node='{TUNE}'/>", to=juliet.bare)
    assert about.find(f".//{{{INFO}}}identity").get("type") == "leaf"
    assert server.node.stream_settings().bound_features.count(
        CAPS_NS
    )  # the server's own hash is still announced


CAPS_NS = b"http://jabber.org/protocol/caps"


# -- accounts come and go ------------------------------------------------------------------------------------------


async def test_with_the_account_goes_everything_it_published(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await server.login("juliet@capulet"), await server.login("romeo@capulet")
    await published(juliet, TUNE, tune("old"), access_model="open")
    account = juliet.account
    await server.store.accounts.remove(account.company.id, account.id)
    await server.node.watch.poll()
    assert not await server.plugin(Pep)._kept.shelves(["juliet"])
    await romeo.leave()
    again = await server.login("juliet@capulet")  # somebody else, by the same address
    assert condition_of(await items(again, TUNE)) is Condition.ITEM_NOT_FOUND
    assert await heard(await come(server, "romeo@capulet", TUNE)) == []
    await published(again, TUNE, tune("new"))
    assert (await items(again, TUNE)).findtext(f".//{{{TUNE}}}title") == "new"


async def test_what_another_server_wrote_is_known_after_a_while(server: TestServer):
    juliet = await server.login("juliet@capulet")
    assert condition_of(await items(juliet, TUNE)) is Condition.ITEM_NOT_FOUND
    async with TestServer(PLUGINS):
        pass
    kept = server.plugin(Pep)._kept
    async with kept.change(juliet.account) as change:
        from rainbow_xmpp.plugins.pep.node_config import DEFAULT

        await change.put_node(TUNE, DEFAULT, {})
    await server.run_job(Pep.renew)
    assert ids_in(await items(juliet, TUNE)) == []
    assert (await items(juliet, TUNE)).get("type") == "result"
