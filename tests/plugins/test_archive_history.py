"""Reading one's history (XEP-0313, XEP-0059): pages, filters, ids, and whose it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.archive import Archive, history, tables
from rainbow_xmpp.plugins.archive.numbers import peer_of
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.testing import Client, TestServer, condition_of
from rainbow_xmpp.xml import Element, escape

MAM = "{urn:xmpp:mam:2}"
RSM = "{http://jabber.org/protocol/rsm}"
DATA = "{jabber:x:data}"
BODY = "{jabber:client}body"
DELAY = "{urn:xmpp:delay}delay"
MESSAGE = "{jabber:client}message"


class Page:
    """What one query was answered."""

    def __init__(self, iq: Element, results: list[Element]) -> None:
        self.iq = iq
        self.results = results
        fin = iq.find(f"{MAM}fin")
        assert fin is not None, (condition_of(iq), iq.attrib)
        self.is_complete = fin.get("complete") == "true"
        self.set = fin.find(f"{RSM}set")
        assert self.set is not None
        self.count = self.set.findtext(f"{RSM}count")
        self.ids = [found.get("id", "") for found in results]

    @property
    def bodies(self) -> list[str]:
        return [found.findtext(f".//{BODY}", "") for found in self.results]

    @property
    def stamps(self) -> list[str]:
        return [found.find(f".//{DELAY}").get("stamp", "") for found in self.results]


def query(*fields: tuple[str, str], rsm: str = "", more: str = "", attrs: str = "") -> str:
    form = ""
    if fields:
        inside = "".join(
            f"<field var='{var}'><value>{escape(value)}</value></field>" for var, value in fields
        )
        form = (
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
            f"<value>urn:xmpp:mam:2</value></field>{inside}</x>"
        )
    page = f"<set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set>" if rsm else ""
    return f"<query xmlns='urn:xmpp:mam:2'{attrs}>{form}{page}{more}</query>"


async def ask(
    client: Client, *fields: tuple[str, str], rsm: str = "", more: str = "", attrs: str = ""
) -> Page:
    """The answer, and the results in front of it; everything else that was to be read is thrown away."""
    await client.rest()
    iq = await client.ask("set", query(*fields, rsm=rsm, more=more, attrs=attrs))
    results = [found for stanza in await client.rest() if (found := stanza.find(f"{MAM}result")) is not None]
    return Page(iq, results)


async def refused(client: Client, *fields: tuple[str, str], **more: str) -> Condition | None:
    return condition_of(await client.ask("set", query(*fields, **more)))


async def talk(server: TestServer, sender: Client, to: str, *texts: str, more: str = "") -> None:
    """Say these, a second between each two."""
    for text in texts:
        server.clock.advance(1)
        sender.send(f"<message to='{to}' type='chat'><body>{text}</body>{more}</message>")
        await sender.rest()


@asynccontextmanager
async def people() -> AsyncIterator[tuple[TestServer, Client, Client, Client]]:
    async with TestServer([Archive, Disco]) as server:
        names = ("ann@acme", "bob@acme", "cid@acme")
        ann, bob, cid = [await server.login(name, resource="phone") for name in names]
        yield server, ann, bob, cid


@pytest.fixture(params=["in the index", "behind the index", "half"])
def indexing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return str(request.param)


async def move_index(server: TestServer, where: str) -> None:
    """As though the index had been written up to there (SQLite)."""
    await server.plugin(Archive)._commits.settled()
    if server.store.dialect != "sqlite" or where == "in the index":
        return
    m = tables.messages.c
    async with server.store.write() as connection:
        keys = list((await connection.execute(sa.select(m.key).order_by(m.key))).scalars())
        last = 0 if where == "behind the index" else keys[len(keys) // 2]
        for index in (tables.by_owner, tables.by_peer):
            await connection.execute(sa.delete(index).where(index.c.key > last))
        await connection.execute(sa.update(tables.indexed).values(key=last))


async def test_pages_follow_each_other_without_a_gap_in_both_directions(indexing):
    async with people() as (server, ann, bob, cid):
        await talk(server, ann, bob.bare, "1", "2", "3")
        await talk(server, bob, ann.bare, "4", "5")
        await talk(server, ann, cid.bare, "6")
        await talk(server, bob, ann.jid, "7", "8")
        await move_index(server, indexing)

        whole = await ask(ann)
        assert whole.bodies == list("12345678")
        assert (whole.is_complete, whole.count) == (True, "8")
        assert whole.set.find(f"{RSM}first").get("index") == "0"
        assert whole.set.findtext(f"{RSM}first") == whole.ids[0]
        assert whole.set.findtext(f"{RSM}last") == whole.ids[-1]
        with_bob = await ask(ann, ("with", bob.bare))
        assert with_bob.bodies == list("1234578")

        pages, after = [], ""
        for _ in range(10):
            page = await ask(ann, ("with", bob.bare), rsm=f"<max>3</max>{after}")
            pages.append(page.bodies)
            if page.is_complete:
                break
            after = f"<after>{page.ids[-1]}</after>"
        assert pages == [list("123"), list("457"), list("8")]

        pages, before = [], "<before/>"
        for _ in range(10):
            page = await ask(ann, rsm=f"<max>3</max>{before}")
            pages.append(page.bodies)
            if page.is_complete:
                break
            before = f"<before>{page.ids[0]}</before>"
        assert pages == [list("678"), list("345"), list("12")]

        end = await ask(ann, rsm=f"<after>{whole.ids[-1]}</after>")
        assert (end.bodies, end.is_complete, len(end.set)) == ([], True, 0)
        flipped = await ask(ann, rsm="<max>3</max><before/>", more="<flip-page/>")
        assert flipped.bodies == list("876")
        assert flipped.set.findtext(f"{RSM}first") == whole.ids[5]
        for fields, count in (((), "8"), ((("with", bob.bare),), "7"), ((("with", "x@y"),), "0")):
            counted = await ask(ann, *fields, rsm="<max>0</max>")
            assert (counted.bodies, counted.count) == ([], count)

        metadata = await ann.ask("get", "<metadata xmlns='urn:xmpp:mam:2'/>")
        ends = {end.tag.removeprefix(MAM): end for end in metadata[0]}
        assert {name: end.get("id") for name, end in ends.items()} == {
            "start": whole.ids[0],
            "end": whole.ids[-1],
        }
        assert [ends[name].get("timestamp") for name in ("start", "end")] == [
            whole.stamps[0],
            whole.stamps[-1],
        ]


async def test_filters_narrow_what_is_found():
    async with people() as (server, ann, bob, cid):
        tablet = await server.login("bob@acme", resource="tablet")
        await talk(server, ann, bob.jid, "1")
        await talk(server, ann, tablet.jid, "2")
        await talk(server, bob, ann.bare, "3")
        await talk(server, ann, ann.bare, "self")
        await talk(server, cid, ann.bare, "5")
        whole = await ask(ann)
        first, second, third, fourth, fifth = whole.ids
        assert whole.bodies == ["1", "2", "3", "self", "5"]
        assert whole.stamps == sorted(whole.stamps)

        expected: list[tuple[list[tuple[str, str]], list[str]]] = [
            ([("with", bob.jid)], ["1", "3"]),
            ([("with", tablet.jid)], ["2"]),
            ([("with", "BOB@Rainbow.Test/tablet")], ["2"]),
            ([("with", ann.bare)], ["self"]),
            ([("with", ann.jid)], ["1", "2", "self"]),
            ([("with", "nobody@rainbow.test")], []),
            ([("start", whole.stamps[1]), ("end", whole.stamps[3])], ["2", "3", "self"]),
            ([("start", "2000-01-01T00:00:00Z"), ("end", "2000-01-02T00:00:00+02:00")], []),
            ([("start", "2999-01-01T00:00:00Z")], []),
            ([("after-id", first), ("before-id", fourth)], ["2", "3"]),
            ([("after-id", fourth), ("before-id", first)], []),
            ([("after-id", second), ("with", cid.bare)], ["5"]),
            ([("ids", fifth)], ["5"]),
            ([("ids", third), ("with", cid.bare)], []),
        ]
        for fields, bodies in expected:
            assert (fields, (await ask(ann, *fields)).bodies) == (fields, bodies)
        several = f"<value>{fifth}</value><value>{first}</value>"
        form = query(("ids", "X")).replace("<value>X</value>", several)
        await ann.rest()
        page = Page(await ann.ask("set", form), [s.find(f"{MAM}result") for s in await ann.rest()])
        assert (page.bodies, page.is_complete) == (["1", "5"], True)
        assert (await ask(ann, ("with", bob.jid), rsm="<max>1</max><before/>")).bodies == ["3"]
        assert (await ask(ann, ("with", bob.jid), rsm="<max>0</max>")).count is None


async def test_a_page_is_told_as_it_was_said_with_its_id_and_its_time():
    async with people() as (server, ann, bob, _):
        await talk(server, ann, bob.bare, "hello", more="<x xmlns='urn:example'/>")
        (delivered,) = [stanza for stanza in await bob.rest() if stanza.tag == MESSAGE]
        await bob.rest()
        iq = await bob.ask("set", query(attrs=" queryid='q&apos;1'"), to=bob.bare)
        (told,) = await bob.rest()
        assert (iq.get("from"), told.get("from"), told.get("to")) == (bob.bare, bob.bare, bob.jid)
        result = told.find(f"{MAM}result")
        assert (result.get("queryid"), len(result)) == ("q'1", 1)
        (forwarded,) = result
        assert forwarded.tag == "{urn:xmpp:forward:0}forwarded"
        delay, message = forwarded
        assert (delay.tag, message.tag) == (DELAY, MESSAGE)
        assert (message.get("from"), message.get("to")) == (ann.jid, bob.bare)
        assert [child.tag for child in message] == [BODY, "{urn:example}x"]
        stanza_id = delivered.find("{urn:xmpp:sid:0}stanza-id")
        assert stanza_id is not None
        assert (stanza_id.get("id"), stanza_id.get("by")) == (result.get("id"), bob.bare)
        assert (await ask(ann)).ids == [result.get("id")]


async def test_what_is_not_there_or_not_understood_is_refused():
    async with people() as (server, ann, bob, cid):
        await talk(server, ann, bob.bare, "1")
        await talk(server, bob, cid.bare, "not ann's")
        (theirs,) = (await ask(cid)).ids
        gone, missing, bad = (
            Condition.ITEM_NOT_FOUND,
            Condition.FEATURE_NOT_IMPLEMENTED,
            Condition.BAD_REQUEST,
        )
        for strange in (theirs, "17", "0", "01", "x", "-1", "\u0663", "9" * 19, "9" * 30):
            for fields, rsm in (
                ([("ids", strange)], ""),
                ([("before-id", strange)], ""),
                ([("after-id", strange)], ""),
                ([], f"<after>{strange}</after>"),
                ([], f"<max>0</max><before>{strange}</before>"),
            ):
                assert (strange, await refused(ann, *fields, rsm=rsm)) == (strange, gone)
        assert await refused(ann, ("{urn:example}mood", "x")) is missing
        assert await refused(ann, ("include-groupchat", "true")) is missing
        assert await refused(ann, rsm="<index>3</index>") is missing
        assert await refused(ann, rsm="<max>-1</max>") is bad
        assert await refused(ann, rsm="<max>many</max>") is bad
        assert await refused(ann, rsm="<after/>") is bad
        assert await refused(ann, attrs=" node='x'") is bad
        assert await refused(ann, attrs=f" queryid='{'q' * 257}'") is bad
        assert await refused(ann, ("start", "yesterday")) is Condition.NOT_ACCEPTABLE
        assert await refused(ann, ("with", "a@@b")) is Condition.NOT_ACCEPTABLE
        assert await ann.rest() == []

        form = await ann.ask("get", "<query xmlns='urn:xmpp:mam:2'/>")
        fields = {field.get("var"): field.get("type") for field in form.iter(f"{DATA}field")}
        assert fields == {
            "FORM_TYPE": "hidden",
            "with": "jid-single",
            "start": "text-single",
            "end": "text-single",
            "before-id": "text-single",
            "after-id": "text-single",
            "ids": "list-multi",
            "{urn:xmpp:fulltext:0}fulltext": "text-single",
        }
        info = await ann.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=ann.bare)
        features = {feature.get("var") for feature in info[0]}
        assert {"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended"} <= features


async def test_somebody_elses_archive_looks_like_one_that_does_not_exist():
    async with people() as (server, ann, bob, _):
        await talk(server, ann, bob.bare, "1")
        stranger = await server.person("zoe@other")
        asked = [("set", query()), ("get", query()), ("get", "<metadata xmlns='urn:xmpp:mam:2'/>")]
        for type_, payload in asked:
            answers = [
                await ann.ask(type_, payload, to=to)
                for to in (bob.bare, stranger.bare, "nobody@rainbow.test", server.domain)
            ]
            seen = {(condition_of(answer), len(answer), len(answer[-1])) for answer in answers}
            assert seen == {(Condition.SERVICE_UNAVAILABLE, 1, 1)}
        assert [stanza for stanza in await ann.rest() if stanza.find(f"{MAM}result") is not None] == []
        await ann.rest()
        empty = await server.login("new@acme")
        metadata = await empty.ask("get", "<metadata xmlns='urn:xmpp:mam:2'/>")
        assert (metadata[0].tag, len(metadata[0])) == (f"{MAM}metadata", 0)
        page = await ask(empty)
        assert (page.bodies, page.is_complete) == ([], True)


async def test_two_addresses_that_share_a_number_are_told_apart(monkeypatch):
    monkeypatch.setattr("rainbow_xmpp.plugins.archive.owners.peer_of", lambda bare: 7)
    monkeypatch.setattr(history, "peer_of", lambda bare: 7)
    async with people() as (server, ann, bob, cid):
        await talk(server, ann, bob.bare, *map(str, range(60)))
        await talk(server, ann, cid.bare, "x")
        assert peer_of(bob.bare) != 7
        assert (await ask(ann, ("with", cid.bare))).bodies == ["x"]
        assert len((await ask(ann, ("with", bob.bare), rsm="<max>250</max>")).bodies) == 60


async def test_pages_are_bounded_in_number_and_in_size(monkeypatch):
    options = Archive.Options(page=2, largest_page=4)
    async with TestServer({Archive: options}) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await talk(server, ann, bob.bare, *("x" * 1000 for _ in range(6)))
        assert [len((await ask(ann, rsm=f"<max>{most}</max>")).ids) for most in (3, 5, 999_999_999)] == [
            3,
            4,
            4,
        ]
        assert len((await ask(ann)).ids) == 2
        monkeypatch.setattr(history, "MOST_BYTES", 1500)
        small = await ask(ann, rsm="<max>4</max><before/>")
        assert (len(small.ids), small.is_complete) == (2, False)
        assert small.ids[-1] == (await ask(ann, rsm="<max>1</max><before/>")).ids[0]


async def test_whoever_reads_slowly_gets_the_page_slowly(monkeypatch):
    monkeypatch.setattr("rainbow_xmpp.plugins.archive.answers._SLICE_BYTES", 1500)
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await talk(server, ann, bob.bare, *("x" * 1000 for _ in range(6)))
        await ann.rest()
        plain = ann.wire.send

        def send(data: bytes) -> None:
            plain(data)
            ann.wire.is_choked = True

        monkeypatch.setattr(ann.wire, "send", send)
        ann.wire.is_choked = True
        ann.send(f"<iq type='set' id='1'>{query()}</iq>")
        seen = []
        for _ in range(4):
            await asyncio.sleep(0.05)
            seen.append(len(ann.wire.unread))
            ann.wire.is_choked = False
        assert seen == [0, 2, 4, 7]  # six messages, and the end
