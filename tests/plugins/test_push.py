"""Push notifications (XEP-0357): who is woken for what, and what nobody is told."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from rainbow_xmpp.auth.box import Box
from rainbow_xmpp.errors import Condition
from rainbow_xmpp.plugin import Role, unacknowledged
from rainbow_xmpp.plugin.places import end_place, places_of
from rainbow_xmpp.plugins.push import Push
from rainbow_xmpp.plugins.push.queue import Queue
from rainbow_xmpp.plugins.push.values import Shows
from rainbow_xmpp.testing import condition_of
from rainbow_xmpp.testing.client import Client
from tests.plugins.push_service import NS, Browser, World, disable, enable, on_phone, signed_by, world
from tests.plugins.rest import logged_in
from tests.unit.test_stream_management import restarted

SM = "urn:xmpp:sm:3"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def bob_of(here: World) -> Client:
    return await here.server.login("bob@acme")


# -- registering -------------------------------------------------------------------------------------------


async def test_accounts_say_that_they_can_and_the_server_that_it_is_a_push_service(here: World) -> None:
    client = await here.server.login(here.name)
    for to in (client.bare, here.server.domain):
        answer = await client.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=to)
        features = [each.get("var") for each in answer.iter("{http://jabber.org/protocol/disco#info}feature")]
        assert NS in features
    identities = [
        (each.get("category"), each.get("type"))
        for each in answer.iter("{http://jabber.org/protocol/disco#info}identity")
    ]
    assert ("pubsub", "push") in identities


async def test_a_browser_is_told_what_its_keys_alone_open_and_what_this_server_signed(here: World) -> None:
    browser, made = await here.device()
    bob = await bob_of(here)
    bob.say("do not tell", to=here.bare)
    await here.later()
    assert here.service.calls == []  # more may come
    await here.later(3)
    ((headers, body),) = here.service.calls
    assert b"do not tell" not in body and b"bob" not in body
    assert browser.open(headers, body) == {"type": "message", "node": made["node"], "message-count": 1}
    claims = signed_by(headers, await here.public_key(), f"https://push.example:{here.service.port}")
    assert claims["sub"] == here.server.node.config.public_url
    assert 0 < claims["exp"] - here.server.clock() <= 24 * 3600
    assert (headers["urgency"], headers["topic"], headers["ttl"]) == ("normal", "message", str(24 * 3600 - 3))


async def test_enabling_again_takes_the_last_one_and_disabling_ends_it(here: World) -> None:
    browser, made = await here.device()
    client = await here.server.login(here.name, available=False)
    assert condition_of(await client.ask("set", enable(made), to=client.bare)) is None
    assert condition_of(await client.ask("set", disable(made))) is None
    bob = await bob_of(here)
    bob.say("1", to=here.bare)
    await here.later(60)
    assert here.told(browser) == []
    assert condition_of(await client.ask("set", enable(made))) is None
    bob.say("2", to=here.bare)
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [1]
    assert condition_of(await client.ask("set", disable(made, all_nodes=True))) is None
    bob.say("3", to=here.bare)
    await here.later(60)
    assert here.told(browser) == []
    (kept,) = (await here.caller.get("/push-subscriptions"))["items"]
    assert (kept["node"], kept["enabled"], kept["shows"]) == (made["node"], False, "count")


NOT_ENABLED = [
    ({"jid": "push.elsewhere.example"}, Condition.REMOTE_SERVER_NOT_FOUND),
    ({"secret": "guessed"}, Condition.ITEM_NOT_FOUND),
    ({"node": "0" * 32}, Condition.ITEM_NOT_FOUND),
    ({"node": "x" * 300}, Condition.BAD_REQUEST),
    ({"node": ""}, Condition.BAD_REQUEST),
    ({"jid": ""}, Condition.BAD_REQUEST),
    ({"jid": "a@@b"}, Condition.JID_MALFORMED),
    ({"secret": "x" * 300}, Condition.NOT_ACCEPTABLE),
]


async def test_what_cannot_be_enabled(here: World) -> None:
    made = await here.registered(Browser(here.service))
    client = await here.server.login(here.name)
    for change, condition in NOT_ENABLED:
        answer = await client.ask("set", enable(made, **change))
        assert condition_of(answer) is condition, change
        if condition is Condition.REMOTE_SERVER_NOT_FOUND:
            text = answer.findtext(".//{urn:ietf:params:xml:ns:xmpp-stanzas}text") or ""
            assert here.server.domain in text  # whom it does tell
    two = enable(made).replace("</enable>", "<x xmlns='jabber:x:data' type='submit'/></enable>")
    assert condition_of(await client.ask("set", two)) is Condition.BAD_REQUEST
    assert here.server.node.counters.push_devices == 0


async def test_nobody_enables_or_removes_what_is_somebody_elses(here: World) -> None:
    browser, made = await here.device()
    bob = await bob_of(here)
    assert condition_of(await bob.ask("set", enable(made))) is Condition.ITEM_NOT_FOUND
    assert condition_of(await bob.ask("set", enable(made), to=here.bare)) is Condition.SERVICE_UNAVAILABLE
    assert condition_of(await bob.ask("set", disable(made))) is None  # theirs
    caller = await logged_in(here.server, "bob@acme")
    assert (await caller.call("DELETE", f"/push-subscriptions/{made['node']}")).status == 404
    assert (await caller.get("/push-subscriptions"))["items"] == []
    (await bob_of(here)).say("1", to=here.bare)
    await here.later(60)
    assert len(here.told(browser)) == 1


async def test_who_uses_the_same_browser_next_takes_it_over(here: World) -> None:
    browser, _ = await here.device()
    caller = await logged_in(here.server, "bob@acme")
    answer = await caller.call("POST", "/push-subscriptions", browser.subscription)
    assert answer.status == 201
    bob = await bob_of(here)
    bob.say("1", to=here.bare)
    await here.later(60)
    assert here.told(browser) == []
    assert (await here.caller.get("/push-subscriptions"))["items"] == []


AUTH = "AAAAAAAAAAAAAAAAAAAAAA"
NO_SUBSCRIPTIONS: list[tuple[dict[str, object], str]] = [
    ({"endpoint": "https://elsewhere.example/x"}, "not-allowed"),
    ({"endpoint": "http://push.example/x"}, "not-allowed"),
    ({"endpoint": "https://127.0.0.1/x"}, "not-allowed"),
    ({"endpoint": "https://[::1]/x"}, "not-allowed"),
    ({"endpoint": "https://u:p@push.example/x"}, "not-allowed"),
    ({"endpoint": "https://push.example:1/x"}, "not-allowed"),
    ({"endpoint": "https://push.example\\@elsewhere.example/x"}, "not-allowed"),
    ({"keys": {"p256dh": "AAAA", "auth": AUTH}}, "invalid"),
    ({"keys": {"p256dh": "!", "auth": AUTH}}, "invalid"),
    ({"keys": {"p256dh": "ä", "auth": AUTH}}, "invalid"),
    ({"keys": {"p256dh": "BA" + "A" * 85, "auth": AUTH}}, "invalid"),  # no point of the curve
    ({"shows": "everything"}, "invalid"),
    ({"endpoint": "https://push.example/" + "x" * 2000}, "invalid"),
]


async def test_what_is_no_subscription(here: World) -> None:
    good = Browser(here.service).subscription
    for change, kind in NO_SUBSCRIPTIONS:
        answer = await here.caller.call("POST", "/push-subscriptions", good | change)
        assert (answer.status, answer.json()["type"].rpartition(":")[2]) == (422, kind), change
    short = good | {"keys": good["keys"] | {"auth": "AAAA"}}
    assert (await here.caller.call("POST", "/push-subscriptions", short)).status == 422
    assert (await here.caller.get("/push-subscriptions"))["items"] == []


async def test_of_too_many_devices_the_one_that_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    async with world(tmp_path, per_person=2) as here:
        nodes = []
        for _ in range(3):
            nodes.append((await here.device())[1]["node"])
            here.server.clock.advance(1)
        kept = [each["node"] for each in (await here.caller.get("/push-subscriptions"))["items"]]
        assert kept == nodes[1:]
        (await bob_of(here)).say("1", to=here.bare)
        await here.later(60)
        assert len(here.service.calls) == 2


# -- for what ----------------------------------------------------------------------------------------------

BODY = "<body>x</body>"
ENCRYPTED = "<encrypted xmlns='eu.siacs.conversations.axolotl'/><store xmlns='urn:xmpp:hints'/>"
STORE = "<store xmlns='urn:xmpp:hints'/>"


WORTH: list[tuple[str, str, str | None]] = [
    ("chat", BODY, "message"),
    ("normal", BODY, "message"),
    ("chat", ENCRYPTED, "message"),
    ("chat", "<encryption xmlns='urn:xmpp:eme:0' namespace='x'/>" + STORE, "message"),
    ("chat", "<propose xmlns='urn:xmpp:jingle-message:0' id='c'/>" + STORE, "call"),
    ("chat", "<retract xmlns='urn:xmpp:jingle-message:0' id='c'/>" + STORE, None),
    ("chat", "<body/>" + STORE, None),
    ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", None),
    ("chat", "<received xmlns='urn:xmpp:receipts' id='1'/>" + STORE, None),
    ("chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>" + STORE, None),
    ("chat", BODY + "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", None),
    ("chat", BODY + "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", None),
    ("chat", BODY + "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", None),
    ("headline", BODY, None),
    ("error", BODY, None),
]


async def test_which_messages_wake(here: World) -> None:
    browser, _ = await here.device()
    bob = await bob_of(here)
    for type_, inside, wakes in WORTH:
        bob.send(f"<message to='{here.bare}' type='{type_}'>{inside}</message>")
        await here.later(60 if wakes != "call" else 0)
        assert [each["type"] for each in here.told(browser)] == ([] if wakes is None else [wakes]), inside


async def test_a_call_does_not_wait_and_is_not_told_when_it_is_over(here: World) -> None:
    browser, _ = await here.device()
    bob = await bob_of(here)
    call = f"<message to='{here.bare}' type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/>{STORE}</message>"
    bob.send(call)
    await here.later()
    ((headers, body),) = here.service.calls
    assert browser.open(headers, body)["type"] == "call"
    assert (headers["urgency"], headers["topic"], headers["ttl"]) == ("high", "call", "60")
    here.service.calls.clear()
    here.service.statuses = [500]
    bob.send(call)
    bob.say("call me", to=here.bare)
    await here.later()
    assert [each["type"] for each in here.told(browser)] == ["call"]
    await here.later(61)
    assert [each["type"] for each in here.told(browser)] == ["message"]


async def test_who_may_not_speak_to_them_wakes_nobody(here: World) -> None:
    browser, _ = await here.device()
    stranger = await here.server.login("eve@globex")
    stranger.say("1", to=here.bare)
    blocker = await here.server.login(here.name)
    bob = await bob_of(here)
    await blocker.ask("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{bob.bare}'/></block>")
    await blocker.leave()
    bob.say("2", to=here.bare)
    await here.later(60)
    assert here.told(browser) == []


async def test_nobody_is_woken_by_what_they_say_themselves(here: World) -> None:
    browser, _ = await here.device()
    await here.server.person("bob@acme")
    mine = await here.server.login(here.name, available=False)
    mine.say("to bob", to=f"bob@{here.server.domain}")
    mine.say("a note", to=here.bare)
    await here.later(60)
    assert here.told(browser) == []


async def test_an_announcement_of_the_server_wakes(here: World) -> None:
    browser, _ = await here.device()
    await here.push.services.notify(here.caller.person.account, body="The server stops at six.")
    await here.later(60)
    assert len(here.told(browser)) == 1


async def test_as_many_as_come_together_are_told_once_and_the_next_ones_after_a_pause(here: World) -> None:
    browser, _ = await here.device()
    bob = await bob_of(here)
    for number in range(20):
        bob.say(str(number), to=here.bare)
    await here.later(3)
    assert [each["message-count"] for each in here.told(browser)] == [20]
    await here.later(60)
    assert here.told(browser) == []  # never twice
    bob.say("20", to=here.bare)
    await here.later(3)
    bob.say("21", to=here.bare)
    await here.later(3)
    assert [each["message-count"] for each in here.told(browser)] == [21]
    await here.later(20)
    assert here.told(browser) == []
    await here.later(10)
    assert [each["message-count"] for each in here.told(browser)] == [22]


SHOWN = [
    ("count", "body", None, None),
    ("sender", "body", "bob@rainbow.test", None),
    ("body", "sender", "bob@rainbow.test", None),
    ("body", "count", None, None),
    ("body", "body", "bob@rainbow.test", "hello"),
]


async def test_of_whom_and_what_is_told_as_far_as_operator_and_person_allow(here: World) -> None:
    bob = await bob_of(here)
    for may_show, wants, sender, body in SHOWN:
        here.server.reconfigure({Push: replace(here.options, may_show=Shows(may_show))})
        browser, made = await here.device(shows=wants)
        bob.say("hello", to=here.bare)
        await here.later(3)
        (told,) = here.told(browser)
        assert (told.get("last-message-sender"), told.get("last-message-body")) == (sender, body)
        if body:
            bob.say("cannot read this", ENCRYPTED, to=here.bare)
            await here.later(60)
            (told,) = here.told(browser)
            assert (told["last-message-sender"], told.get("last-message-body")) == (sender, None)
        assert (await here.caller.call("DELETE", f"/push-subscriptions/{made['node']}")).status == 204


async def test_a_long_message_is_cut_to_what_a_push_service_takes(tmp_path: Path) -> None:
    async with world(tmp_path, may_show="body") as here:
        browser, _ = await here.device(shows="body")
        bob = await bob_of(here)
        for text, told_of in (("漢" * 5000, "漢" * 299 + "…"), ("\x7f\\" * 150, "\x7f\\" * 150)):
            bob.say(text, to=here.bare)
            await here.later(60)
            assert len(here.service.calls[0][1]) < 4096
            (told,) = here.told(browser)
            assert told["last-message-body"] == told_of


async def test_what_waits_is_not_told_when_the_operator_allows_less_by_then(tmp_path: Path) -> None:
    async with world(tmp_path, may_show="body") as here:
        browser, _ = await here.device(shows="body")
        (await bob_of(here)).say("hello", to=here.bare)
        await here.server.settle()
        here.server.reconfigure({Push: replace(here.options, may_show=Shows.COUNT)})
        await here.later(3)
        (told,) = here.told(browser)
        assert set(told) == {"type", "node", "message-count"}


# -- who is away -------------------------------------------------------------------------------------------


async def test_nobody_is_woken_while_a_device_is_there(here: World) -> None:
    browser, _ = await here.device()
    bob, phone = await bob_of(here), await on_phone(here)
    bob.say("1", to=here.bare)
    bob.say("2", to=phone.jid)
    await here.later(60)
    assert here.told(browser) == []
    away = await here.server.login(here.name, available=False)  # gets nothing, and does not count
    away.send("<presence><priority>-1</priority></presence>")
    await phone.leave()
    bob.say("3", to=here.bare)
    await here.later(60)
    assert len(here.told(browser)) == 1


async def test_a_session_without_a_connection_is_away(here: World) -> None:
    browser, _ = await here.device()
    bob, phone = await bob_of(here), await on_phone(here)
    phone.wire.lose()
    await here.later(60)
    assert here.told(browser) == []  # nothing came
    bob.say("1", to=phone.jid)
    bob.say("2", to=here.bare)
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [2]


async def test_what_was_not_acknowledged_before_the_connection_was_lost_is_told_once(here: World) -> None:
    browser, _ = await here.device()
    bob, phone = await bob_of(here), await on_phone(here)
    bob.say("1", to=here.bare)
    await here.server.settle()
    acknowledge(phone)
    bob.say("2", to=here.bare)
    bob.send(
        f"<message to='{here.bare}' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    await here.later(60)
    assert here.told(browser) == []
    phone.wire.lose()
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [1]
    here.server.clock.advance(600)
    for _ in range(301):  # it is given up, and what waited for it is handed back
        here.server.node.streams.tick()
    await here.later(60)
    assert here.told(browser) == []


@pytest.mark.parametrize("acknowledges", [True, False])
async def test_a_client_that_nobody_looks_at_has_what_it_acknowledges(
    here: World, acknowledges: bool
) -> None:
    browser, _ = await here.device()
    bob, phone = await bob_of(here), await on_phone(here)
    phone.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    await phone.rest()
    bob.say("1", to=here.bare)
    await here.server.settle()
    if acknowledges:
        acknowledge(phone)
    await here.later(60)
    assert len(here.told(browser)) == (0 if acknowledges else 1)
    if not acknowledges:
        phone.wire.lose()  # and is not told of it again
        await here.later(60)
        assert here.told(browser) == []


def acknowledge(client: Client) -> None:
    """All that it was sent."""
    queue = unacknowledged(client.session)
    assert queue is not None and len(queue)
    client.send(f"<a xmlns='{SM}' h='{queue.sent}'/>")
    assert not len(queue)


async def test_who_comes_before_it_is_told_is_not_woken_and_the_count_begins_anew(here: World) -> None:
    browser, _ = await here.device()
    bob = await bob_of(here)
    bob.say("1", to=here.bare)
    await here.server.settle()
    phone = await on_phone(here)
    await here.later(60)
    assert here.told(browser) == []
    phone.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    bob.say("2", to=here.bare)
    await here.server.settle()
    phone.send("<active xmlns='urn:xmpp:csi:0'/>")
    await here.later(60)
    assert here.told(browser) == []
    await phone.leave()
    bob.say("3", to=here.bare)
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [1]


async def test_each_device_can_be_woken_whatever_other_one_is_there(tmp_path: Path) -> None:
    async with world(tmp_path, wake_each_device=True) as here:
        browser, made = await here.device()
        phone = await on_phone(here, "phone")
        await phone.ask("set", enable(made))
        bob, desk = await bob_of(here), await on_phone(here, "desk")
        bob.say("1", to=here.bare)
        await here.later(60)
        assert here.told(browser) == []
        acknowledge(phone)
        phone.wire.lose()
        await here.later(60)
        assert here.told(browser) == []
        bob.say("2", to=here.bare)
        await here.later(60)
        assert [each["message-count"] for each in here.told(browser)] == [1]
        await desk.leave()  # who comes and goes at another device changes nothing
        await on_phone(here, "desk")
        bob.say("3", to=here.bare)
        await here.later(60)
        assert [each["message-count"] for each in here.told(browser)] == [2]


async def test_what_was_not_acknowledged_when_the_server_stopped_is_told_if_the_device_stays_away(
    here: World,
) -> None:
    browser, _ = await here.device()
    bob, phone, other = await bob_of(here), await on_phone(here), await on_phone(here)
    bob.say("1", to=here.bare)
    await here.server.settle()
    other.wire.lose()
    phone.wire.lose()
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [1]
    await restarted(here.server)
    await here.later(120)
    assert here.told(browser) == []  # that was told
    phone = await on_phone(here)
    await here.later(60)
    bob = await bob_of(here)
    bob.say("2", to=here.bare)
    await here.server.settle()
    await restarted(here.server)
    await here.later(59)
    assert here.told(browser) == []  # it is given time to come back
    await here.later(2)
    assert [each["message-count"] for each in here.told(browser)] == [1]


# -- failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_the_push_service_does_not_know_is_forgotten(
    here: World, status: int
) -> None:
    await here.device()
    bob = await bob_of(here)
    here.service.statuses = [status]
    bob.say("1", to=here.bare)
    await here.later(60)
    assert (await here.caller.get("/push-subscriptions"))["items"] == []
    bob.say("2", to=here.bare)
    await here.later(600)
    assert len(here.service.calls) == 1
    counters = here.server.node.counters
    assert (counters.push_gone, counters.push_devices) == (1, 0)


async def test_what_fails_is_tried_again_and_what_the_push_service_asks_is_obeyed(here: World) -> None:
    browser, _ = await here.device()
    here.service.statuses, here.service.headers = [429, 500], {"Retry-After": "300"}
    (await bob_of(here)).say("1", to=here.bare)
    await here.later(3)
    assert len(here.told(browser)) == 1
    await here.later(299)
    assert here.told(browser) == []
    await here.later(2)
    assert len(here.told(browser)) == 1
    await here.later(31)
    assert len(here.told(browser)) == 1
    await here.later(7200)
    assert here.told(browser) == []
    counters = here.server.node.counters
    assert (counters.push_failed, counters.push_sent) == (2, 1)


async def test_what_is_no_news_any_more_is_not_told(here: World) -> None:
    browser, _ = await here.device()
    here.service.statuses = [503] * 3
    (await bob_of(here)).say("1", to=here.bare)
    await here.later(3)
    await here.later(30)
    here.told(browser)
    await here.later(24 * 3600)
    assert here.told(browser) == []
    counters = here.server.node.counters
    assert (counters.push_expired, counters.push_devices) == (1, 1)


async def test_who_is_refused_for_a_day_is_forgotten(here: World) -> None:
    await here.device()
    here.service.statuses = [403] * 100
    (await bob_of(here)).say("1", to=here.bare)
    for _ in range(30):
        await here.later(3600)
    counters = here.server.node.counters
    assert (counters.push_gone, counters.push_devices) == (1, 0)


async def test_a_private_address_is_never_called(here: World) -> None:
    browser, _ = await here.device()
    here.push.outside = type(here.push.outside)(
        resolve=here.push.outside._resolver._resolve, tls=here.push.outside._tls
    )
    (await bob_of(here)).say("1", to=here.bare)
    await here.later(3)
    assert here.told(browser) == []
    assert here.server.node.counters.push_failed == 1


async def test_a_push_service_that_is_off_the_list_is_not_called_until_it_is_on_it_again(here: World) -> None:
    browser, _ = await here.device()
    here.server.reconfigure({Push: replace(here.options, push_services=("fcm.googleapis.com",))})
    (await bob_of(here)).say("1", to=here.bare)
    await here.later(60)
    assert here.told(browser) == []
    here.server.reconfigure({Push: here.options})
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [1]


@pytest.mark.parametrize("orderly", [True, False], ids=["stopped", "killed"])
async def test_a_restart_loses_nothing_that_is_to_be_told(here: World, orderly: bool) -> None:
    browser, _ = await here.device()
    public_key = await here.public_key()
    (await bob_of(here)).say("1", to=here.bare)
    if not orderly:
        await here.server.settle()
    node = here.server.node
    chosen = {type(plugin): plugin.options for plugin in node.plugins}
    if orderly:
        await here.server.node.store.committed()
    await node.plugins.stop()
    await node.plugins.start(chosen, {cls.name: options for cls, options in chosen.items()}, node.services())
    here.push.outside = here.service.outside()
    await here.later(3)
    assert [each["message-count"] for each in here.told(browser)] == [1]
    assert await here.public_key() == public_key  # browsers take notifications from nobody else
    bob = await bob_of(here)
    bob.say("2", to=here.bare)
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [2]


# -- what ends a registration ------------------------------------------------------------------------------


async def test_a_forced_logout_a_new_password_and_a_removal_end_it(here: World) -> None:
    people, account = here.server.node.people, here.caller.person.account
    bob = await bob_of(here)
    for end in ("logout", "password", "login over", "app password over", "device logged out", "disabled"):
        here.caller = await logged_in(here.server, here.name)
        browser = Browser(here.service)
        made = await here.registered(browser)
        client = await here.server.login(here.name, available=False)
        client.session.account = await here.server.store.accounts.by_id(account.id)
        client.session.agent = type(client.session.agent)("phone", "", "")
        if end == "login over":
            client.session.family = (
                await here.server.store.refresh_tokens.families(account.company.id, account.id)
            )[-1][0]
        if end == "app password over":
            client.session.app_password = "0" * 24
        assert condition_of(await client.ask("set", enable(made))) is None
        match end:
            case "logout":
                await people.end_sessions(account, actor="system", reason="lost")
            case "password":
                await people.set_password(account, "Other-Horse-8", actor="system")
            case "login over":
                await here.server.store.refresh_tokens.end_family(client.session.family)
                await here.server.node.watch.poll()
            case "app password over":  # one that is not there any more
                await here.server.store.accounts.set_role(account.company.id, account.id, Role.USER)
                await here.server.node.watch.poll()
            case "device logged out":
                places = await places_of(here.push.services, account, "")
                await end_place(here.push.services, account, places[0].id)
            case "disabled":
                await people.disable(account, actor="system", reason="gone")
        await here.server.settle()
        assert here.server.node.counters.push_devices == 0, end
        bob.say("1", to=here.bare)
        await here.later(60)
        assert here.service.calls == [], end


async def test_who_sets_another_password_keeps_the_device_they_do_it_on(here: World) -> None:
    browser, made = await here.device()
    phone = await on_phone(here, "phone")
    await phone.ask("set", enable(made))
    undo = phone.session.outlive_password()
    assert undo
    await here.server.node.people.set_password(phone.account, "Other-Horse-8", actor="system")
    await here.server.settle()
    await phone.leave()
    (await bob_of(here)).say("1", to=here.bare)
    await here.later(60)
    assert len(here.told(browser)) == 1


async def test_an_account_that_is_removed_leaves_nothing(here: World) -> None:
    await here.device()
    await here.server.node.people.remove(here.caller.person.account, actor="system")
    await here.server.settle()
    async with here.server.store.read() as connection:
        rows = await connection.exec_driver_sql("SELECT count(*) FROM push_subscriptions")
        assert rows.scalar_one() == 0
    assert here.server.node.counters.push_devices == 0


async def test_endpoints_keys_and_words_are_sealed_in_the_database(tmp_path: Path) -> None:
    async with world(tmp_path, may_show="body") as here:
        browser, made = await here.device(shows="body")
        (await bob_of(here)).say("a secret word", to=here.bare)
        await here.server.settle()
        async with here.server.store.read() as connection:
            rows = await connection.exec_driver_sql("SELECT * FROM push_subscriptions, push_keys")
            kept = str(rows.one())
        for secret in (browser.path, "push.example", made["secret"], "secret word"):
            assert secret not in kept


async def test_many_who_are_away_are_told_a_few_at_a_time_and_none_is_left_out(tmp_path: Path) -> None:
    async with world(tmp_path, at_once=3) as here:
        bob = await bob_of(here)
        bares, browsers = [], []
        for number in range(8):
            here.caller = await logged_in(here.server, f"colleague{number}@acme")
            browsers.append((await here.device())[0])
            bares.append(here.bare)
        for bare in bares:
            bob.say("1", to=bare)
        await here.later(3)
        await here.server.settle()
        paths = {browser.path for browser in browsers}
        assert len(here.service.calls) == len(paths) == 8
        assert here.server.node.counters.push_sent == 8


async def test_a_database_that_is_away_delays_what_is_to_be_told(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = await here.device()
    bob = await bob_of(here)
    real = Queue.add

    async def away(*arguments: object, **more: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(Queue, "add", away)
    bob.say("1", to=here.bare)
    await here.server.settle()
    bob.say("2", to=here.bare)
    await here.server.settle()
    monkeypatch.setattr(Queue, "add", real)
    await here.server.run_job(Push.look_around)
    await here.later(60)
    assert [each["message-count"] for each in here.told(browser)] == [2]


async def test_everything_moves_to_another_sealing_key_so_that_the_old_one_can_go(here: World) -> None:
    browser, _ = await here.device()
    public_key, seals, kept = await here.public_key(), here.push._seals, here.push._kept
    newer = {"newer": b"n" * 32}
    seals._box = Box(here.server.node.sealer.secrets_for("push") | newer, "newer")
    seals._hash_key = b"h" * 32
    assert (await seals.signer(kept, "mailto:a@b.example")).public_key == public_key
    await seals.use_current_key(kept)
    seals._box = Box(newer, "newer")
    assert (await seals.signer(kept, "mailto:a@b.example")).public_key == public_key
    (await bob_of(here)).say("1", to=here.bare)
    await here.later(60)
    assert len(here.told(browser)) == 1
    await here.registered(browser)
    assert len((await here.caller.get("/push-subscriptions"))["items"]) == 1  # known to be the same


async def test_a_sealing_key_that_is_lost_is_told_and_devices_begin_anew(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    await here.device()
    public_key, seals, kept = await here.public_key(), here.push._seals, here.push._kept
    seals._box = Box({"newer": b"n" * 32}, "newer")
    made = await seals.signer(kept, "mailto:a@b.example")
    assert made.public_key != public_key
    assert "devices have to register anew" in caplog.text
    assert (await here.caller.get("/push-subscriptions"))["items"] == []
    assert (await seals.signer(kept, "mailto:a@b.example")).public_key == made.public_key
