"""Contact requests on their way: what is written for nobody leaves nothing behind, and none is lost or made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from rainbow_xmpp.roster import courier
from rainbow_xmpp.store import tables
from rainbow_xmpp.store.values import AuthorisationState, Visibility
from rainbow_xmpp.testing import TestServer
from tests.plugins.rest import logged_in
from tests.security.isolation_walk import new_server


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with new_server() as server:
        yield server


def subscribe(to: str, type_: str = "subscribe") -> str:
    return f"<presence to='{to}' type='{type_}'><status>hello</status></presence>"


async def kept(server: TestServer) -> dict[str, int]:
    """How many rows there are of what a request leaves."""
    found = {}
    async with server.store.read() as connection:
        for table in (tables.authorisations, tables.roster_items, tables.audit, tables.contact_requests):
            found[table.name] = (
                await connection.execute(sa.select(sa.func.count()).select_from(table))
            ).scalar_one()
    return found


@pytest.mark.parametrize("to", ["nobody", "iris"], ids=["nobody", "isolated"])
async def test_a_request_to_nobody_leaves_the_senders_own_note_and_nothing_else(
    server: TestServer, to: str
) -> None:
    await server.company("far", visibility=Visibility.ISOLATED)
    await server.person("iris@far")
    ann = await server.login("ann@acme")
    written = server.node.audit.written
    before = await kept(server)
    ann.send(subscribe(f"{to}@{server.domain}"))
    await ann.rest_bytes()
    assert await kept(server) == before | {"roster_items": before["roster_items"] + 1}
    ann.send(subscribe(f"{to}@{server.domain}", "unsubscribe"))
    await ann.rest_bytes()
    assert await kept(server) == before | {"roster_items": before["roster_items"] + 1}
    assert server.node.audit.written == written, "what is rehearsed is not counted"


async def test_an_invitation_by_the_api_to_nobody_leaves_nothing(server: TestServer) -> None:
    ann = await logged_in(server, "ann@acme")
    before = await kept(server)
    answer = await ann.call("POST", "/invitations", {"to": f"nobody@{server.domain}"})
    await server.settle()
    assert (answer.status, await kept(server)) == (202, before)


async def test_what_was_written_down_is_carried_after_the_next_start_and_once(server: TestServer) -> None:
    """A server that died behind its answer: the row is there, and nobody has carried it."""
    ann, carol = await server.person("ann@acme"), await server.login("carol@globex")
    stanza = (
        f"<presence from='{ann.bare}' to='{carol.bare}' type='subscribe' xmlns='jabber:client'/>".encode()
    )
    requests = server.store.contact_requests
    async with server.store.write() as connection:
        await requests.put(connection, ann.account, carol.bare, stanza=stanza)
    await asyncio.gather(server.node.courier.look(), server.node.courier.look())
    heard = [each.get("type") for each in await carol.rest()]
    assert heard == ["subscribe"]
    [half] = await server.store.authorisations.of(carol.account.company.id, carol.account.id)
    assert half.state is AuthorisationState.ASKED
    await server.node.courier.look()
    assert await carol.rest() == []


async def test_requests_to_one_address_arrive_in_their_order(server: TestServer) -> None:
    ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
    await carol.ask("get", "<query xmlns='jabber:iq:roster'/>")
    for type_ in ("subscribe", "unsubscribe", "subscribe"):
        ann.send(subscribe(carol.bare, type_))
    await ann.rest_bytes()
    assert [each.get("type") for each in await carol.rest()] == ["subscribe", "unsubscribe", "subscribe"]


async def test_one_account_has_so_many_on_their_way_and_the_next_ones_wait(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, most = await server.login("ann@acme"), 0
    carry = server.node.courier._carry

    async def watched(request: courier.ContactRequest) -> None:
        nonlocal most
        most = max(most, len(server.node.courier))
        await carry(request)

    monkeypatch.setattr(server.node.courier, "_carry", watched)
    for number in range(3 * courier.MOST_OF_ONE):
        ann.send(subscribe(f"nobody{number}@{server.domain}"))
    await ann.rest_bytes()
    assert 1 < most <= courier.MOST_OF_ONE
    assert (await kept(server))["contact_requests"] == 0


async def test_a_request_that_cannot_be_carried_waits_for_another_attempt(
    server: TestServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ann, carol = await server.login("ann@acme"), await server.login("carol@globex")

    async def fails(*_: object) -> None:
        raise OSError("no disk")

    with monkeypatch.context() as patched:
        patched.setattr(server.node.courier, "_hand_over", fails)
        ann.send(subscribe(carol.bare))
        await ann.rest_bytes()
    assert await carol.rest() == []
    await server.node.courier.look()
    assert [each.get("type") for each in await carol.rest()] == ["subscribe"]
