"""The walk (`isolation_walk.py`) over two regions: people of each company live in either, and the same table decides.

Beside what the walk compares, somebody out of reach and nobody must cost as many questions over the border, or else the
time would tell them apart. What `docs/decisions/0046-people-of-other-regions.md` says does not cross is left out:

- links between companies: each region has its own;
- that somebody is gone from sight by what they decided about their own visibility, or who was only directed presence;
- what one region knows of a person or a company of another, for ten minutes at most, is forgotten after each event.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from rainbow_xmpp.company import Action
from rainbow_xmpp.config.regions import Region
from rainbow_xmpp.regions.companies import COMPANIES
from rainbow_xmpp.regions.parcels import STANZAS, Batch, Parcel, Receipts, Who, decode, encode
from rainbow_xmpp.regions.reach import Reach
from rainbow_xmpp.store.values import Account, CompanySettings, Visibility
from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.border import FakeBorders
from rainbow_xmpp.xml import names
from tests.security.isolation_events import Leak, ghost
from tests.security.isolation_probes import Probe
from tests.security.isolation_walk import Walk, new_server
from tests.security.isolation_world import PUBLIC, Firm, Human, World

REGIONS = {
    "emea": Region(country="FR", hosts=("emea.rainbow.test",)),
    "na": Region(country="CA", hosts=("na.rainbow.test",)),
}
COUNTED = 5
"""Of so many probes that the table refuses, one is counted at the border."""
_PING = encode(Batch([], []))


class Regions(World):
    """Everybody, in two regions."""

    def __init__(self, servers: Sequence[TestServer], borders: FakeBorders, dice: random.Random) -> None:
        super().__init__(servers[0], dice)
        self._servers = servers
        self._borders = borders
        self._homes: dict[str, TestServer] = {}

    @property
    def servers(self) -> Sequence[TestServer]:
        return self._servers

    def at(self, human: Human) -> TestServer:
        return self._homes[human.localpart]

    def home_of(self, firm: Firm) -> TestServer:
        return self._servers[firm.number % len(self._servers)]

    def birthplace(self, number: int, firm: Firm) -> TestServer:
        self._homes[f"human{number:02}x"] = server = self.dice.choice(self._servers)
        return server

    async def found(self, number: int, name: str, visibility: Visibility) -> Firm:
        """At home in one region, and the other may be used too; the public one is in each of them."""
        if name == PUBLIC:
            public = [await server.company(name, visibility=visibility) for server in self._servers]
            return Firm(number, name, public[0], visibility)
        home, *others = sorted(self._servers, key=lambda each: each is not self._servers[number % 2])
        settings = CompanySettings(regions=tuple(each.node.regions.here for each in others))
        made = await home.store.companies.add(name, home.node.regions.here, visibility, settings=settings)
        await self._tell()
        return Firm(number, name, made, visibility)

    async def seen_by(self, viewer: Human, human: Human) -> Account | None:
        if self.at(viewer) is self.at(human):
            return await super().seen_by(viewer, human)
        return await _reach(self.at(viewer)).homes.find(human.localpart)

    def may_be_stale(self, human: Human, hearer: Human) -> bool:
        """A region does not tell others what its people decide about their own visibility, nor knows whom of theirs
        was shown presence beside all rosters."""
        is_abroad = self.at(human) is not self.at(hearer)
        is_own = {human.own, hearer.own} != {Visibility.SAME_THAN_COMPANY}
        return is_abroad and (is_own or frozenset((human, hearer)) not in self.friends)

    async def settle(self) -> None:
        await self._borders.settle(self._servers)

    async def applied(self) -> None:
        await super().applied()
        await self._tell()
        self.forget()

    async def _tell(self) -> None:
        """Each region of its companies, and of what was changed by that."""
        for server in self._servers:
            await server.node.watch.poll()
            await _reach(server).companies.tell()
        for server in self._servers:
            await server.node.watch.poll()
        await self.settle()

    def forget(self) -> None:
        """What regions know of each other's people."""
        for server in self._servers:
            _reach(server).homes.forget_all()

    def crossed(self) -> list[tuple[str, str, str]]:
        """What went over the border since the last time, but for what goes by the clock."""
        crossed, self._borders.crossed = self._borders.crossed, []
        return [each[:3] for each in crossed if each[2] != COMPANIES and each[3] != _PING and each[3]]


class RegionWalk(Walk):
    """One world over two regions, and its walk."""

    world: Regions

    def __init__(self, servers: Sequence[TestServer], borders: FakeBorders, seed: int) -> None:
        self._regions = servers, borders
        super().__init__(servers[0], seed)
        self.events.leave_out(self.events.link, self.events.unlink)
        self.counted = 0
        """Probes of which it was counted what crossed the border."""

    def _new_world(self) -> World:
        return Regions(*self._regions, self.dice)

    async def _probe(self, actor: Human, target: Human, probe: Probe) -> None:
        await super()._probe(actor, target, probe)
        is_abroad = self.world.at(actor) is not self.world.at(target)
        have_met = frozenset((actor, target)) in self.world.met
        if is_abroad and not actor.is_disabled and target not in actor.blocked and not have_met:
            await self._past_own_gate(actor, target)
        is_refused = not self.world.allows(probe.action, actor, target)
        if is_refused and not probe.is_about_rosters and self.dice.randrange(COUNTED) == 0:
            await self._count(actor, target, probe)

    async def _past_own_gate(self, actor: Human, target: Human) -> None:
        """Said by a region that asks no gate: the other one asks its own, and answers as for nobody.

        Of people who never reached each other: the end of what two have agreed on is not heard by the region of one who
        has blocked the other, whose half lasts until they end it, and is refused in the region of the one who ended it.
        """
        answers = [
            await self._said_at_the_border(actor, target, localpart)
            for localpart in (target.localpart, ghost(actor, target))
        ]
        self.made["past the own gate"] += 1
        if answers[0] != answers[1] and not self.world.reaches(Action.MESSAGE, actor, target):
            raise Leak(
                f"the region of {self.oracle.portrait(target)} answers {self.oracle.portrait(actor)} "
                f"with {answers[0]}, and for nobody with {answers[1]}"
            )

    async def _said_at_the_border(self, actor: Human, target: Human, localpart: str) -> list[bytes]:
        here, there = self.world.at(actor), self.world.at(target)
        to, jid = f"{localpart}@{here.domain}", f"{actor.localpart}@{here.domain}/phone"
        stanza = (
            f"<message xmlns='{names.CLIENT}' from='{jid}' to='{to}' type='chat' id='1'>"
            f"<body>word-{actor.tag}-{target.tag}-x</body></message>"
        )
        parcel = Parcel(0, jid, Who.of(await self.world.fresh(actor)), to, stanza.encode(), 0)
        end, request = _reach(here)._border, encode(Batch([parcel], []))
        answer = decode(await end.ask(there.node.regions.here, STANZAS, request), Receipts)
        await self.listen()
        return [reply.stanza.replace(localpart.encode(), b"WHO") for reply in answer.replies]

    async def _count(self, actor: Human, target: Human, probe: Probe) -> None:
        """Somebody and nobody cost as much over the border: at the first contact, and at once again."""
        self.world.forget()
        counts = []
        for localpart, whom in ((target.localpart, "somebody"), (ghost(actor, target), "nobody")):
            counts.append([await self._crossings(actor, target, probe, localpart, whom) for _ in range(2)])
        if any(len(each) % 2 for attempts in counts for each in attempts):
            return  # a busy machine: a question was not answered in time, and is asked again
        self.counted += 1
        if counts[0] != counts[1]:
            raise Leak(
                f"{probe.name}, {self.oracle.portrait(actor)} to {self.oracle.portrait(target)}: "
                f"{counts[0]} crossed the border, for nobody {counts[1]}"
            )

    async def _crossings(
        self, actor: Human, target: Human, probe: Probe, localpart: str, whom: str
    ) -> list[tuple[str, str, str]]:
        self.world.crossed()
        self._send_to(actor, target, probe, localpart, whom)
        await self.listen()
        return self.world.crossed()


def _reach(server: TestServer) -> Reach:
    assert server.node.neighbours.reach is not None, "it has a border"
    return server.node.neighbours.reach


@asynccontextmanager
async def two_regions(seed: int) -> AsyncIterator[RegionWalk]:
    """A walk that has not begun, over two servers with every plugin, each a region."""
    borders = FakeBorders()
    ends = [borders.border(name) for name in REGIONS]
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(new_server(end, REGIONS)) for end in ends]
        yield RegionWalk(servers, borders, seed)


async def walk_regions(seed: int, steps: int) -> RegionWalk:
    """A short one. Raises `Leak`."""
    async with two_regions(seed) as walking:
        await walking.begin()
        for _ in range(steps):
            await walking.step()
        return walking
