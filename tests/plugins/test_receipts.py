"""Receipts (XEP-0184) and displayed markers (XEP-0333): every device that must know of them does, now and later."""

import pytest

from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.testing import Client, TestServer, condition_of
from rainbow_xmpp.xml import Element
from tests.plugins.test_carbons import CARBONS, INNER, device, messages

MAM = "urn:xmpp:mam:2"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
ASKS = "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
RECEIPT, MARKER = "{urn:xmpp:receipts}received", "{urn:xmpp:chat-markers:0}displayed"
ANSWERS = {
    RECEIPT: "<received xmlns='urn:xmpp:receipts' id='m1'/>",
    MARKER: "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>",
}
TYPES = ["chat", "normal", ""]
"""XEP-0184 shows receipts without a type and advises the type of the message."""
NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>"
PLUGINS = [Archive, Carbons, CompanyIsolation, ForgeryGuard]
each_answer = pytest.mark.parametrize("tag", list(ANSWERS), ids=["receipt", "marker"])


def answer(sender: Client, to: str, tag: str, type_: str = "chat", more: str = "") -> None:
    kind = f" type='{type_}'" if type_ else ""
    sender.send(f"<message to='{to}'{kind} id='r1'>{ANSWERS[tag]}{more}</message>")


async def came(client: Client, tag: str) -> tuple[int, int, int]:
    """How many came as they are, as a copy of what others sent, and of what the account sent itself."""
    own = {"received": 0, "sent": 0, "": 0}
    for stanza in await messages(client):
        wrapper = stanza[0].tag if len(stanza) else ""
        if wrapper.startswith(f"{{{CARBONS}}}"):
            inner = stanza[0].find(INNER)
            assert inner is not None and inner.find(tag) is not None
            own[wrapper.removeprefix(f"{{{CARBONS}}}")] += 1
        else:
            found = stanza.find(tag)
            assert found is not None and found.get("id") == "m1"
            own[""] += 1
    return own[""], own["received"], own["sent"]


async def history(client: Client) -> list[Element]:
    """The messages of the log, oldest first."""
    await client.ask("set", f"<query xmlns='{MAM}'/>")
    results = [stanza.find(f"{{{MAM}}}result") for stanza in await messages(client)]
    return [result.find(INNER) for result in results if result is not None]


@each_answer
@pytest.mark.parametrize("type_", TYPES)
async def test_who_asked_hears_of_it_on_every_device_and_both_logs_have_it(tag: str, type_: str) -> None:
    async with TestServer(PLUGINS) as server:
        desk, tablet = await device(server, "bob@acme"), await device(server, "bob@acme")
        phone, laptop = await device(server, "ann@acme"), await device(server, "ann@acme")
        desk.send(f"<message to='{phone.bare}' type='chat' id='m1'><body>x</body>{ASKS}</message>")
        for each in (phone, laptop):  # the question is not lost on the way
            (question,) = await messages(each)
            assert {child.tag for child in question} >= {
                "{urn:xmpp:receipts}request",
                "{urn:xmpp:chat-markers:0}markable",
            }
        for each in (desk, tablet):
            await each.rest()
        answer(phone, desk.jid, tag, type_)
        assert await came(desk, tag) == (1, 0, 0)
        assert await came(tablet, tag) == (0, 1, 0)
        assert await came(laptop, tag) == (0, 0, 1)
        assert await came(phone, tag) == (0, 0, 0)
        for each in (desk, phone):
            said, answered = await history(each)
            assert said.findtext("{jabber:client}body") == "x"
            assert answered.find(tag) is not None


@each_answer
@pytest.mark.parametrize("type_", TYPES)
async def test_a_device_that_has_connected_anew_gets_the_answer(tag: str, type_: str) -> None:
    """It was sent to the resource that the message came from."""
    async with TestServer(PLUGINS) as server:
        phone, desk = await device(server, "ann@acme"), await device(server, "bob@acme")
        await desk.leave()
        again = await device(server, "bob@acme")
        answer(phone, desk.jid, tag, type_)
        assert await came(again, tag) == (1, 0, 0)
        assert await messages(phone) == []
        (kept,) = await history(again)
        assert kept.find(tag) is not None


@each_answer
@pytest.mark.parametrize("type_", TYPES)
async def test_an_answer_waits_for_who_is_away_and_comes_once_in_its_place(tag: str, type_: str) -> None:
    async with TestServer(PLUGINS) as server:
        phone, desk = await device(server, "ann@acme"), await device(server, "bob@acme")
        await desk.leave()
        answer(phone, desk.jid, tag, type_)
        phone.say("after it", to=desk.bare)
        await server.settle()
        again = await server.login("bob@acme")
        first, second = await messages(again)
        assert first.find(tag) is not None
        assert first.find("{urn:xmpp:delay}delay") is not None
        assert first.find(STANZA_ID) is not None
        assert second.findtext("{jabber:client}body") == "after it"
        await again.leave()
        assert await messages(await server.login("bob@acme")) == []


@each_answer
async def test_what_its_sender_wants_not_to_be_kept_is_delivered_and_in_no_log(tag: str) -> None:
    async with TestServer(PLUGINS) as server:
        phone, desk = await device(server, "ann@acme"), await device(server, "bob@acme")
        answer(phone, desk.jid, tag, "chat", NO_STORE)
        assert await came(desk, tag) == (1, 0, 0)
        assert await history(desk) == await history(phone) == []


@each_answer
async def test_who_may_not_speak_may_not_answer_and_hears_what_a_stranger_hears(tag: str) -> None:
    async with TestServer(PLUGINS) as server:
        eve, desk = await server.login("eve@globex"), await device(server, "bob@acme")
        for type_ in TYPES:
            for to in (desk.jid, f"{desk.bare}/gone", f"nobody@{server.domain}/gone"):
                answer(eve, to, tag, type_)
                (refused,) = await eve.rest()
                assert condition_of(refused) == "service-unavailable"
                assert refused.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}text") is None
        assert await messages(desk) == []


async def test_a_message_without_a_type_for_a_device_that_is_gone_is_still_refused() -> None:
    """Only what answers an earlier message is for the account as a whole; what asks for answers is not."""
    async with TestServer(PLUGINS) as server:
        ann, desk = await device(server, "ann@acme"), await device(server, "bob@acme")
        ann.send(f"<message to='{desk.bare}/gone'><body>x</body>{ASKS}</message>")
        (refused,) = await ann.rest()
        assert condition_of(refused) == "service-unavailable"
        assert await messages(desk) == []
