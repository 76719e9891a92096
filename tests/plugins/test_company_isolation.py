"""Who reaches whom, and that a refusal cannot be told from an address that nobody has."""

import re

import pytest

from rainbow_xmpp.plugin import Account, Action, Plugin, Visibility, access
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.store.values import AuthorisationState, Subscription
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
async def test_a_persons_own_visibility_counts_but_nobody_leaves_an_isolated_company(company, own, may):
    async with TestServer([CompanyIsolation]) as server:
        await server.company("elsewhere", visibility=company)
        pia = await server.person("pia@elsewhere", visibility=own)
        ann = await server.person("ann@acme")
        services = server.node.services()
        assert await services.may(Action.SEARCH, ann.account, pia.account) is may


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [(AS_COMPANY, AS_COMPANY, True), (AS_COMPANY, PRIVATE, False), (PRIVATE, AS_COMPANY, False)],
)
async def test_in_the_public_company_those_who_are_private_are_strangers(one, other, may):
    async with TestServer([CompanyIsolation]) as server:
        await server.person("pia@Rainbow", visibility=one)
        await server.person("rob@Rainbow", visibility=other)
        pia, rob = await server.login("pia@Rainbow"), await server.login("rob@Rainbow")
        assert await reaches(server, pia, rob) is may
        assert await reaches(server, pia, pia)


# -- agreeing, with any client -------------------------------------------------------------------------------


async def agreed(server: TestServer) -> tuple[Client, Client]:
    """Ann of Acme and Carol of Globex, who accepted her request, and asked back."""
    ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
    for client in (ann, carol):
        await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    ann.send(f"<presence to='{carol.bare}' type='subscribe'><status>We met</status></presence>")
    request = await carol.receive()
    assert (request.get("type"), request.findtext("{jabber:client}status")) == ("subscribe", "We met")
    carol.send(f"<presence to='{ann.bare}' type='subscribed'/>")
    await carol.rest()
    carol.send(f"<presence to='{ann.bare}' type='subscribe'/>")
    await carol.rest()
    ann.send(f"<presence to='{carol.bare}' type='subscribed'/>")
    for client in (carol, ann):
        await client.rest()
    return ann, carol


async def test_who_was_invited_and_accepts_reaches_and_is_reached():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await agreed(server)
        assert await reaches(server, ann, carol)
        assert await reaches(server, carol, ann)
        ann.send("<presence><show>away</show></presence>")
        assert [stanza.get("from") for stanza in await carol.rest()] == [ann.jid]


async def test_an_invitation_alone_opens_nothing_in_either_direction():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
        ann.send(f"<presence to='{carol.bare}' type='subscribe'/>")
        await carol.rest()
        assert not await reaches(server, ann, carol)
        assert not await reaches(server, carol, ann)


async def test_nobody_accepts_what_they_were_not_asked():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
        ann.send(f"<presence to='{carol.bare}' type='subscribe'/>")
        await carol.rest()
        ann.send(f"<presence to='{carol.bare}' type='subscribed'/>")
        assert await carol.rest() == []
        assert not await reaches(server, carol, ann)


async def test_who_declines_is_not_reached_and_the_inviter_is_told():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
        await ann.ask("get", "<query xmlns='jabber:iq:roster'/>")
        ann.send(f"<presence to='{carol.bare}' type='subscribe'/>")
        await carol.rest()
        carol.send(f"<presence to='{ann.bare}' type='unsubscribed'/>")
        await carol.rest()
        assert "unsubscribed" in [stanza.get("type") for stanza in await ann.rest()]
        assert not await reaches(server, ann, carol)


ENDS = {
    "by a client": None,
    "by an administrator": lambda server, ann, carol: server.store.authorisations.end(ann, carol),
    "by isolation": lambda server, ann, carol: server.store.companies.update(
        carol.company.id, visibility=ISOLATED
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_when_it_ends_each_hears_that_the_other_is_gone_and_nothing_more(end):
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await agreed(server)
        if end is None:
            carol.send(f"<presence to='{ann.bare}' type='unsubscribed'/>")
            await server.settle()
        else:
            await end(server, ann.account, carol.account)
        await server.node.watch.poll()
        heard = {client.bare: await client.rest() for client in (ann, carol)}
        for one, other in ((ann, carol), (carol, ann)):
            gone = {s.get("from") for s in heard[one.bare] if s.get("type") == "unavailable"}
            assert other.jid in gone
        for one, other in ((ann, carol), (carol, ann)):
            answer = await one.ask("get", "<query xmlns='jabber:iq:roster'/>")
            assert len(answer[0]) == 0
            assert not await reaches(server, one, other)


async def test_when_a_link_ends_the_rosters_of_both_companies_are_cleared_of_each_other():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await server.person("ann@acme"), await server.person("carol@globex")
        link = await server.store.links.ask(ann.account.company.id, carol.account.company.id)
        await server.store.links.confirm(carol.account.company.id, link.id)
        await server.node.watch.poll()
        one, other = await agreed(server)
        assert await server.store.authorisations.of(ann.account.company.id, ann.account.id) == []
        assert await reaches(server, one, other)
        await server.store.links.end(ann.account.company.id, link.id)
        await server.node.watch.poll()
        assert {s.get("type") for s in await other.rest()} == {"unavailable", "set"}
        assert not await reaches(server, one, other)
        answer = await other.ask("get", "<query xmlns='jabber:iq:roster'/>")
        assert len(answer[0]) == 0


async def test_an_authorisation_for_a_time_ends_by_itself():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await server.person("ann@acme"), await server.person("carol@globex")
        agreements = server.node.agreements
        until = int(server.clock()) + 60
        await agreements.invite(ann.account, carol.account, expires_at=until, actor="system")
        await agreements.accept(carol.account, ann.account, actor="system")
        one, other = await server.login("ann@acme"), await server.login("carol@globex")
        assert await reaches(server, one, other)
        server.clock.advance(61)
        assert not await reaches(server, one, other)
        await server.plugin(CompanyIsolation).end_expired()
        assert await server.store.authorisations.of(ann.account.company.id, ann.account.id) == []


async def test_what_a_crash_left_in_a_roster_does_not_answer_a_request():
    """Once they agreed; it ended, and the server died before the roster forgot who saw whom."""
    async with TestServer([CompanyIsolation]) as server:
        carol = await server.person("carol@globex")
        ann = await server.login("ann@acme")
        await server.subscribe(ann.bare, to=carol)
        ann.send(f"<presence to='{carol.bare}' type='subscribe'/>")
        await ann.rest()
        [half] = await server.store.authorisations.of(ann.account.company.id, ann.account.id)
        assert half.state is AuthorisationState.INVITED
        roster = await server.store.rosters.load(carol.account.company.id, carol.account.id)
        assert [(item.subscription, item.pending_in) for item in roster.items] == [(Subscription.NONE, True)]


async def test_a_change_that_is_applied_while_somebody_accepts_takes_nothing_back(monkeypatch):
    """Their roster says it a moment before it is agreed on."""
    async with TestServer([CompanyIsolation]) as server:
        accept, parting = server.node.agreements.accept, server.plugin(CompanyIsolation)._parting

        async def accepted_late(invitee: Account, inviter: Account, **by: str) -> object:
            await parting.of_account(invitee)
            return await accept(invitee, inviter, **by)

        monkeypatch.setattr(server.node.agreements, "accept", accepted_late)
        ann, carol = await agreed(server)
        for one, other in ((ann, carol), (carol, ann)):
            account = one.account
            roster = await server.store.rosters.load(account.company.id, account.id)
            assert [(i.contact, i.subscription) for i in roster.items] == [(other.bare, Subscription.BOTH)]


@pytest.mark.parametrize("accepted", [True, False], ids=["agreed", "invited"])
async def test_what_is_over_is_asked_for_anew_before_anybody_has_taken_it_out(accepted: bool):
    async with TestServer([CompanyIsolation]) as server:
        carol = await server.login("carol@globex")
        ann = await server.login("ann@acme")
        agreements, until = server.node.agreements, int(server.clock()) + 60
        await agreements.invite(carol.account, ann.account, expires_at=until, actor="system")
        if accepted:
            await agreements.accept(ann.account, carol.account, actor="system")
        await server.node.watch.poll()
        server.clock.advance(61)
        ann.send(f"<presence to='{carol.bare}' type='subscribe'/>")
        await ann.rest()
        [half] = await server.store.authorisations.of(ann.account.company.id, ann.account.id)
        assert (half.state, half.expires_at) == (AuthorisationState.INVITED, None)
        assert not await reaches(server, ann, carol)


async def test_a_plugin_that_cannot_say_means_no():
    class Broken(Plugin, name="broken"):
        @access()
        async def permits(self, action: Action, actor: Account, target: Account) -> bool:
            raise RuntimeError("a bug")

    async with TestServer([Broken]) as server:
        ann, bob = await server.person("ann@acme"), await server.person("bob@acme")
        assert not await server.node.services().may(Action.MESSAGE, ann.account, bob.account)


async def test_presence_does_not_flow_between_companies_even_where_rosters_say_so():
    async with TestServer([CompanyIsolation]) as server:
        carol = await server.person("carol@globex")
        ann = await server.login("ann@acme")
        await server.subscribe(ann.bare, to=carol)
        await server.login("carol@globex")
        assert await ann.rest() == []


# -- what the end of an agreement shows, and to whom ---------------------------------------------------------


async def linked(server: TestServer) -> tuple[Client, Client, str]:
    """Ann of Acme and Carol of Globex, who are linked; the link's id."""
    ann, carol = await server.person("ann@acme"), await server.person("carol@globex")
    link = await server.store.links.ask(ann.account.company.id, carol.account.company.id)
    await server.store.links.confirm(carol.account.company.id, link.id)
    await server.node.watch.poll()
    return await server.login("ann@acme"), await server.login("carol@globex"), link.id


@pytest.mark.parametrize("to", ["{bare}", "{full}"])
async def test_who_was_shown_presence_beside_all_rosters_hears_of_its_end_and_the_other_nothing(to):
    async with TestServer([CompanyIsolation]) as server:
        ann, carol, link = await linked(server)
        ann.send(f"<presence to='{to.format(bare=carol.bare, full=carol.jid)}'/>")
        assert [stanza.get("from") for stanza in await carol.rest()] == [ann.jid]
        await server.store.links.end(ann.account.company.id, link)
        await server.node.watch.poll()
        heard = [(stanza.get("type"), stanza.get("from")) for stanza in await carol.rest()]
        assert heard == [("unavailable", ann.jid)]
        assert await ann.rest() == []


async def test_presence_that_was_refused_has_no_end():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
        ann.send(f"<presence to='{carol.bare}'/>")
        await server.settle()
        await server.store.companies.update(ann.account.company.id, organisation="Group")
        await server.node.watch.poll()
        assert await carol.rest() == []


@pytest.mark.parametrize("asked", ["carol", "nobod"])
async def test_a_request_that_was_refused_stays_in_the_roster_like_one_to_nobody(asked):
    """It went, with the presence of whom it was for, when the asker changed their own visibility."""
    async with TestServer([CompanyIsolation]) as server:
        await server.company("globex", visibility=ISOLATED)
        ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
        await ann.ask("get", "<query xmlns='jabber:iq:roster'/>")
        ann.send(f"<presence to='{asked}@{server.domain}' type='subscribe'/>")
        await ann.rest()
        await server.store.accounts.set_visibility(ann.account.company.id, ann.account.id, CLOSED)
        await server.node.watch.poll()
        assert await ann.rest() == []
        assert await carol.rest() == []
        answer = await ann.ask("get", "<query xmlns='jabber:iq:roster'/>")
        assert [item.get("ask") for item in answer[0]] == ["subscribe"]


async def test_clients_that_answer_an_end_at_once_hear_that_the_other_is_gone_all_the_same():
    async with TestServer([CompanyIsolation]) as server:
        ann, carol = await agreed(server)
        for one, other in ((ann, carol), (carol, ann)):
            one.send(f"<presence to='{other.bare}' type='unsubscribed'/>")
            await server.settle()
        await server.node.watch.poll()
        for one, other in ((ann, carol), (carol, ann)):
            assert other.jid in {s.get("from") for s in await one.rest() if s.get("type") == "unavailable"}
