import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from rainbow_xmpp.plugin import Condition, Role
from rainbow_xmpp.plugins.adhoc import AdHoc
from rainbow_xmpp.plugins.announcements import Announcements
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.testing import Client, TestServer, condition_of
from rainbow_xmpp.testing.commands import execute, listed, run
from rainbow_xmpp.xml import Element, names

A = "http://jabber.org/protocol/admin#"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([AdHoc, Disco, Offline, Announcements]) as made:
        yield made


@pytest.fixture
async def operator(server: TestServer) -> Client:
    return await server.login("opal@Hosting", role=Role.OPERATOR)


@pytest.fixture
async def admin(server: TestServer) -> Client:
    return await server.login("ada@acme", role=Role.COMPANY_ADMIN)


def told(stanzas: list[Element]) -> list[tuple[str | None, str | None, str | None]]:
    """Sender, subject and body of the messages among these."""
    C = f"{{{names.CLIENT}}}"
    return [
        (each.get("from"), each.findtext(f"{C}subject"), each.findtext(f"{C}body"))
        for each in stanzas
        if each.tag == f"{C}message"
    ]


async def heard(client: Client) -> list[str | None]:
    return [body for _, _, body in told(await client.rest())]


def write(client: Client, path: str, body: str = "", subject: str = "") -> None:
    domain = client.bare.partition("@")[2]
    inner = f"<subject>{subject}</subject>" * bool(subject) + f"<body>{body}</body>" * bool(body)
    client.send(f"<message to='{domain}/{path}'>{inner}</message>")


async def kinds(server: TestServer) -> list[str]:
    return [record.entry.kind for record in await server.audit()]


# By command


async def test_only_administrators_are_offered_announcements(server, operator, admin):
    nodes = {
        "announce",
        "announce-all",
        "set-motd",
        "edit-motd",
        "delete-motd",
        "set-welcome",
        "delete-welcome",
    }
    assert {node for node, _ in await listed(operator)} == {A + node for node in nodes}
    assert await listed(admin) == await listed(operator)
    assert await listed(await server.login("bob@acme")) == []


async def test_an_operator_speaks_to_everybody_online(server, operator):
    bob, carol = await server.login("bob@acme"), await server.login("carol@globex")
    await server.person("dan@acme")
    shown = await run(operator, f"{A}announce", announcement=["Down at noon.", "Back at one."])
    assert shown.notes == [("info", "It is being sent.")]
    for client in (operator, bob, carol):
        assert told(await client.rest()) == [(server.domain, None, "Down at noon.\nBack at one.")]
    assert await heard(await server.login("dan@acme")) == []
    assert await kinds(server) == ["announcements.sent"]


async def test_an_administrator_speaks_to_the_own_company(server, admin):
    bob, carol = await server.login("bob@acme"), await server.login("carol@globex")
    await run(admin, f"{A}announce", announcement="Cake!", **{"x-reason": "a birthday"})
    assert (await heard(bob), await heard(carol)) == (["Cake!"], [])
    (record,) = await server.audit("announcements.sent")
    assert record.entry.reason == "a birthday"


async def test_an_announcement_to_all_waits_for_those_who_are_not_online(server, admin):
    bob = await server.login("bob@acme")
    await server.person("dan@acme")
    await server.person("carol@globex")
    await run(admin, f"{A}announce-all", announcement="Cake!")
    assert await heard(bob) == ["Cake!"]
    assert await heard(await server.login("dan@acme")) == ["Cake!"]
    assert await heard(await server.login("carol@globex")) == []


async def test_a_disabled_person_is_kept_no_announcement(server, admin):
    dan = await server.person("dan@acme")
    await server.node.people.disable(dan.account, actor="cli:root")
    await run(admin, f"{A}announce-all", announcement="Cake!")
    await server.settle()
    await server.node.people.enable(dan.account, actor="cli:root")
    assert await heard(await server.login("dan@acme")) == []


# The message of the day


async def test_a_message_of_the_day_is_seen_once_by_everybody(server, admin):
    bob = await server.login("bob@acme")
    await server.person("dan@acme")
    await run(admin, f"{A}set-motd", motd="Monday")
    assert (await heard(admin), await heard(bob)) == (["Monday"], ["Monday"])
    await bob.leave()
    assert await heard(await server.login("bob@acme")) == []
    dan = await server.login("dan@acme")
    assert told(await dan.rest()) == [(server.domain, None, "Monday")]
    assert await heard(await server.login("dan@acme")) == []
    assert await heard(await server.login("carol@globex")) == []


async def test_a_new_one_is_shown_to_all_and_an_edited_one_to_who_has_not_seen_the_old(server, admin):
    bob = await server.login("bob@acme")
    await run(admin, f"{A}set-motd", motd="Monday")
    assert await heard(bob) == ["Monday"]
    shown = await execute(admin, f"{A}edit-motd")
    assert shown.fields["motd"] == ["Monday"]
    await run(admin, f"{A}edit-motd", motd="Monday, really")
    await bob.leave()
    bob = await server.login("bob@acme")
    assert await heard(bob) == []
    assert await heard(await server.login("dan@acme")) == ["Monday, really"]
    await run(admin, f"{A}set-motd", motd="Tuesday")
    assert await heard(bob) == ["Tuesday"]


async def test_a_deleted_one_is_not_shown(server, admin):
    await run(admin, f"{A}set-motd", motd="Monday")
    assert (await execute(admin, f"{A}delete-motd")).notes == [("info", "It is deleted.")]
    assert (await execute(admin, f"{A}delete-motd")).notes == [("info", "There was none.")]
    assert await heard(await server.login("dan@acme")) == []
    assert await kinds(server) == ["announcements.put", "announcements.taken_down"]


async def test_people_see_their_companys_and_the_operators(server, operator, admin):
    await run(operator, f"{A}set-motd", motd="from the operator")
    await run(admin, f"{A}set-motd", motd="from the company")
    assert await heard(await server.login("dan@acme")) == ["from the operator", "from the company"]
    assert await heard(await server.login("carol@globex")) == ["from the operator"]


async def test_it_outlives_a_restart_and_comes_from_other_nodes(server, operator):
    await run(operator, f"{A}set-motd", motd="Monday")
    plugin = server.plugin(Announcements)
    plugin._board._notices.clear()
    assert await heard(await server.login("bob@acme")) == []
    await server.run_job(Announcements.renew)
    assert await heard(await server.login("bob@acme")) == ["Monday"]


# The welcome message


async def test_new_people_are_welcomed_at_their_first_login(server, admin):
    await server.person("old@acme")
    server.clock.advance(10)
    await run(admin, f"{A}set-welcome", welcome="Welcome!")
    server.clock.advance(10)
    assert await heard(await server.login("new@acme")) == ["Welcome!"]
    assert await heard(await server.login("new@acme")) == []
    assert await heard(await server.login("old@acme")) == []
    await run(admin, f"{A}set-welcome", welcome="Hello!")
    assert await heard(await server.login("newer@acme")) == ["Hello!"]
    await execute(admin, f"{A}delete-welcome")
    assert await heard(await server.login("newest@acme")) == []


# By message


async def test_administrators_write_to_resources_of_the_server(server, operator):
    bob = await server.login("bob@acme")
    await server.person("dan@acme")
    write(operator, "announce/online", "now", "News")
    assert told(await bob.rest()) == [(server.domain, "News", "now")]
    write(operator, "announce/all", "all")
    assert await heard(bob) == ["all"]
    write(operator, "announce/motd", "motd")
    assert await heard(bob) == ["motd"]
    write(operator, "announce/motd/update", "edited")
    assert await heard(bob) == []
    assert await heard(await server.login("dan@acme")) == ["all", "edited"]
    write(operator, "announce/motd/delete")
    await server.settle()
    assert await heard(await server.login("carol@globex")) == []


async def test_for_others_there_are_no_such_addresses(server, operator):
    bob = await server.login("bob@acme")
    for path in ("announce/online", "announce/all", "announce/motd", "announce/nothing", "nothing"):
        write(bob, path, "hello")
        assert condition_of(await bob.receive()) is Condition.SERVICE_UNAVAILABLE
    write(operator, "announce/nothing", "hello")
    assert condition_of(await operator.receive()) is Condition.SERVICE_UNAVAILABLE
    assert await kinds(server) == []


async def test_an_announcement_without_words_is_refused(server, operator):
    write(operator, "announce/online")
    assert condition_of(await operator.receive()) is Condition.BAD_REQUEST


# Many people


async def test_too_many_announcements_at_once_are_refused(server, operator):
    most = server.plugin(Announcements).options.at_once
    server.plugin(Announcements)._under_way = most
    write(operator, "announce/online", "one more")
    assert condition_of(await operator.receive()) is Condition.RESOURCE_CONSTRAINT


async def test_while_many_are_told_others_have_their_turn(server, operator):
    people = [await server.login(f"p{n}@acme") for n in range(300)]
    turns, longest = 0, 0.0
    write(operator, "announce/online", "hello")
    last = time.perf_counter()
    while not people[-1].wire.unread:
        await asyncio.sleep(0)
        now = time.perf_counter()
        turns, longest, last = turns + 1, max(longest, now - last), now
    assert turns >= 300 / 100
    assert longest < 1.0
