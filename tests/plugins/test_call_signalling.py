"""Calls are offered to every device, taken by one, and all know what became of them (XEP-0353, XEP-0166, XEP-0280)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from xml.etree.ElementTree import Element

import pytest

from rainbow_xmpp.plugin import Visibility
from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.session.inline import TakenOver
from rainbow_xmpp.testing import Client, TestServer, condition_of
from tests.unit.test_stream_management import lose, managed, resume

JMI = "urn:xmpp:jingle-message:0"
JINGLE = "urn:xmpp:jingle:1"
CARBON = "{urn:xmpp:carbons:2}"
INNER = "{urn:xmpp:forward:0}forwarded/{jabber:client}message"
STORE = "<store xmlns='urn:xmpp:hints'/>"
AUDIO = "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/>"
REASON = f"<reason xmlns='{JINGLE}'><busy/></reason>"
INITIATE = (
    f"<jingle xmlns='{JINGLE}' action='session-initiate' sid='c1'>"
    "<content creator='initiator' name='voice'>"
    "<description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'><payload-type id='111' name='opus'>"
    "<rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='nack'/></payload-type>"
    "<rtp-hdrext xmlns='urn:xmpp:jingle:apps:rtp:rtp-hdrext:0' id='1' uri='urn:ietf:params:rtp-hdrext:sdes:mid'/>"
    "<source xmlns='urn:xmpp:jingle:apps:rtp:ssma:0' ssrc='1'/></description>"
    "<transport xmlns='urn:xmpp:jingle:transports:ice-udp:1' ufrag='8hhy' pwd='asd88fgpdd777uzjYhagZg'>"
    "<fingerprint xmlns='urn:xmpp:jingle:apps:dtls:0' hash='sha-256' setup='actpass'>02:1A</fingerprint>"
    "</transport></content><group xmlns='urn:xmpp:jingle:apps:grouping:0' semantics='BUNDLE'/></jingle>"
)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([CompanyIsolation, Blocking, Carbons, Archive]) as server:
        yield server


async def device(server: TestServer, name: str, priority: int = 0) -> Client:
    client = await server.login(name, available=False)
    client.send("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    client.send(f"<presence><priority>{priority}</priority></presence>")
    await client.rest()
    return client


def call(
    sender: Client, to: str, what: str, inside: str = "", *, kind: str = "chat", hint: str = STORE
) -> None:
    """One message of XEP-0353."""
    sender.send(
        f"<message to='{to}' type='{kind}'><{what} xmlns='{JMI}' id='c1'>{inside}</{what}>{hint}</message>"
    )


async def heard(client: Client) -> list[str]:
    """What a device hears of the call: `propose`, or `sent:proceed` and `received:proceed` for copies."""
    found = []
    for stanza in await client.rest():
        if stanza.tag != "{jabber:client}message":
            continue
        wrapper = next((child for child in stanza if child.tag.startswith(CARBON)), None)
        inner = stanza if wrapper is None else wrapper.find(INNER)
        assert inner is not None
        name = next(child.tag.rpartition("}")[2] for child in inner if child.tag.startswith(f"{{{JMI}}}"))
        found.append(name if wrapper is None else f"{wrapper.tag.rpartition('}')[2]}:{name}")
    return found


async def kept(client: Client) -> list[str]:
    """What the account's history has of the call."""
    client.send("<iq type='set' id='m'><query xmlns='urn:xmpp:mam:2'/></iq>")
    stanzas = await client.rest()
    return [
        each.tag.rpartition("}")[2]
        for stanza in stanzas
        for each in stanza.iter()
        if each.tag.startswith(f"{{{JMI}}}")
    ]


Devices = tuple[Client, Client, Client, Client]


async def four(server: TestServer) -> Devices:
    """Ann's phone and laptop, Bob's phone and his tablet, which takes nothing by itself."""
    found = (
        await device(server, "ann@acme"),
        await device(server, "ann@acme"),
        await device(server, "bob@acme"),
        await device(server, "bob@acme", priority=-1),
    )
    for client in found:
        await client.rest()
    return found


async def test_a_call_rings_everywhere_and_stops_ringing_everywhere(server: TestServer):
    phone, laptop, bob, tablet = await four(server)
    call(phone, bob.bare, "propose", AUDIO)
    assert await heard(bob) == ["propose"]
    assert await heard(tablet) == ["received:propose"]  # §2: devices with a negative priority, too
    assert await heard(laptop) == ["sent:propose"]
    call(bob, phone.jid, "ringing")
    assert (await heard(phone), await heard(laptop)) == (["ringing"], ["received:ringing"])
    assert await heard(tablet) == ["sent:ringing"]
    call(tablet, phone.jid, "proceed")
    assert (await heard(phone), await heard(laptop)) == (["proceed"], ["received:proceed"])
    assert await heard(bob) == ["sent:proceed"]
    answer = await ask_jingle(phone, tablet)
    assert answer.get("type") == "result"
    for one, other in ((phone, tablet), (tablet, phone)):
        call(one, other.jid, "finish", f"<reason xmlns='{JINGLE}'><success/></reason>")
    assert await heard(laptop) == ["sent:finish", "received:finish"]
    assert await heard(bob) == ["received:finish", "sent:finish"]
    history = ["propose", "ringing", "proceed", "finish", "finish"]
    assert await kept(laptop) == history
    assert await kept(bob) == history


async def ask_jingle(caller: Client, callee: Client) -> Element:
    """A session-initiate arrives as it was sent, from the caller's device; the answer goes back to it."""
    caller.send(f"<iq type='set' id='j1' to='{callee.jid}'>{INITIATE}</iq>")
    await_iq = await callee.asked()
    assert await_iq.get("from") == caller.jid
    tags = [each.tag for each in await_iq.iter()]
    for ns in (
        "apps:rtp:rtcp-fb:0",
        "apps:rtp:rtp-hdrext:0",
        "apps:rtp:ssma:0",
        "apps:dtls:0",
        "apps:grouping:0",
    ):
        assert any(ns in tag for tag in tags), ns
    callee.send(f"<iq type='result' id='{await_iq.get('id')}' to='{caller.jid}'/>")
    return next(stanza for stanza in await caller.rest() if stanza.tag == "{jabber:client}iq")


@pytest.mark.parametrize("what", ["retract", "reject"])
async def test_who_takes_a_call_back_or_refuses_it_stops_it_on_every_device(server: TestServer, what: str):
    phone, laptop, bob, tablet = await four(server)
    call(phone, bob.bare, "propose", AUDIO)
    for client in (laptop, bob, tablet):
        await client.rest()
    if what == "retract":
        call(phone, bob.bare, what, REASON)
        assert (await heard(bob), await heard(tablet)) == (["retract"], ["received:retract"])
        assert await heard(laptop) == ["sent:retract"]
    else:
        call(bob, phone.jid, what, REASON)
        assert (await heard(phone), await heard(laptop)) == (["reject"], ["received:reject"])
        assert await heard(tablet) == ["sent:reject"]
    assert await kept(laptop) == await kept(tablet) == ["propose", what]


@pytest.mark.parametrize("what", ["accept", "reject"])
async def test_clients_of_old_tell_their_own_devices_by_a_message_to_themselves(
    server: TestServer, what: str
):
    _, _, bob, tablet = await four(server)
    call(bob, bob.bare, what)
    assert (await heard(bob), await heard(tablet)) == ([what], [f"sent:{what}"])


async def test_a_message_of_type_normal_and_without_hints_reaches_every_device_all_the_same(
    server: TestServer,
):
    """§3 asks for chat and a hint; whoever sends something else calls somebody, too."""
    phone, laptop, bob, tablet = await four(server)
    call(phone, bob.bare, "propose", AUDIO, kind="normal", hint="")
    assert (await heard(bob), await heard(tablet)) == (["propose"], ["received:propose"])
    assert await heard(laptop) == ["sent:propose"]
    assert await kept(bob) == ["propose"]


async def test_what_its_sender_wants_kept_from_copies_and_history_is(server: TestServer):
    phone, laptop, bob, tablet = await four(server)
    hints = "<no-copy xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/>"
    call(phone, bob.bare, "propose", AUDIO, hint=hints)
    assert await heard(bob) == ["propose"]
    assert await heard(tablet) == await heard(laptop) == await kept(bob) == []


async def test_a_call_of_a_moment_ago_is_there_for_who_comes_now(server: TestServer):
    ann = await device(server, "ann@acme")
    bob = await server.person("bob@acme")
    call(ann, bob.bare, "propose", AUDIO)
    call(ann, bob.bare, "retract", REASON)
    await server.settle()
    phone = await server.login("bob@acme")
    assert await heard(phone) == ["propose", "retract"]


async def test_a_device_whose_connection_breaks_while_it_rings_hears_the_rest_when_it_resumes(
    server: TestServer,
):
    ann, bob = await device(server, "ann@acme"), await managed(server, "bob@acme")
    call(ann, bob.bare, "propose", AUDIO)
    assert await heard(bob) == ["propose"]
    await lose(server, bob)
    call(ann, bob.bare, "retract", REASON)
    await server.settle()
    taken = await resume(server, bob)
    assert isinstance(taken, TakenOver)
    heard_late = [
        what for what in ("propose", "retract") for data in taken.unread if f"<{what}".encode() in data
    ]
    assert heard_late == ["propose", "retract"], "what it did not acknowledge, and what came meanwhile"


async def elsewhere(server: TestServer, ann: Client) -> Client:
    await server.company("globex", Visibility.CLOSED)
    return await device(server, "eve@globex")


async def blocked(server: TestServer, ann: Client) -> Client:
    eve = await device(server, "eve@acme")
    answer = await ann.ask("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{eve.bare}'/></block>")
    assert answer.get("type") == "result"
    await eve.rest()
    return eve


@pytest.mark.parametrize("stranger", [elsewhere, blocked])
async def test_who_may_not_call_finds_nobody_and_nobody_hears_of_it(
    server: TestServer, stranger: Callable[[TestServer, Client], Awaitable[Client]]
):
    ann = await device(server, "ann@acme")
    laptop = await device(server, "ann@acme")
    eve = await stranger(server, ann)
    await ann.rest(), await laptop.rest()
    nobody = f"nobody@{server.domain}"
    refusals = []
    for to, full in ((ann.bare, ann.jid), (nobody, f"{nobody}/device")):
        call(eve, to, "propose", AUDIO)
        call(eve, full, "proceed")
        eve.send(f"<iq type='set' id='j' to='{full}'>{INITIATE}</iq>")
        answers = [stanza for stanza in await eve.rest() if stanza.get("type") == "error"]
        refusals.append([(each.tag, condition_of(each), len(list(each.iter()))) for each in answers])
    assert refusals[0] == refusals[1]
    assert await heard(ann) == await heard(laptop) == await kept(ann) == []


async def test_who_blocks_somebody_does_not_call_them_either(server: TestServer):
    ann = await device(server, "ann@acme")
    eve = await blocked(server, ann)
    await ann.rest()
    call(ann, eve.bare, "propose", AUDIO)
    assert [condition_of(stanza) for stanza in await ann.rest() if stanza.get("type") == "error"] == [
        "not-acceptable"
    ]
    assert await heard(eve) == []
