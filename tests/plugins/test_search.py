"""Finding people: whoever may be found is, whoever may not is not there, and nothing else is told."""

import itertools
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest

from rainbow_xmpp.company import Action
from rainbow_xmpp.plugin import Visibility
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.search import Search
from rainbow_xmpp.plugins.search.payloads import Row
from rainbow_xmpp.testing import Client, Person, TestServer
from tests.plugins.rest import Caller, logged_in
from tests.security.isolation_table import Cell, cells
from tests.security.test_isolation_table import meet

S = "{jabber:iq:search}"
FORM = "{jabber:x:data}x"
NO_LIMIT = Search.Options(searches_per_minute=0)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    plugins = {p: p.Options() for p in (CompanyIsolation, Blocking, Disco, RestApi)}
    async with TestServer({**plugins, Search: NO_LIMIT}) as server:
        yield server


async def named(server: TestServer, who: str, name: str, **given: Visibility) -> Person:
    person = await server.person(who, **given)
    account = person.account
    await server.store.accounts.set_name(account.company.id, account.id, name)
    await server.node.watch.poll()
    return person


async def asked(client: Client, query: str) -> Element:
    return await client.ask("set", query, to="rainbow.test")


async def found(client: Client, **fields: str) -> list[str]:
    """The addresses found with the fields of old."""
    children = "".join(f"<{field}>{value}</{field}>" for field, value in fields.items())
    answer = await asked(client, f"<query xmlns='jabber:iq:search'>{children}</query>")
    return [item.get("jid", "") for item in answer.iter(f"{S}item")]


def form(**fields: str) -> str:
    values = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    return f"<query xmlns='jabber:iq:search'><x xmlns='jabber:x:data' type='submit'>{values}</x></query>"


async def pages(caller: Caller, query: str) -> AsyncIterator[list[str]]:
    after = ""
    while True:
        page = await caller.get(f"/search?{query}" + (f"&after={after}" if after else ""))
        yield [item["name"] for item in page["items"]]
        after = page.get("next")
        if not after:
            return


def condition(answer: Element) -> str:
    error = answer.find("{jabber:client}error")
    assert error is not None
    return next(el.tag.rpartition("}")[2] for el in error if "stanzas" in el.tag)


# -- who is found ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", list(cells()), ids=[cell.name for cell in cells()])
async def test_every_cell_of_the_table(cell: Cell) -> None:
    """SQL narrows by itself to what the rule says, too: without the gate the same people come."""
    async with TestServer({CompanyIsolation: CompanyIsolation.Options(), Search: NO_LIMIT}) as server:
        ann, bob = await meet(server, cell)
        account = bob.account
        await server.store.accounts.set_name(account.company.id, account.id, "Bob Baker")
        may = Action.SEARCH in cell.allowed
        assert await found(ann, nick="bake") == [bob.bare] * may
        assert await found(ann, email=f"bob@{account.company.name}.example") == [bob.bare] * may
        search = server.plugin(Search)
        hits = await search._directory.find(ann.account, search._wanted("baker", "", ""), after=None, most=9)
        assert len(hits) == may


async def test_sql_is_never_the_gate(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    bob = await named(server, "bob@acme", "Bob Baker")
    await server.login("bob@acme")
    assert await found(ann, nick="bob") == [bob.bare]
    server.plugin(CompanyIsolation)._known.agreed = None  # whoever cannot say means no
    assert await found(ann, nick="bob") == []


async def test_who_is_disabled_or_removed_is_not_found(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    bob = await named(server, "bob@acme", "Bob Baker")
    await server.node.people.disable(bob.account, actor="system")
    assert await found(ann, nick="bob") == []
    await server.node.people.enable(bob.account, actor="system")
    assert await found(ann, nick="bob") == [bob.bare]
    await server.node.people.remove(bob.account, actor="system")
    assert await found(ann, nick="bob") == []


async def test_an_authorisation_that_is_over_or_unanswered_finds_nobody(server: TestServer) -> None:
    ann, bob = await server.login("ann@acme"), await named(server, "bob@globex", "Bob Baker")
    one, other = ann.account, bob.account
    later = int(server.clock()) + 60
    await server.store.authorisations.invite(one, other, (ann.bare, bob.bare), expires_at=later)
    await server.node.watch.poll()
    assert await found(ann, nick="bob") == []
    await server.store.authorisations.accept(other, one)
    await server.node.watch.poll()
    assert await found(ann, nick="bob") == [bob.bare]
    server.clock.advance(61)
    assert await found(ann, nick="bob") == []


async def test_a_link_that_is_not_confirmed_finds_nobody(server: TestServer) -> None:
    ann, bob = await server.login("ann@acme"), await named(server, "bob@globex", "Bob Baker")
    await server.store.links.ask(ann.account.company.id, bob.account.company.id)
    await server.node.watch.poll()
    assert await found(ann, nick="bob") == []


# -- by what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("zoe", True),
        ("ZOË", True),
        ("mei", True),
        ("meier zo", True),
        ("maria", True),
        ("Zoë-Maria", True),
        ("oe", False),
        ("eier", False),
        ("zoe smith", False),
        ("z%", False),
        ("zo_", False),
        ("%%", False),
        ("**", False),
        ("' OR 1=1 --", False),
        ("\\u007a", False),
    ],
)
async def test_words_of_a_name_are_found_by_their_beginnings(
    server: TestServer, text: str, is_found: bool
) -> None:
    ann = await server.login("ann@acme")
    zoe = await named(server, "zoe@acme", "Zoë-Maria Meier")
    assert await found(ann, nick=text) == [zoe.bare] * is_found


async def test_first_and_last_are_words_of_the_name_too(server: TestServer) -> None:
    ann, zoe = await server.login("ann@acme"), await named(server, "zoe@acme", "Zoë Meier")
    assert await found(ann, first="zoe", last="mei") == [zoe.bare]
    assert await found(ann, first="zoe", last="smith") == []
    answer = await asked(ann, "<query xmlns='jabber:iq:search'><last>Meier</last></query>")
    item = answer.find(f".//{S}item")
    assert item is not None
    assert [(el.tag.removeprefix(S), el.text) for el in item] == [
        ("first", "Zoë"),
        ("last", "Meier"),
        ("nick", "Zoë Meier"),
        ("email", None),
    ]


async def test_an_address_is_found_as_a_whole_only_and_told_to_nobody_else(server: TestServer) -> None:
    ann, bob = await server.login("ann@acme"), await named(server, "bob@acme", "Bob Baker")
    assert await found(ann, email="BOB@acme.example") == [bob.bare]
    for part in ("bob@acme", "ob@acme.example", "%@acme.example", "bob@acme.exampl_"):
        assert await found(ann, email=part) == []
    answer = await asked(ann, form(nick="bob"))
    assert "acme.example" not in "".join(answer.itertext())


async def test_a_company_is_found_by_its_name_when_somebody_of_it_may_be_seen(server: TestServer) -> None:
    await server.company("Blue-Moon", Visibility.PUBLIC)
    await server.company("Blue-Sky", Visibility.PRIVATE)
    pia, _ = await named(server, "pia@Blue-Moon", "Pia"), await named(server, "rob@Blue-Sky", "Rob")
    ann = await logged_in(server, "ann@acme")
    for text in ("blue", "MOON", "blue mo", "blue-moon"):
        (item,) = (await ann.get(f"/search?company={text.replace(' ', '%20')}"))["items"]
        assert (item["address"], item["company"]) == (pia.bare, "Blue-Moon")
    assert await ann.get("/search?company=sky") == {"items": [], "next": None}
    assert await ann.get("/search?company=nothing") == {"items": [], "next": None}


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "",
        "name=",
        "name=%20",
        "name=a",
        "name=a%20b%20c",
        "company=x",
        "email=nobody",
        "email=@",
        "name=%00ab",
        "name=" + "ab%20" * 9 + "abc%20de%20fg%20hi%20jk%20lm%20no%20pq%20rs",
        "name=" + "a" * 201,
        "name=ann&name=bob",
        "name=ann&limit=0",
        "name=ann&limit=201",
        "name=ann&after=x",
        "name=ann&after=" + "A" * 1000,
        "name=ann&after=WyJhIl0",
        "name=ann&after=WzEsMl0",
        "name=ann&sort=id",
    ],
)
async def test_what_is_no_question_is_refused(server: TestServer, query: str) -> None:
    ann = await logged_in(server, "ann@acme")
    assert (await ann.call("GET", f"/search?{query}")).status == 400


@pytest.mark.parametrize("fields", [{}, {"nick": "a"}, {"email": "nobody"}, {"nick": "a" * 201}])
async def test_what_is_no_question_is_refused_in_xmpp_as_well(
    server: TestServer, fields: dict[str, str]
) -> None:
    ann = await server.login("ann@acme")
    for stanza in (
        form(**fields),
        "<query xmlns='jabber:iq:search'>"
        + "".join(f"<{k}>{v}</{k}>" for k, v in fields.items())
        + "</query>",
    ):
        answer = await asked(ann, stanza)
        assert condition(answer) == "not-acceptable"


async def test_nobody_searches_without_end_and_both_ways_count() -> None:
    plugins = {RestApi: RestApi.Options(), Search: Search.Options(searches_per_minute=3)}
    async with TestServer(plugins) as server:
        ann, api = await server.login("ann@acme"), await logged_in(server, "bob@acme")
        for _ in range(3):
            assert await found(ann, nick="nobody") == []
        answer = await asked(ann, form(nick="nobody"))
        assert condition(answer) == "resource-constraint"
        statuses = [(await api.call("GET", "/search?name=nobody")).status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        server.clock.advance(20)
        assert (await api.call("GET", "/search?name=nobody")).status == 200
        server.reconfigure({Search: NO_LIMIT})
        assert [(await api.call("GET", "/search?name=no")).status for _ in range(9)] == [200] * 9


async def test_who_is_hidden_is_answered_like_nobody(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    await named(server, "carol@globex", "Carol Stone")
    await server.login("carol@globex")
    for hidden, nobody in ((form(nick="carol"), form(nick="nobod")), *_EMAILS):
        answers = [await asked(ann, stanza) for stanza in (hidden, nobody)]
        first, second = ([(el.tag, el.text, dict(el.attrib)) for el in a.iter()][1:] for a in answers)
        assert first == second


_EMAILS = [(form(email="carol@globex.example"), form(email="nobod@globex.example"))]


# -- pages -------------------------------------------------------------------------------------------------


async def test_pages_hold_everybody_once_while_people_come_and_go(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    people = [await named(server, f"p{n}@acme", f"Person {n:02}") for n in range(11)]
    reading = pages(ann, "name=person&limit=3")
    seen = await anext(reading)
    await server.node.people.remove(people[2].account, actor="system")  # where the next page begins
    await named(server, "p0a@acme", "Person 00a")  # behind us
    await named(server, "p9a@acme", "Person 09a")  # before us
    async for page in reading:
        seen += page
    assert seen == [f"Person {n:02}" for n in range(10)] + ["Person 09a", "Person 10"]


async def test_people_of_one_name_are_paged_too(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    for n in range(5):
        await named(server, f"p{n}@acme", "Sam Same")
    sizes = [len(page) async for page in pages(ann, "name=same&limit=2")]
    assert sizes == [2, 2, 1]


async def test_those_who_block_the_searcher_leave_no_gap_and_no_trace_in_pages(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    for n in range(6):
        await named(server, f"p{n}@acme", f"Person {n}")
        if n % 2:
            client = await server.login(f"p{n}@acme")
            block = "<block xmlns='urn:xmpp:blocking'><item jid='ann@rainbow.test'/></block>"
            assert (await client.ask("set", block)).get("type") == "result"
    read = [page async for page in pages(ann, "name=person&limit=2")]
    assert list(itertools.chain(*read)) == ["Person 0", "Person 2", "Person 4"]


# -- XEP-0055 ----------------------------------------------------------------------------------------------


async def test_it_is_announced_and_says_what_can_be_asked(server: TestServer) -> None:
    ann = await server.login("ann@acme")
    info = await ann.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=server.domain)
    assert "jabber:iq:search" in [el.get("var") for el in info.iter()]
    answer = await ann.ask("get", "<query xmlns='jabber:iq:search'/>", to=server.domain)
    query = answer.find(f"{S}query")
    assert query is not None
    assert [el.tag for el in query] == [
        *(f"{S}{n}" for n in ("instructions", "first", "last", "nick", "email")),
        FORM,
    ]
    fields = [el.get("var") for el in query.iter("{jabber:x:data}field")]
    assert fields == ["FORM_TYPE", "nick", "first", "last", "email", "x-company"]


async def test_a_form_is_answered_by_a_table(server: TestServer) -> None:
    ann, bob = await server.login("ann@acme"), await named(server, "bob@acme", "Bob Baker")
    answer = await asked(ann, form(nick="bob", **{"x-company": "ac"}))
    table = answer.find(f"{S}query/{FORM}")
    assert table is not None
    assert table.findtext("{jabber:x:data}field/{jabber:x:data}value") == "jabber:iq:search"
    (row,) = Row.rows(table)
    assert (str(row.jid), row.nick, row.company) == (bob.bare, "Bob Baker", "acme")


async def test_an_answer_has_no_more_people_than_allowed(server: TestServer) -> None:
    server.reconfigure({Search: Search.Options(max_results=2)})
    ann = await server.login("ann@acme")
    people = [await named(server, f"p{n}@acme", f"Person {n}") for n in range(4)]
    assert await found(ann, nick="person") == [person.bare for person in people[:2]]


async def test_only_those_who_are_served_search() -> None:
    plugins = {
        RestApi: RestApi.Options(),
        CompanyIsolation: CompanyIsolation.Options(),
        Search: Search.Options(companies=("acme",)),
    }
    async with TestServer(plugins) as server:
        carol, api = await server.login("carol@globex"), await logged_in(server, "carla@globex")
        answer = await asked(carol, form(nick="carol"))
        assert condition(answer) == "service-unavailable"
        assert (await api.call("GET", "/search?name=carol")).status == 403
