"""A random walk through companies and what they agree on, in which people try everything on each other.

Every stanza is sent to a person and, in the same words, to nobody. Where the table says no, both must be answered
alike, byte for byte; whatever anybody hears is judged by the table (`isolation_oracle.py`). Where it says yes, it
must arrive, or else a server that lets nothing through would pass.

`make leaks` walks for long; `test_isolation_walk.py` a little, and shows that the walk finds what is taken out.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType

from rainbow_xmpp.border import Border
from rainbow_xmpp.company import Action, Relation
from rainbow_xmpp.config import Limits
from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.plugin.discovery import find_plugins
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.plugins.search import Search
from rainbow_xmpp.store.values import RosterItem
from rainbow_xmpp.testing import TestServer
from tests.security.isolation_events import AGREEING, Events, Leak, ghost
from tests.security.isolation_oracle import Oracle
from tests.security.isolation_probes import Probe, all_probes
from tests.security.isolation_rest import RestProbes
from tests.security.isolation_world import Human, World

_COUNTED = re.compile(rb"(?<=id='push-)[^']*|(?<=ver=')[^']*|-(some|no)body(?=')")
"""What differs from one roster push to the next, whomever it is about."""
_ABOUT_NOBODY = re.compile(rb"ghost|-nobody'", re.IGNORECASE).search
PROBES_PER_EVENT = 24
ASIDE = 4
"""Of so many probes one is a question that is no stanza."""


class Walk:
    """One world and its walk; the same seed walks the same way."""

    def __init__(self, server: TestServer, seed: int) -> None:
        self.dice = random.Random(seed)
        self.server = server
        self.world = self._new_world()
        self.events = Events(self.world, self.judge)
        self.oracle = Oracle(self.world)
        self.probes = all_probes(server.node.iqs)
        self.rest = RestProbes(self.world, self.oracle)
        self.made: Counter[str] = Counter()
        """Probes by kind."""
        self.refused = self.arrived = 0
        self._ids = 0

    def _new_world(self) -> World:
        return World(self.server, self.dice)

    async def begin(self, firms: int = 5, people: int = 3) -> None:
        await self.world.people_it(firms, people)
        for _ in range(firms * people * 2):
            await self._something_happens()

    async def _something_happens(self) -> None:
        await self.events.one()
        await self.listen()
        self.oracle.look_at_screens()

    async def step(self) -> None:
        """Something happens, and then some people try some things."""
        await self._something_happens()
        for _ in range(PROBES_PER_EVENT):
            actor, target = self._two()
            if self.dice.randrange(ASIDE) == 0:
                await self._ask_aside(actor, target)
                await self.listen()
            elif actor.client is not None:
                await self._probe(actor, target, self.dice.choice(self.probes))
        if self.dice.random() < 0.1:
            await self._compare_rosters()

    def _two(self) -> tuple[Human, Human]:
        """Any two people, or such as have something to do with each other, or had a moment ago."""
        actor, target = self.dice.sample(self.world.people, 2)
        if self.world.touched and self.dice.random() < 0.4:
            actor, target = self.dice.sample(sorted(self.dice.choice(self.world.touched), key=_number), 2)
            return actor, target
        near = [each for each in self.world.people if self.world.allows(Action.PROFILE, actor, each)]
        return actor, self.dice.choice([target, *(each for each in near if each is not actor)])

    async def listen(self) -> dict[Human, list[bytes]]:
        """What everybody heard since the last time, judged."""
        await self.world.settle()
        return self.judge()

    def judge(self) -> dict[Human, list[bytes]]:
        """The same, of what has come by now."""
        heard = {}
        for human in self.world.people:
            if human.client is not None:
                wire = human.client.wire
                heard[human], wire.unread = wire.unread, []
                self.oracle.hears(human, heard[human])
        return heard

    # -- stanzas -----------------------------------------------------------------------------------------

    async def _probe(self, actor: Human, target: Human, probe: Probe) -> None:
        self.made[probe.name] += 1
        is_comparable = not probe.is_about_rosters or await self._stand_alike(actor, target)
        nobody = ghost(actor, target)
        try:
            self._send(actor, target, probe, nobody)
            await self.world.settle()
            if probe.name == "directed unavailable":
                self.oracle.has_left(actor, target)
            if probe.name in AGREEING:
                await self.events.follow(actor, target, probe.name)
            heard = await self.listen()
            self._judge(actor, target, probe, heard, is_comparable)
        except Leak as leak:
            raise Leak(
                f"{probe.name}, {self.oracle.portrait(actor)} to {self.oracle.portrait(target)}: {leak}"
            ) from None

    def _send(self, actor: Human, target: Human, probe: Probe, nobody: str) -> None:
        for localpart, whom in ((target.localpart, "somebody"), (nobody, "nobody")):
            self._send_to(actor, target, probe, localpart, whom)

    def _send_to(self, actor: Human, target: Human, probe: Probe, localpart: str, whom: str) -> None:
        assert actor.client is not None
        self._ids += whom == "somebody"
        to = f"{localpart}@{self.server.domain}"
        stanza = probe.stanza.format(
            to=to,
            TO=to.upper(),
            id=f"probe-{self._ids}-{whom}",
            mark=f"{actor.tag}-{target.tag}",
            actor=actor.tag,
            target=target.tag if whom == "somebody" else "99",
            domain=self.server.domain,
        )
        actor.client.send(stanza)

    def _judge(
        self,
        actor: Human,
        target: Human,
        probe: Probe,
        heard: dict[Human, list[bytes]],
        is_comparable: bool,
    ) -> None:
        is_allowed = self.world.reaches(probe.action, actor, target)
        answers = heard[actor]
        about_nobody = [data for data in answers if _ABOUT_NOBODY(data)]
        about_target = [
            data for data in answers if not _ABOUT_NOBODY(data) and not _is_of_another(data, target)
        ]
        if is_allowed:
            self._must_arrive(actor, target, probe, heard, about_target)
            return
        self.refused += 1
        is_unheard = probe.is_presence and self.world.allows(probe.action, actor, target)
        if not is_comparable or is_unheard:
            return
        localparts = target.localpart, ghost(actor, target)
        alike = _plain(about_target, localparts[0]), _plain(about_nobody, localparts[1])
        if alike[0] != alike[1]:
            raise Leak(f"answered with {alike[0]}, and for nobody with {alike[1]}")

    def _must_arrive(
        self,
        actor: Human,
        target: Human,
        probe: Probe,
        heard: dict[Human, list[bytes]],
        answers: list[bytes],
    ) -> None:
        if probe.answers and target.has_card and not any(b"type='result'" in data for data in answers):
            raise Leak(f"is allowed, and was answered with {answers}")
        if probe.arrives and target.client is not None:
            assert actor.client is not None
            if not any(actor.client.jid.encode() in data for data in heard[target]):
                raise Leak(f"is allowed, and did not arrive; {heard[target]}")
            self.arrived += 1

    async def _stand_alike(self, actor: Human, target: Human) -> bool:
        """The actor's roster says the same of both, and the person is known neither as a colleague nor from before."""
        pair = frozenset((actor, target))
        known = self.world.agreements.get(pair), self.world.over.get(pair)
        had_agreed = any(each is not None and each.is_accepted for each in known)
        if had_agreed or self.world.relation(actor, target) is Relation.COLLEAGUE:
            return False
        items = await self._items(actor, and_requests=True)
        return items.get(target.localpart) == items.get(ghost(actor, target))

    async def _items(self, owner: Human, *, and_requests: bool = False) -> dict[str, tuple[object, ...]]:
        """What the owner's clients may see of each contact, by localpart; with those who ask to subscribe, too."""
        account = owner.account
        roster = await self.world.at(owner).store.rosters.load(account.company.id, account.id)
        return {
            item.contact.partition("@")[0]: (*_shown(item), and_requests and item.pending_in)
            for item in roster.items
            if item.visible or (and_requests and item.pending_in)
        }

    async def _compare_rosters(self) -> None:
        """Rosters keep nothing of whom their owner cannot know to exist, that they would not of nobody."""
        self.made["rosters"] += 1
        for owner in self.world.people:
            items = await self._items(owner)
            for other in self.world.people:
                pair = frozenset((owner, other))
                if owner is other or pair in self.world.invited or pair in self.world.met:
                    continue
                if (owner, other) in self.world.traces:
                    continue
                kept, of_nobody = items.get(other.localpart), items.get(ghost(owner, other))
                if kept != of_nobody:
                    raise Leak(f"the roster of {owner.tag} says {kept} of {other.tag}, of nobody {of_nobody}")

    # -- what is no stanza -------------------------------------------------------------------------------

    async def _ask_aside(self, actor: Human, target: Human) -> None:
        if self.dice.random() < 0.3:
            name = await self.rest.one(actor, target)
            self.made[name] += 1
            return
        self.made["Services.may"] += 1
        action = self.dice.choice(list(Action))
        services = self.world.at(actor).node.services()
        seen = await self.world.seen_by(actor, target)
        if seen is None:
            return
        answer = await services.may(action, await self.world.fresh(actor), seen)
        if seen.abroad and actor in target.blocked:
            return  # which is asked in their region
        if answer is not self.world.may(action, actor, target):
            raise Leak(f"{self.oracle.portrait(actor)} may {action} {self.oracle.portrait(target)}: {answer}")


def _is_of_another(data: bytes, target: Human) -> bool:
    """A roster push about a third one: what a crash had left of them goes when changes are applied, by whomever."""
    is_removal = b"jabber:iq:roster" in data and b"subscription='remove'" in data
    return is_removal and target.localpart.encode() not in data


def _number(human: Human) -> int:
    return human.number


def _plain(stanzas: list[bytes], localpart: str) -> list[bytes]:
    who = re.compile(localpart.encode(), re.IGNORECASE)
    return [who.sub(b"WHO", _COUNTED.sub(b"", data)) for data in stanzas]


def _shown(item: RosterItem) -> tuple[object, ...]:
    return item.name, item.subscription, item.ask, item.approved, item.groups


def new_server(
    border: Border | None = None, regions: Mapping[str, Region] = MappingProxyType({})
) -> TestServer:
    """With every plugin that is shipped, and without limits; with a border the server of one of these regions."""
    options = {plugin: plugin.Options() for plugin in find_plugins().values()}
    options[Search] = Search.Options(searches_per_minute=0)
    options[RestApi] = RestApi.Options(requests_per_minute=0, anonymous_per_minute=0)
    return TestServer(options, limits=Limits(logins_per_address_per_minute=0), border=border, regions=regions)


async def walk(seed: int, steps: int) -> Walk:
    """A short one. Raises `Leak`."""
    async with one_server(seed) as walking:
        await walking.begin()
        for _ in range(steps):
            await walking.step()
        return walking


@asynccontextmanager
async def one_server(seed: int) -> AsyncIterator[Walk]:
    """A walk that has not begun."""
    async with new_server() as server:
        yield Walk(server, seed)


Begin = Callable[[int], AbstractAsyncContextManager[Walk]]


async def _walk_long(minutes: float, seed: int, begin: Begin) -> Counter[str]:
    """One world after the other; says every half minute how far it is."""
    made: Counter[str] = Counter()
    refused = arrived = worlds = 0
    end, said = time.monotonic() + minutes * 60, time.monotonic()
    while time.monotonic() < end:
        async with begin(seed + worlds) as walking:
            try:
                await walking.begin(firms=random.Random(seed + worlds).randint(3, 8))
                for _ in range(150):
                    await walking.step()
                    if time.monotonic() - said > 30:
                        said = time.monotonic()
                        total = sum(made.values()) + sum(walking.made.values())
                        print(f"{total} probes in {worlds + 1} worlds, {(end - said) / 60:.1f} minutes left")
                    if time.monotonic() > end:
                        break
            except Exception:
                print(f"seed {seed + worlds}", file=sys.stderr)
                raise
        worlds += 1
        made += walking.made
        refused, arrived = refused + walking.refused, arrived + walking.arrived
    print(f"{sum(made.values())} probes of {len(made)} kinds in {worlds} worlds, seeds from {seed}:")
    print(f"{refused} refused like nobody, {arrived} seen to arrive; no leak")
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--regions", action="store_true", help="over two regions")
    given = parser.parse_args()
    begin: Begin = one_server
    if given.regions:
        from tests.security.isolation_regions import two_regions

        begin = two_regions
    asyncio.run(_walk_long(given.minutes, given.seed, begin))
