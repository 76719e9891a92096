"""How long messages are kept: days, numbers, owners who are gone, and what was said before."""

import pytest
import sqlalchemy as sa

from rainbow_xmpp.config.levels import SHIPPED_LEVELS, ServiceLevel
from rainbow_xmpp.plugins.archive import Archive, keeping, shelves, tables
from rainbow_xmpp.store import Store
from rainbow_xmpp.testing import TestServer
from tests.plugins.test_archive_history import ask, talk

DAY_S = 86_400
ALL_TABLES = (
    tables.messages, tables.by_owner, tables.by_peer, tables.waiting, tables.retractions, tables.gone,
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PAUSE_S", 0)
    monkeypatch.setattr(shelves, "AT_ONCE", 2)
    monkeypatch.setattr(shelves, "OWNERS_AT_ONCE", 2)
    monkeypatch.setattr(shelves, "ORIGINS_AT_ONCE", 2)


async def counts(store: Store) -> dict[str, int]:
    async with store.read() as connection:
        return {
            table.name.removeprefix("archive_"): (
                await connection.execute(sa.select(sa.func.count()).select_from(table))
            ).scalar_one()
            for table in ALL_TABLES
        }


async def test_what_is_older_than_the_level_says_is_hidden_at_once_and_deleted_by_the_job():
    async with TestServer([Archive]) as server:
        other = await server.company("other")
        await server.store.companies.update(other.id, service_level="business")
        ann, bob, zoe = [await server.login(name) for name in ("ann@acme", "bob@acme", "zoe@other")]
        await talk(server, ann, bob.bare, *"12345")
        await talk(server, zoe, zoe.bare, "kept longer")
        server.clock.advance(SHIPPED_LEVELS["essential"].archive_days * DAY_S)
        await talk(server, bob, ann.bare, "6")
        for client in (ann, bob):
            assert (await ask(client)).bodies == ["6"]
        await server.plugin(Archive)._commits.settled()
        assert (await counts(server.store))["messages"] == 5 * 2 + 1 + 2
        await server.plugin(Archive).keeping.expire()
        found = await counts(server.store)
        assert (found["messages"], found["by_owner"], found["by_peer"]) == (3, 3, 3)
        assert (await ask(zoe)).bodies == ["kept longer"]


async def test_what_waits_is_not_deleted_before_it_was_handed_over_or_waited_too_long():
    options = Archive.Options(wait_days=60)
    async with TestServer({Archive: options}) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        await talk(server, ann, bob.bare, "1", "2", "3")
        server.clock.advance(40 * DAY_S)
        await server.plugin(Archive).keeping.expire()
        assert await counts(server.store) == {
            "messages": 3,
            "by_owner": 3,
            "by_peer": 3,
            "waiting": 3,
            "retractions": 0,
            "gone": 0,
        }
        back = await server.login("bob@acme")
        assert len(await back.rest()) == 3
        await back.leave()
        await talk(server, ann, bob.bare, "4")
        server.clock.advance(61 * DAY_S)
        await server.plugin(Archive).keeping.expire()
        assert set((await counts(server.store)).values()) == {0}
        assert await (await server.login("bob@acme")).rest() == []


async def test_of_too_many_the_oldest_go():
    async with TestServer([Archive]) as server:
        server.node.levels.configured = {**SHIPPED_LEVELS, "essential": ServiceLevel(archive_messages=3)}
        ann, bob, cid = [await server.login(name) for name in ("ann@acme", "bob@acme", "cid@acme")]
        await talk(server, ann, bob.bare, *"12345")
        await talk(server, cid, ann.bare, *"67")
        job = server.plugin(Archive).keeping.expire
        await job()
        for client, bodies in ((ann, "567"), (bob, "345"), (cid, "67")):
            assert (await ask(client)).bodies == list(bodies)
        await talk(server, ann, cid.bare, "8", "9")
        await job()
        assert [(await ask(client)).bodies for client in (ann, cid)] == [list("789")] * 2
        server.node.levels.configured = {**SHIPPED_LEVELS, "essential": ServiceLevel(archive_messages=1)}
        server.clock.advance(DAY_S)
        await job()
        assert (await counts(server.store))["messages"] == 3


async def test_a_removed_accounts_log_is_erased_and_the_others_keep_theirs(monkeypatch):
    async with TestServer([Archive]) as server:
        ann, bob, cid = [await server.login(name) for name in ("ann@acme", "bob@acme", "cid@acme")]
        await talk(server, ann, bob.bare, *"123")
        await cid.leave()
        await talk(server, bob, cid.bare, "waits")
        await server.plugin(Archive)._commits.settled()
        for client in (ann, cid):
            await server.node.people.remove(client.account, actor="test")
        job = server.plugin(Archive).keeping.erase
        assert (await counts(server.store))["gone"] == 2
        await job()
        assert (await counts(server.store))["messages"] == 4
        assert (await ask(bob)).bodies == ["1", "2", "3", "waits"]
        await job()
        await job()
        assert await counts(server.store) == {
            "messages": 4,
            "by_owner": 4,
            "by_peer": 4,
            "waiting": 0,
            "retractions": 0,
            "gone": 0,
        }
