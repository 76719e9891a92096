"""Many people do anything at any time; in the end every roster and every screen must tell the same story."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rainbow_xmpp.store.values import Roster, RosterItem
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.xml import Element

PEOPLE = 6
STEPS = 400


ITEM = "{jabber:iq:roster}item"
Shown = tuple[str, str | None, bool, bool]
"""What a client shows of a contact: name, subscription, whether a request is pending, whether it is approved."""


class Screen:
    """What a client shows: the presence it last heard of each resource since it came online, and its roster."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.is_available = False
        self.shown: dict[str, str] = {}
        self.roster: dict[str, Shown] = {}
        self.asking: set[str] = set()
        """Who has asked to subscribe since it came online."""

    async def look(self) -> None:
        for stanza in await self.client.rest():
            if stanza.tag == "{jabber:client}presence":
                self._see(stanza.get("from", ""), stanza)
            elif stanza.get("id") == "r" and stanza.get("type") == "result":
                self.roster = {item.get("jid", ""): as_shown(item) for item in stanza.iter(ITEM)}
            elif stanza.get("type") == "set":
                self._change(*stanza.iter(ITEM))

    def _see(self, sender: str, stanza: Element) -> None:
        match stanza.get("type", ""):
            case "":
                self.shown[sender] = stanza.get("id", "")
            case "unavailable":
                self.shown.pop(sender, None)
            case "subscribe":
                self.asking.add(sender)

    def _change(self, item: Element) -> None:
        if item.get("subscription") == "remove":
            self.roster.pop(item.get("jid", ""), None)
        else:
            self.roster[item.get("jid", "")] = as_shown(item)


def as_shown(item: Element) -> Shown:
    asks, approved = item.get("ask") == "subscribe", item.get("approved") == "true"
    return item.get("name", ""), item.get("subscription"), asks, approved


def as_kept(item: RosterItem) -> Shown:
    return item.name, item.subscription, item.ask, item.approved


class Walk:
    """A random life of some people on one server."""

    def __init__(self, server: TestServer, seed: int) -> None:
        self.server = server
        self.dice = random.Random(seed)
        self.names = [f"p{number}" for number in range(PEOPLE)]
        self.screens: list[Screen] = []
        self.said: dict[str, str] = {}
        """The id of each resource's current presence."""
        self._ids = 0

    async def step(self) -> None:
        doing = self.dice.choices(
            [
                self.come,
                self.go,
                self.leave,
                self.show,
                self.hide,
                self.ask,
                self.answer,
                self.edit,
                self.wait,
            ],
            [6, 2, 1, 6, 2, 8, 10, 3, 3],
        )[0]
        await doing()

    async def come(self) -> None:
        if len(self.screens) < 2 * PEOPLE:
            client = await self.server.login(f"{self.dice.choice(self.names)}@acme", available=False)
            client.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
            self.screens.append(Screen(client))

    def _anybody(self) -> Screen | None:
        return self.dice.choice(self.screens) if self.screens else None

    async def go(self) -> None:
        screen = self._anybody()
        if screen is not None:
            self.screens.remove(screen)
            self.said.pop(screen.client.jid, None)
            screen.client.wire.abort()

    async def leave(self) -> None:
        """Somebody goes with all their devices; what is said to them meanwhile waits."""
        name = self.dice.choice(self.names)
        for screen in [each for each in self.screens if each.client.bare.startswith(f"{name}@")]:
            self.screens.remove(screen)
            self.said.pop(screen.client.jid, None)
            screen.client.wire.abort()

    async def show(self) -> None:
        screen = self._anybody()
        if screen is None:
            return
        if not screen.is_available:
            await screen.look()
            screen.shown.clear()
            screen.is_available = True
        self._ids += 1
        self.said[screen.client.jid] = f"shown-{self._ids}"
        screen.client.send(f"<presence id='shown-{self._ids}'/>")

    async def hide(self) -> None:
        screen = self._anybody()
        if screen is not None and screen.is_available:
            screen.is_available = False
            self.said.pop(screen.client.jid, None)
            screen.client.send("<presence type='unavailable'/>")

    async def ask(self) -> None:
        await self._say(self.dice.choice(["subscribe", "subscribe", "unsubscribe"]))

    async def answer(self) -> None:
        await self._say(self.dice.choice(["subscribed", "subscribed", "subscribed", "unsubscribed"]))

    async def _say(self, kind: str) -> None:
        """A subscription stanza. Those of two people must not cross, which by the RFC may leave them at odds."""
        await self.server.settle()
        screen = self._anybody()
        if screen is not None:
            to = self.dice.choice(self.names)
            screen.client.send(f"<presence type='{kind}' to='{to}@{self.server.domain}'/>")

    async def edit(self) -> None:
        await self.server.settle()
        screen = self._anybody()
        if screen is not None:
            jid = f"{self.dice.choice(self.names)}@{self.server.domain}"
            wish = self.dice.choice(["name='x'", "name='y'", "subscription='remove'"])
            screen.client.send(
                f"<iq type='set' id='e'><query xmlns='jabber:iq:roster'><item jid='{jid}' {wish}/></query></iq>"
            )

    async def wait(self) -> None:
        await self.server.settle()

    async def rosters(self) -> dict[str, Roster]:
        """Everybody's roster, by bare JID."""
        found = {}
        for name in self.names:
            person = await self.server.person(f"{name}@acme")
            account = person.account
            found[person.bare] = await self.server.store.rosters.load(account.company.id, account.id)
        return found


def slow_down(server: TestServer, dice: random.Random) -> None:
    """Let calls of the roster store end at odd moments."""
    rosters = server.store.rosters

    def slow(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def slower(*arguments: Any) -> Any:
            await asyncio.sleep(dice.choice((0, 0.002, 0.01)))
            answer = await call(*arguments)
            await asyncio.sleep(dice.choice((0, 0.002, 0.01)))
            return answer

        return slower

    for method in ("load", "since", "count"):
        setattr(rosters, method, slow(getattr(rosters, method)))


def pairs(rosters: dict[str, Roster], have: Callable[[RosterItem], bool]) -> set[tuple[str, str]]:
    """Who has whom in the roster, in such a way."""
    return {(owner, item.contact) for owner, roster in rosters.items() for item in roster.items if have(item)}


async def check_rosters(walk: Walk) -> set[tuple[str, str]]:
    """Both sides of every relation say the same; returns who sees whom."""
    rosters = await walk.rosters()
    sees = pairs(rosters, lambda item: item.subscription in ("to", "both"))
    seen = pairs(rosters, lambda item: item.subscription in ("from", "both"))
    asks = pairs(rosters, lambda item: item.ask)
    asked = pairs(rosters, lambda item: item.pending_in)
    assert sees == {(viewer, shown) for shown, viewer in seen}
    assert asks == {(asker, contact) for contact, asker in asked}
    assert not asked & pairs(rosters, lambda item: item.approved), "who was approved need not wait"
    assert sees, "a walk in which nobody subscribed to anybody shows nothing"
    for screen in walk.screens:
        kept = rosters[screen.client.bare].visible
        assert screen.roster == {item.contact: as_kept(item) for item in kept}
    for bare, home in walk.server.node.sessions.homes.items():
        if home.is_loaded:
            assert home.contacts == {seen for viewer, seen in sees if viewer == bare}
            assert home.subscribers == {viewer for viewer, seen in sees if seen == bare}
    return sees


def check_screens(walk: Walk, sees: set[tuple[str, str]]) -> None:
    """Who is online shows exactly those whom they may see, as they last said."""
    for screen in walk.screens:
        if screen.is_available:
            bare = screen.client.bare
            assert screen.shown == {
                jid: shown
                for jid, shown in walk.said.items()
                if jid.startswith(f"{bare}/") or (bare, jid.partition("/")[0]) in sees
            }


async def check_requests(walk: Walk) -> None:
    """Who comes now is asked everything that waits, once."""
    rosters = await walk.rosters()
    for name in walk.names:
        screen = Screen(await walk.server.login(f"{name}@acme"))
        await screen.look()
        waiting = {item.contact for item in rosters[screen.client.bare].items if item.pending_in}
        assert screen.asking == waiting
        walk.screens.append(screen)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pace", ["quick", "slow"])
async def test_rosters_and_screens_tell_the_same_story(pace: str, seed: int) -> None:
    async with TestServer() as server:
        walk = Walk(server, seed)
        if pace == "slow":
            slow_down(server, random.Random(seed))
        for name in walk.names:
            await server.person(f"{name}@acme")
        for _ in range(STEPS):
            await walk.step()
        await server.settle()
        for screen in walk.screens:
            await screen.look()
        check_screens(walk, await check_rosters(walk))
        await check_requests(walk)
        for screen in walk.screens:
            screen.client.wire.abort()
        await server.settle()
        assert not server.node.sessions.by_full
        assert not server.node.sessions.homes
