"""What happens while the database is being asked (in memory, with a database that answers when it is told to)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.testing import TestServer


class Held:
    """Lets calls of a store's method do their work at once and return only when `release` is called."""

    def __init__(self, owner: object, method: str) -> None:
        self._owner = owner
        self._method = method
        self._call: Callable[..., Awaitable[Any]] = getattr(owner, method)
        self._may_return = asyncio.Event()
        self.done = asyncio.Event()
        setattr(owner, method, self._held)

    async def _held(self, *arguments: Any) -> Any:
        answer = await self._call(*arguments)
        self.done.set()
        await self._may_return.wait()
        return answer

    def release(self) -> None:
        setattr(self._owner, self._method, self._call)
        self._may_return.set()


async def test_who_vanishes_at_login_leaves_no_ghost() -> None:
    async with TestServer() as server:
        ann = await server.person("ann@acme")
        bob = await server.login("bob@acme")
        await server.subscribe(bob.bare, to=ann)
        held = Held(server.store.rosters, "load")
        client = await server.login("ann@acme", available=False)
        client.send("<presence/>")
        await held.done.wait()
        client.wire.abort()
        held.release()
        assert await bob.rest() == []
        assert ann.bare not in server.node.sessions.homes


async def test_messages_that_wait_are_not_lost_on_who_vanishes_at_login() -> None:
    async with TestServer(plugins=[Offline]) as server:
        ann, bob = await server.person("ann@acme"), await server.login("bob@acme")
        bob.send(f"<message to='{ann.bare}' id='m1' type='chat'><body>hello</body></message>")
        await server.settle()
        held = Held(server.store.rosters, "load")
        client = await server.login("ann@acme", available=False)
        client.send("<presence/>")
        await held.done.wait()
        client.wire.abort()
        held.release()
        await server.settle()
        again = await server.login("ann@acme", available=False)
        again.send("<presence/>")
        assert "m1" in [stanza.get("id") for stanza in await again.rest()]


async def test_a_subscriber_who_is_let_in_during_a_login_sees_the_next_presence() -> None:
    """What was read of the roster before the change is not believed afterwards."""
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme", available=False), await server.login("bob@acme")
        bob.send(f"<presence type='subscribe' to='{ann.bare}'/>")
        await server.settle()
        held = Held(server.store.rosters, "load")
        ann.send("<presence/>")
        await held.done.wait()
        other = await server.login("ann@acme", available=False)
        other.send(f"<presence type='subscribed' to='{bob.bare}'/>")
        for _ in range(50):
            await asyncio.sleep(0.005)
        held.release()
        await bob.rest()
        ann.send("<presence><show>away</show></presence>")
        assert ann.jid in [stanza.get("from") for stanza in await bob.rest()]


@pytest.mark.parametrize("stanzas", [10, 200])
async def test_what_is_sent_behind_a_stanza_that_waits_is_handled_in_order(stanzas: int) -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        held = Held(server.store.rosters, "load")
        ann.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        for number in range(stanzas):
            ann.send(f"<message to='{bob.jid}' id='m{number}'/>")
        await held.done.wait()
        assert not bob.wire.unread
        assert ann.wire.is_paused is (stanzas >= 64)
        held.release()
        assert [stanza.get("id") for stanza in await bob.rest()] == [f"m{n}" for n in range(stanzas)]
        assert not ann.wire.is_paused


async def test_a_fault_while_a_stanza_waits_is_answered_and_the_next_ones_are_handled() -> None:
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")

        async def broken(*_: object) -> None:
            raise OSError("the disk is gone")

        server.store.rosters.load = broken  # type: ignore[method-assign, assignment]
        ann.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        ann.send(f"<message to='{bob.jid}' id='m'/>")
        assert [stanza.get("id") for stanza in await bob.rest()] == ["m"]
        error = (await ann.rest())[0]
        assert (error.get("id"), error.get("type")) == ("r", "error")
        assert error.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}resource-constraint") is not None


@pytest.mark.parametrize(("method", "version"), [("load", ""), ("since", " ver='0'")])
async def test_a_roster_is_never_older_than_the_pushes_before_it(method: str, version: str) -> None:
    """A client that believes what comes last must end up with what is so (RFC 6121 §2.6.3)."""
    async with TestServer() as server:
        desk = await server.login("ann@acme", available=False)
        phone = await server.login("ann@acme", available=False)

        async def call_him(name: str) -> None:
            item = f"<item jid='bob@rainbow.test' name='{name}'/>"
            await desk.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")

        await call_him("Bo")
        held = Held(server.store.rosters, method)
        phone.send(f"<iq type='get' id='r'><query xmlns='jabber:iq:roster'{version}/></iq>")
        await held.done.wait()
        await call_him("Bob")
        await call_him("Robert")
        held.release()
        heard = [
            found.get("name")
            for stanza in await phone.rest()
            for found in stanza.iter("{jabber:iq:roster}item")
        ]
        assert heard[:2] == ["Bob", "Robert"]
        assert heard[-1] == "Robert"
