"""What clients do with personal eventing, in the words of the specifications: keys (XEP-0384), nicknames (XEP-0172)."""

from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.caps import Caps
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.pep import Pep
from rainbow_xmpp.testing import TestServer, condition_of
from tests.plugins.eventing import (
    OWNER,
    PUBSUB,
    befriend,
    come,
    form,
    heard,
    ids_in,
    items,
    owner_request,
    publish,
    published,
    specific,
)

OMEMO = "urn:xmpp:omemo:2"
DEVICES, BUNDLES = f"{OMEMO}:devices", f"{OMEMO}:bundles"
NICK = "http://jabber.org/protocol/nick"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Blocking, Caps, CompanyIsolation, Disco, Pep]) as server:
        yield server


def devices(*ids: int) -> str:
    listed = "".join(f"<device id='{each}'/>" for each in ids)
    return f"<devices xmlns='{OMEMO}'>{listed}</devices>"


def bundle(key: str) -> str:
    keys = "".join(f"<pk id='{number}'>{key}</pk>" for number in range(1, 101))
    return f"<bundle xmlns='{OMEMO}'><ik>{key}</ik><prekeys>{keys}</prekeys></bundle>"


async def test_keys_are_there_for_whoever_may_write_even_without_a_subscription(server: TestServer):
    """XEP-0384 §5.3: several devices, one list, a bundle for each."""
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, phone = (
        await come(server, "juliet@capulet", DEVICES),
        await come(server, "juliet@capulet", DEVICES),
    )
    romeo, tybalt = await come(server, "romeo@capulet", DEVICES), await server.login("tybalt@capulet")
    paris = await server.login("paris@verona")
    for client in (juliet, phone, romeo):
        await client.rest()
    for client, device, known in ((juliet, 12345, (12345,)), (phone, 31415, (12345, 31415))):
        await published(client, DEVICES, devices(*known), "current", access_model="open")
        await published(
            client, BUNDLES, bundle(f"k{device}"), str(device), max_items="max", access_model="open"
        )
    assert len(await heard(romeo)) == len(await heard(juliet)) == len(await heard(phone)) == 2
    for client in (romeo, tybalt):
        answer = await items(client, DEVICES, to=juliet.bare)
        assert ids_in(answer) == ["current"]
        assert [el.get("id") for el in answer.iter(f"{{{OMEMO}}}device")] == ["12345", "31415"]
        answer = await items(client, BUNDLES, "31415", to=juliet.bare)
        assert answer.findtext(f".//{{{OMEMO}}}ik") == "k31415"
        assert len(list(answer.iter(f"{{{OMEMO}}}pk"))) == 100
    for node in (DEVICES, BUNDLES):
        assert condition_of(await items(paris, node, to=juliet.bare)) is Condition.SERVICE_UNAVAILABLE
    again = await come(server, "romeo@capulet", DEVICES)
    assert len(await heard(again)) == 1


async def test_a_node_that_was_made_otherwise_is_opened_as_clients_do_it(server: TestServer):
    """§5.3.2: the publication fails, the client configures the node, and tries again."""
    juliet, tybalt = await server.login("juliet@capulet"), await server.login("tybalt@capulet")
    await published(juliet, BUNDLES, bundle("k1"), "1")
    options = {"max_items": "max", "access_model": "open"}
    assert specific(await publish(juliet, BUNDLES, bundle("k2"), "2", **options)) == "precondition-not-met"
    configured = await juliet.ask("set", owner_request("configure", BUNDLES, form("node_config", **options)))
    assert configured.get("type") == "result"
    await published(juliet, BUNDLES, bundle("k2"), "2", **options)
    assert ids_in(await items(tybalt, BUNDLES, to=juliet.bare)) == ["1", "2"]


async def test_a_nickname_is_told_to_contacts_and_taken_back(server: TestServer):
    """XEP-0172 §4.4."""
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet", NICK)
    await romeo.rest()
    await published(juliet, NICK, f"<nick xmlns='{NICK}'>Ishmael</nick>")
    assert await heard(romeo) == [("juliet", NICK, "Ishmael")]
    await published(juliet, NICK, f"<nick xmlns='{NICK}'/>")
    assert await heard(romeo) == [("juliet", NICK, "")]
    assert (await items(romeo, NICK, to=juliet.bare)).findtext(f".//{{{NICK}}}nick") == ""


# -- subscriptions by asking for it (XEP-0060 §6.1) ------------------------------------------------------------


def subscription(action: str, node: str, jid: str) -> str:
    return f"<pubsub xmlns='{PUBSUB}'><{action} node='{node}' jid='{jid}'/></pubsub>"


async def test_whoever_may_look_may_subscribe_without_seeing_presence(server: TestServer):
    juliet, tybalt = await come(server, "juliet@capulet"), await come(server, "tybalt@capulet")
    await published(juliet, DEVICES, devices(1), "current", access_model="open")
    answer = await tybalt.ask("set", subscription("subscribe", DEVICES, tybalt.jid), to=juliet.bare)
    (subscribed,) = answer.iter(f"{{{PUBSUB}}}subscription")
    assert (subscribed.get("jid"), subscribed.get("subscription")) == (tybalt.jid, "subscribed")
    assert [node for _, node, _ in await heard(tybalt)] == [DEVICES]  # what is there
    await published(juliet, DEVICES, devices(1, 2), "current")
    assert [node for _, node, _ in await heard(tybalt)] == [DEVICES]
    asked = f"<pubsub xmlns='{PUBSUB}'><subscriptions/></pubsub>"
    answer = await tybalt.ask("get", asked, to=juliet.bare)
    assert [el.get("node") for el in answer.iter(f"{{{PUBSUB}}}subscription")] == [DEVICES]
    answer = await juliet.ask("get", owner_request("subscriptions", DEVICES))
    assert [el.get("jid") for el in answer.iter(f"{{{OWNER}}}subscription")] == [tybalt.jid]
    answer = await tybalt.ask("set", subscription("unsubscribe", DEVICES, tybalt.jid), to=juliet.bare)
    assert answer.get("type") == "result"
    answer = await tybalt.ask("set", subscription("unsubscribe", DEVICES, tybalt.jid), to=juliet.bare)
    assert (condition_of(answer), specific(answer)) == (Condition.UNEXPECTED_REQUEST, "not-subscribed")
    await published(juliet, DEVICES, devices(3), "current")
    assert await heard(tybalt) == []


async def test_a_bare_address_subscribes_the_clients_that_want_it_and_an_owner_ends_it(server: TestServer):
    juliet = await come(server, "juliet@capulet")
    tybalt, phone = await come(server, "tybalt@capulet", NICK), await come(server, "tybalt@capulet")
    await published(
        juliet, NICK, f"<nick xmlns='{NICK}'>J</nick>", access_model="open", send_last_published_item="never"
    )
    await tybalt.ask("set", subscription("subscribe", NICK, tybalt.bare), to=juliet.bare)
    assert await heard(tybalt) == []
    await published(juliet, NICK, f"<nick xmlns='{NICK}'>K</nick>")
    assert (await heard(tybalt), await heard(phone)) == ([("juliet", NICK, "K")], [])
    forced = f"<subscription jid='{phone.jid}' subscription='subscribed'/>"
    answer = await juliet.ask("set", owner_request("subscriptions", NICK, forced))
    assert condition_of(answer) is Condition.NOT_ACCEPTABLE
    ended = f"<subscription jid='{tybalt.bare}' subscription='none'/>"
    assert (await juliet.ask("set", owner_request("subscriptions", NICK, ended))).get("type") == "result"
    await published(juliet, NICK, f"<nick xmlns='{NICK}'>L</nick>")
    assert await heard(tybalt) == []


async def test_subscribing_is_refused_as_looking_is_and_only_for_oneself(server: TestServer):
    await befriend(server, "juliet@capulet", "romeo@capulet")
    juliet, romeo = await come(server, "juliet@capulet"), await come(server, "romeo@capulet")
    tybalt, paris = await come(server, "tybalt@capulet"), await server.login("paris@verona")
    await published(juliet, NICK, f"<nick xmlns='{NICK}'>J</nick>")
    await published(juliet, DEVICES, devices(1), access_model="whitelist")
    for client, node, jid, condition, detail in (
        (tybalt, NICK, tybalt.bare, Condition.NOT_AUTHORIZED, "presence-subscription-required"),
        (romeo, DEVICES, romeo.bare, Condition.NOT_ALLOWED, "closed-node"),
        (romeo, NICK, tybalt.bare, Condition.BAD_REQUEST, "invalid-jid"),
        (romeo, NICK, "@", Condition.BAD_REQUEST, "invalid-jid"),
        (romeo, BUNDLES, romeo.bare, Condition.ITEM_NOT_FOUND, ""),
        (paris, NICK, paris.bare, Condition.SERVICE_UNAVAILABLE, ""),
    ):
        answer = await client.ask("set", subscription("subscribe", node, jid), to=juliet.bare)
        assert (condition_of(answer), specific(answer)) == (condition, detail)
    answer = await romeo.ask("set", subscription("unsubscribe", NICK, tybalt.bare), to=juliet.bare)
    assert condition_of(answer) is Condition.FORBIDDEN
    own = await juliet.ask("set", subscription("subscribe", DEVICES, juliet.bare))
    assert own.find(f".//{{{PUBSUB}}}subscription").get("subscription") == "subscribed"


async def test_who_may_not_look_any_more_is_subscribed_no_longer(server: TestServer):
    juliet, tybalt = await come(server, "juliet@capulet"), await come(server, "tybalt@capulet")
    await published(juliet, NICK, f"<nick xmlns='{NICK}'>J</nick>", access_model="open")
    await tybalt.ask("set", subscription("subscribe", NICK, tybalt.jid), to=juliet.bare)
    await tybalt.rest()
    for model in ("whitelist", "open"):
        await juliet.ask("set", owner_request("configure", NICK, form("node_config", access_model=model)))
        await published(juliet, NICK, f"<nick xmlns='{NICK}'>{model}</nick>")
    assert await heard(tybalt) == []
    answer = await juliet.ask("get", owner_request("subscriptions", NICK))
    assert list(answer.iter(f"{{{OWNER}}}subscription")) == []


async def test_whom_somebody_blocks_hears_nothing_in_spite_of_a_subscription(server: TestServer):
    juliet, tybalt = await come(server, "juliet@capulet"), await come(server, "tybalt@capulet")
    await published(juliet, NICK, f"<nick xmlns='{NICK}'>J</nick>", access_model="open")
    await tybalt.ask("set", subscription("subscribe", NICK, tybalt.jid), to=juliet.bare)
    await juliet.ask("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{tybalt.bare}'/></block>")
    await tybalt.rest()
    await published(juliet, NICK, f"<nick xmlns='{NICK}'>K</nick>")
    assert await heard(tybalt) == []
