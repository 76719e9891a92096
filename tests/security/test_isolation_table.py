"""Every cell of the table of isolation, tried with stanzas and with the question that all other paths ask."""

import pytest

from rainbow_xmpp.company import Action, Relation, may
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.vcard_temp import VCardTemp
from rainbow_xmpp.store.values import OPENNESS
from rainbow_xmpp.testing import Client, TestServer
from tests.security.isolation_table import Cell, cells

CELLS = list(cells())
IDS = [cell.name for cell in CELLS]

STANZAS = {
    Action.INVITE: "<presence to='{bare}' type='subscribe' id='x'/>",
    Action.MESSAGE: "<message to='{bare}' type='chat' id='x'><body>hello</body></message>",
    Action.CALL: "<message to='{bare}' id='x'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/></message>",
    Action.ROOM: "<message to='{bare}' id='x'><x xmlns='jabber:x:conference' jid='r@rooms.test'/></message>",
    Action.PRESENCE: "<presence to='{full}' id='x'/>",
}
"""Each reaches the other's session where it may."""


def test_the_table_is_complete():
    assert {(c.actor, c.target, c.relation) for c in CELLS} == {
        (actor, target, relation) for actor in OPENNESS for target in OPENNESS for relation in Relation
    }


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_the_rule_is_the_table(cell: Cell):
    assert {a for a in Action if may(a, cell.actor, cell.target, cell.relation)} == cell.allowed


async def meet(server: TestServer, cell: Cell) -> tuple[Client, Client]:
    """Two people who are that to each other; what they agreed on was agreed before either became isolated."""
    theirs = "acme" if cell.relation is Relation.COLLEAGUE else "globex"
    ann, bob = await server.person("ann@acme"), await server.person(f"bob@{theirs}")
    store = server.store
    if cell.relation is Relation.AUTHORISED:
        await store.authorisations.invite(ann.account, bob.account, (ann.bare, bob.bare))
        await store.authorisations.accept(bob.account, ann.account)
    if cell.relation is Relation.LINKED:
        link = await store.links.ask(ann.account.company.id, bob.account.company.id)
        await store.links.confirm(bob.account.company.id, link.id)
    if cell.relation is Relation.ORGANISATION:
        for person in (ann, bob):
            await store.companies.update(person.account.company.id, organisation="Group")
    for person, visibility in ((ann, cell.actor), (bob, cell.target)):
        account = person.account
        if cell.relation is Relation.COLLEAGUE:
            await store.accounts.set_visibility(account.company.id, account.id, visibility)
        else:
            await store.companies.update(account.company.id, visibility=visibility)
    await server.node.watch.poll()
    return await server.login("ann@acme"), await server.login(f"bob@{theirs}")


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
async def test_every_path_keeps_to_the_table(cell: Cell):
    async with TestServer([CompanyIsolation, VCardTemp]) as server:
        ann, bob = await meet(server, cell)
        services = server.node.services()
        answers = {a for a in Action if await services.may(a, ann.account, bob.account)}
        assert answers == cell.allowed
        await bob.ask("set", "<vCard xmlns='vcard-temp'><FN>Bob</FN></vCard>")
        profile = await ann.ask("get", "<vCard xmlns='vcard-temp'/>", to=bob.bare)
        assert (profile.get("type") == "result") is (Action.PROFILE in cell.allowed)
        for action, stanza in reversed(STANZAS.items()):  # the invitation last: it may be answered
            ann.send(stanza.format(bare=bob.bare, full=bob.jid))
            came = [el for el in await bob.rest() if el.get("id") == "x"]
            assert bool(came) is (action in cell.allowed), action
