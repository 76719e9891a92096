"""Two companies, seen by slixmpp: colleagues, strangers, public people, a link, and its end while all are online."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.client import SLIXMPP, Client, running
from tests.interop.scenario import become_friends, chat
from tests.process import Person, RainbowServer

Started = dict[str, tuple[Person, Client]]


pytestmark = pytest.mark.xdist_group("companies")


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """A server with company rosters."""
    settings = {"plugins": {"company_roster": {"enabled": True}}}
    server = RainbowServer(tmp_path_factory.mktemp("companies"), settings=settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def people(companies: RainbowServer, tmp_path: Path) -> AsyncIterator[Started]:
    """Ann and Bob of Acme, Carol of Globex, who has a vCard; all online."""
    async with AsyncExitStack() as stack:
        found: Started = {}
        for name, company in (("ann", "Acme"), ("bob", "Acme"), ("carol", "Globex")):
            person = companies.new_person(company)
            client = await stack.enter_async_context(running(SLIXMPP, companies.endpoint, tmp_path))
            await client.login(person, companies.endpoint)
            found[name] = person, client
        await found["carol"][1].do("set_card", name="Carol")
        yield found


async def assert_absent(ann: Client, carol: Client, person: Person) -> None:
    """What Ann hears of Carol is what she hears of nobody; Carol hears nothing."""
    for to in (person.jid, carol.jid):
        await ann.do("message", to=to, body="are you there?")
        refused = await ann.wait("refused")
        assert (refused["from"], refused["condition"]) == (to, "service-unavailable")
    nobody = person.jid.replace(person.localpart, "nobody")
    await ann.do("message", to=nobody, body="are you there?")
    assert (await ann.wait("refused"))["condition"] == "service-unavailable"
    assert not [event for event in carol.history if event.get("body") == "are you there?"]


async def card_of(client: Client, jid: str) -> str:
    await client.do("card", of=jid)
    return str((await client.wait("card", of=jid))["name"])


async def card_in_time(client: Client, jid: str) -> str:
    """The same, once the server has heard of what the command line wrote."""
    async with asyncio.timeout(10):
        while not (name := await card_of(client, jid)):
            pass
    return name


async def test_colleagues_are_there_by_themselves_and_other_companies_are_not(people: Started) -> None:
    (_, ann), (_, bob), (carol_person, carol) = people.values()
    await ann.wait("presence", from_=bob.jid, type="available")
    await chat(ann, bob)
    await assert_absent(ann, carol, carol_person)
    assert await card_of(ann, carol_person.jid) == ""
    assert not [event for event in ann.history if carol_person.localpart in event.get("jid", "")]


async def test_a_link_lets_people_reach_each_other_until_it_ends_while_they_are_online(
    companies: RainbowServer, people: Started
) -> None:
    (ann_person, ann), _, (carol_person, carol) = people.values()
    companies.cli("link", "ask", "Acme", "Globex")
    companies.cli("link", "confirm", "Globex", "Acme")
    await card_in_time(
        ann, carol_person.jid
    )  # or else their request would be an invitation, which outlives links
    await become_friends(ann, ann_person, carol, carol_person)
    await chat(ann, carol)
    companies.cli("link", "end", "Acme", "Globex")
    for client, other, person in ((ann, carol, carol_person), (carol, ann, ann_person)):
        await client.wait("presence", from_=other.jid, type="unavailable")
        await client.wait("roster", jid=person.jid, subscription="remove")
    await assert_absent(ann, carol, carol_person)
    assert await card_of(ann, carol_person.jid) == ""


async def test_who_is_public_is_found_and_not_reached(companies: RainbowServer, people: Started) -> None:
    """The last one: the company stays public."""
    (_, ann), _, (carol_person, carol) = people.values()
    companies.cli("company", "set", "Globex", "--visibility", "public")
    assert await card_in_time(ann, carol_person.jid) == "Carol"
    await assert_absent(ann, carol, carol_person)
