import pytest

from rainbow_xmpp.plugin import Condition, Element, Visibility
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.ping import Ping
from rainbow_xmpp.testing import TestServer, condition_of

INFO = "{http://jabber.org/protocol/disco#info}"
GET_INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
GET_ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
OF_NODE = "<query xmlns='http://jabber.org/protocol/disco#info' node='nothing'/>"


def identities(answer: Element) -> list[tuple[str | None, str | None, str | None]]:
    return [(i.get("category"), i.get("type"), i.get("name")) for i in answer.iter(f"{INFO}identity")]


def features(answer: Element) -> set[str | None]:
    return {feature.get("var") for feature in answer.iter(f"{INFO}feature")}


async def test_the_server_says_what_it_is_without_a_version():
    async with TestServer([Disco]) as server:
        ann = await server.login("ann@acme")
        answer = await ann.ask("get", GET_INFO, to=server.domain)
        assert identities(answer) == [("server", "im", "Rainbow XMPP")]


async def test_the_features_of_the_core_and_of_every_plugin_are_listed():
    async with TestServer([Disco, Ping]) as server:
        ann = await server.login("ann@acme")
        found = features(await ann.ask("get", GET_INFO, to=server.domain))
        assert found == {
            INFO[1:-1],
            "http://jabber.org/protocol/disco#items",
            "jabber:iq:roster",
            "urn:xmpp:ping",
        }


@pytest.mark.parametrize("payload", [GET_INFO, GET_ITEMS])
async def test_there_are_no_nodes(payload):
    asked = payload.replace("/>", " node='nothing'/>")
    async with TestServer([Disco]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        for to in (server.domain, ann.bare, bob.bare):
            assert condition_of(await ann.ask("get", asked, to=to)) is Condition.ITEM_NOT_FOUND


async def test_an_account_answers_its_owner_and_colleagues():
    async with TestServer([Disco, Ping]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        for to in ("", ann.bare, bob.bare):
            answer = await ann.ask("get", GET_INFO, to=to)
            assert identities(answer) == [("account", "registered", None)]
            assert "urn:xmpp:ping" in features(answer)


async def test_there_are_no_items():
    async with TestServer([Disco]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        for to in (server.domain, ann.bare, bob.bare):
            answer = await ann.ask("get", GET_ITEMS, to=to)
            assert (answer.get("type"), len(answer[0])) == ("result", 0)


@pytest.mark.parametrize("payload", [GET_INFO, GET_ITEMS, OF_NODE])
async def test_a_public_person_of_another_company_shows_itself_only_to_those_who_may_see_its_presence(
    payload,
):
    async with TestServer([Disco]) as server:
        pia = await server.person("pia@open", visibility=Visibility.PUBLIC)
        ann = await server.login("ann@acme")
        to_pia = await ann.ask("get", payload, to=pia.bare)
        to_nobody = await ann.ask("get", payload, to=f"nobody@{server.domain}")
        assert condition_of(to_pia) is condition_of(to_nobody) is Condition.SERVICE_UNAVAILABLE
        await server.subscribe(ann.bare, to=pia)
        seen = await ann.ask("get", payload, to=pia.bare)
        assert condition_of(seen) in (None, Condition.ITEM_NOT_FOUND)
