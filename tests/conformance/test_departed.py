"""Whoever has no account any more is in nobody's roster, and whoever gets the name later is somebody else."""

import pytest

from rainbow_xmpp.testing import Client, TestServer

ROSTER = "<query xmlns='jabber:iq:roster'/>"


async def items(client: Client) -> dict[str, str]:
    """A client's roster: subscriptions by address."""
    answer = await client.ask("get", ROSTER)
    return {
        item.get("jid", ""): item.get("subscription", "") for item in answer.iter("{jabber:iq:roster}item")
    }


async def befriend(server: TestServer, one: Client, other: Client) -> None:
    for asks, answers in ((one, other), (other, one)):
        asks.send(f"<presence type='subscribe' to='{answers.bare}'/>")
        await server.settle()
        answers.send(f"<presence type='subscribed' to='{asks.bare}'/>")
        await server.settle()
    await one.rest()
    await other.rest()


async def test_who_is_removed_goes_from_sight_and_from_rosters() -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await befriend(server, ann, bob)
        assert await items(ann) == {bob.bare: "both"}
        await server.node.people.remove(bob.account, actor="test")
        heard = await ann.rest()
        assert [e.get("type") for e in heard if e.get("from") == bob.jid] == ["unavailable"]
        (pushed,) = [item for e in heard for item in e.iter("{jabber:iq:roster}item")]
        assert (pushed.get("jid"), pushed.get("subscription")) == (bob.bare, "remove")
        assert await items(ann) == {}


@pytest.mark.parametrize("is_online", [True, False])
async def test_a_name_that_is_given_again_does_not_see_what_its_last_bearer_saw(is_online: bool) -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await befriend(server, ann, bob)
        if not is_online:
            await ann.leave()
        await server.node.people.remove(bob.account, actor="test")
        await server.settle()
        namesake = await server.login("bob@acme")
        if not is_online:
            ann = await server.login("ann@acme")
        ann.send("<presence><show>away</show></presence>")
        await server.settle()
        assert await namesake.rest() == []
        assert await items(ann) == {}


async def test_requests_of_who_is_removed_are_not_told_any_more_and_notes_stay() -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        note = f"<item jid='{bob.bare}' name='Bob from sales'/>"
        tom = await server.login("tom@acme")
        await tom.ask("set", f"<query xmlns='jabber:iq:roster'>{note}</query>")
        bob.send(f"<presence type='subscribe' to='{ann.bare}'/>")
        await ann.leave()
        await server.node.people.remove(bob.account, actor="test")
        await server.settle()
        ann = await server.login("ann@acme")
        assert await ann.rest() == []
        assert await items(tom) == {bob.bare: "none"}


async def test_who_is_only_shut_out_stays_in_rosters() -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await befriend(server, ann, bob)
        await server.node.people.disable(bob.account, actor="test")
        await server.settle()
        assert await items(ann) == {bob.bare: "both"}


async def test_what_happened_while_no_server_ran_is_made_up_for() -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await befriend(server, ann, bob)
        await server.store.accounts.remove(bob.account.company.id, bob.account.id)  # as another process would
        server.node.departed.look()  # as at every start
        await server.settle()
        assert await items(ann) == {}
