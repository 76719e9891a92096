"""Retractions whatever comes between the message that takes back and the one that is taken: on both databases."""

import pytest
import sqlalchemy as sa

from rainbow_xmpp.plugins.archive import Archive, retractions, tables, texts
from rainbow_xmpp.plugins.archive.retractions import Retractions
from rainbow_xmpp.store import Store
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.xml import scan_again


async def say(server: TestServer, sender: Client, to: str, id: str, *, takes_back: str = "") -> None:
    server.clock.advance(1)
    retract = f"<retract xmlns='urn:xmpp:message-retract:1' id='{takes_back}'/>" if takes_back else ""
    sender.send(f"<message to='{to}' type='chat' id='{id}'><body>{server.clock()}</body>{retract}</message>")
    await sender.rest()


async def wiped(store: Store) -> list[str]:
    """Who said what under which id, of every log: "ann:m1" while it is there, "ann:m1-" when it was wiped out."""
    m = tables.messages.c
    async with store.read() as connection:
        rows = list((await connection.execute(sa.select(m.stanza).order_by(m.key))).scalars())
    views = [scan_again(bytes(row)) for row in rows]
    return [
        f"{view.attrs['from'].partition('@')[0]}:{view.attrs['id']}{'' if view.has('body') else '-'}"
        for view in views
    ]


async def pending(store: Store) -> list[int]:
    async with store.read() as connection:
        return list((await connection.execute(sa.select(tables.retractions.c.number))).scalars())


@pytest.fixture
def ended_before(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As if the process ended between a retraction's commit and what follows from it; `undo` starts it again."""

    async def never(_: Retractions) -> None:
        return

    monkeypatch.setattr(Retractions, "go_on", never)
    return monkeypatch


async def test_what_the_end_of_the_server_came_between_is_wiped_out_by_the_next_one(
    database_url: str, ended_before: pytest.MonkeyPatch
) -> None:
    async with TestServer([Archive], database=database_url) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        for number in range(3):
            await say(server, ann, bob.bare, f"a{number}")
            await say(server, bob, ann.bare, f"b{number}")
        for number in range(2):
            await say(server, ann, bob.bare, f"r{number}", takes_back=f"a{number}")
        await say(server, bob, ann.bare, "r0", takes_back="b0")
        assert len(await pending(server.store)) == 3
        assert not [one for one in await wiped(server.store) if one.endswith("-")]
    ended_before.undo()
    ended_before.setattr(retractions, "AT_ONCE", 1)
    async with TestServer([Archive], database=database_url) as server:
        await server.settle()
        assert await pending(server.store) == []
        gone = {one for one in await wiped(server.store) if one.endswith("-")}
        assert gone == {"ann:a0-", "ann:a1-", "bob:b0-"}
        assert server.node.counters.archive_retracted == 3


async def test_a_retraction_that_an_outage_comes_between_is_done_when_it_is_over(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object) -> None:
        raise OSError("away")

    async with TestServer([Archive], database=database_url) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await say(server, ann, bob.bare, "m1")
        with monkeypatch.context() as outage:
            outage.setattr(texts, "forget", away)
            await say(server, ann, bob.bare, "r1", takes_back="m1")
        assert await wiped(server.store) == ["ann:m1"] * 2 + ["ann:r1"] * 2
        assert "Traceback" not in caplog.text
        await server.plugin(Archive).retractions.go_on()
        assert await wiped(server.store) == ["ann:m1-"] * 2 + ["ann:r1"] * 2
        assert await pending(server.store) == []


async def test_a_fault_of_ours_keeps_no_other_retraction_waiting(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tombstone = retractions.tombstone

    def fails_on_ann(stanza: bytes, by: str, stamp: str) -> bytes:
        assert not by.startswith("ann")
        return tombstone(stanza, by, stamp)

    async with TestServer([Archive], database=database_url) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        monkeypatch.setattr(retractions, "tombstone", fails_on_ann)
        for sender, to, name in ((ann, bob, "ann"), (bob, ann, "bob")):
            await say(server, sender, to.bare, f"{name}1")
            await say(server, sender, to.bare, f"{name}-back", takes_back=f"{name}1")
        assert {"ann:ann1", "bob:bob1-"} < set(await wiped(server.store))
        assert len(await pending(server.store)) == 1


async def test_a_retraction_that_is_done_twice_takes_no_older_message_of_the_same_id(
    database_url: str,
) -> None:
    async with TestServer([Archive], database=database_url) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        for id, takes_back in (("same", ""), ("same", ""), ("r1", "same")):
            await say(server, ann, bob.bare, id, takes_back=takes_back)
        once = ["ann:same"] * 2 + ["ann:same-"] * 2 + ["ann:r1"] * 2
        assert await wiped(server.store) == once
        m, r = tables.messages.c, tables.retractions.c
        async with server.store.write() as connection:  # as another node had it that was at it as well
            last = sa.select(sa.func.max(m.key) / 2, sa.func.max(m.owner))
            await connection.execute(sa.insert(tables.retractions).from_select([r.number, r.owner], last))
        await server.plugin(Archive).retractions.go_on()
        assert await pending(server.store) == []
        assert await wiped(server.store) == once
