"""Who reaches whom, and that a refusal cannot be told from an address that nobody has."""

import re

import pytest

from rainbow_xmpp.plugin import Visibility
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.testing import Client, TestServer

MESSAGE = "<message to='{to}' type='chat' id='m1'><body>hello</body></message>"

STANZAS = {
    "chat": MESSAGE,
    "normal message": "<message to='{to}' id='m2'><body>hello</body></message>",
    "headline": "<message to='{to}' type='headline' id='m3'><body>news</body></message>",
    "groupchat": "<message to='{to}' type='groupchat' id='m4'><body>all</body></message>",
    "message to a full JID": "<message to='{to}/phone' type='chat' id='m5'><body>hello</body></message>",
    "normal message to a full JID": "<message to='{to}/phone' id='m6'><body>hello</body></message>",
    "message without an id": "<message to='{to}' type='chat'><body>hello</body></message>",
    "error": "<message to='{to}' type='error' id='m7'><error type='cancel'/></message>",
    "iq to a bare JID": "<iq to='{to}' type='get' id='i1'><query xmlns='jabber:iq:version'/></iq>",
    "iq set to a bare JID": "<iq to='{to}' type='set' id='i2'><query xmlns='jabber:iq:roster'/></iq>",
    "roster of another": "<iq to='{to}' type='get' id='i3'><query xmlns='jabber:iq:roster'/></iq>",
    "iq to a full JID": "<iq to='{to}/phone' type='get' id='i4'><ping xmlns='urn:xmpp:ping'/></iq>",
    "iq to an unknown resource": "<iq to='{to}/other' type='get' id='i5'><ping xmlns='urn:xmpp:ping'/></iq>",
    "iq result": "<iq to='{to}/phone' type='result' id='i6'/>",
    "directed presence": "<presence to='{to}'/>",
    "presence to a full JID": "<presence to='{to}/phone'/>",
    "directed unavailable": "<presence to='{to}' type='unavailable'/>",
    "probe": "<presence to='{to}' type='probe' id='p1'/>",
    "probe of a full JID": "<presence to='{to}/phone' type='probe'/>",
    "subscribe": "<presence to='{to}' type='subscribe' id='p2'/>",
    "subscribed": "<presence to='{to}' type='subscribed'/>",
    "unsubscribe": "<presence to='{to}' type='unsubscribe'/>",
    "unsubscribed": "<presence to='{to}' type='unsubscribed'/>",
    "address in another spelling": MESSAGE.replace("{to}", "{TO}"),
}


async def what_comes_back(server: TestServer, ann: Client, stanza: str, localpart: str) -> list[bytes]:
    """The bytes that Ann gets, roster pushes and all, with the address put out of sight."""
    to = f"{localpart}@{server.domain}"
    ann.send(stanza.format(to=to, TO=to.upper()))
    ann.send(f"<presence to='{to}' type='unavailable'/>")
    return [
        re.sub(localpart.encode(), b"WHO", _COUNTED.sub(b"", data), flags=re.IGNORECASE)
        for data in await ann.rest_bytes()
    ]


_COUNTED = re.compile(rb"(?<=id='push-)[^']*|(?<=ver=')[^']*")
"""What differs from one roster push to the next, whomever it is about."""


@pytest.mark.parametrize("stanza", STANZAS.values(), ids=STANZAS)
@pytest.mark.parametrize("is_online", [True, False], ids=["online", "offline"])
async def test_a_refusal_looks_like_an_address_that_nobody_has(stanza, is_online):
    async with TestServer([CompanyIsolation]) as server:
        ann = await server.login("ann@acme")
        await ann.ask("get", "<query xmlns='jabber:iq:roster'/>")
        if is_online:
            carol = await server.login("carol@globex", resource="phone")
        else:
            await server.person("carol@globex")
        refused = await what_comes_back(server, ann, stanza, "carol")
        absent = await what_comes_back(server, ann, stanza, "nobod")
        assert refused == absent
        if is_online:
            assert await carol.rest() == []


@pytest.mark.parametrize("kind", ["chat", "iq to a bare JID", "iq to a full JID", "probe"])
async def test_what_must_be_answered_is_answered(kind):
    async with TestServer([CompanyIsolation]) as server:
        ann = await server.login("ann@acme")
        await server.login("carol@globex", resource="phone")
        answers = await what_comes_back(server, ann, STANZAS[kind], "carol")
        assert len(answers) == 1
        assert (b"service-unavailable" in answers[0]) is (kind != "probe")
        assert b"<text" not in answers[0]


async def test_colleagues_reach_each_other():
    async with TestServer([CompanyIsolation]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        for stanza in (MESSAGE, "<presence to='{to}'/>", "<presence to='{to}' type='subscribe'/>"):
            ann.send(stanza.format(to=bob.bare))
        assert [element.get("from") for element in await bob.rest()] == [ann.jid, ann.jid, ann.bare]


async def reaches(server: TestServer, one: Client, other: Client) -> bool:
    one.send(MESSAGE.format(to=other.jid))
    heard = await other.rest()
    await one.rest()  # the refusal
    return [stanza.get("from") for stanza in heard] == [one.jid]


PUBLIC, PRIVATE, CLOSED, ISOLATED = (
    Visibility.PUBLIC,
    Visibility.PRIVATE,
    Visibility.CLOSED,
    Visibility.ISOLATED,
)
AS_COMPANY = Visibility.SAME_THAN_COMPANY


@pytest.mark.parametrize(
    ("company", "own", "may"),
    [
        (PUBLIC, AS_COMPANY, True),
        (PRIVATE, PUBLIC, True),
        (CLOSED, PUBLIC, True),
        (PRIVATE, AS_COMPANY, False),
        (PUBLIC, PRIVATE, False),
        (ISOLATED, AS_COMPANY, False),
        (ISOLATED, PUBLIC, False),
    ],
)
async def test_a_public_person_reaches_and_is_reached_by_other_companies(company, own, may):
    async with TestServer([CompanyIsolation]) as server:
        await server.company("elsewhere", visibility=company)
        await server.person("pia@elsewhere", visibility=own)
        ann, pia = await server.login("ann@acme"), await server.login("pia@elsewhere")
        assert await reaches(server, ann, pia) is may
        assert await reaches(server, pia, ann) is may


@pytest.mark.parametrize("own", [AS_COMPANY, PUBLIC])
async def test_nobody_of_an_isolated_company_reaches_a_public_person(own):
    async with TestServer([CompanyIsolation]) as server:
        await server.company("island", visibility=ISOLATED)
        await server.person("ivy@island", visibility=own)
        ivy, pia = await server.login("ivy@island"), await server.login("pia@Rainbow")
        assert await reaches(server, ivy, pia) is False
        assert await reaches(server, pia, ivy) is False


async def test_presence_does_not_flow_between_companies_even_where_rosters_say_so():
    async with TestServer([CompanyIsolation]) as server:
        carol = await server.person("carol@globex")
        ann = await server.login("ann@acme")
        await server.subscribe(ann.bare, to=carol)
        await server.login("carol@globex")
        assert await ann.rest() == []
