"""All that reaches other regions, joined: who is where, what goes there, and what is known of whether it arrives."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from rainbow_xmpp.border import Border
from rainbow_xmpp.company.access import Action
from rainbow_xmpp.company.agreements import Agreements, Crossing
from rainbow_xmpp.errors import StanzaError
from rainbow_xmpp.presence import PresenceService
from rainbow_xmpp.regions.abroad import Abroad, Parts
from rainbow_xmpp.regions.agreeing import Agreeing, written
from rainbow_xmpp.regions.carrier import Carrier, Ways
from rainbow_xmpp.regions.companies import CompanyMap
from rainbow_xmpp.regions.directory import WideDirectory
from rainbow_xmpp.regions.finding import LoginHomes
from rainbow_xmpp.regions.homes import Gone, Homes
from rainbow_xmpp.regions.judging import Taken
from rainbow_xmpp.regions.names import NamesKey
from rainbow_xmpp.regions.parcels import Parcel, Who, encode
from rainbow_xmpp.regions.passing import Passing
from rainbow_xmpp.regions.sight import Sight
from rainbow_xmpp.router.kept import until_settled
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.session import SessionTable
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.outbox import Leaving, leave_postgresql, leave_sqlite
from rainbow_xmpp.store.values import Account, Change, ChangeKind
from rainbow_xmpp.xml import XmlLimits

log = logging.getLogger(__name__)

TOPIC = "regions"
"""Under which the nodes of a region tell each other that something is to be carried."""
TELL_COMPANIES_S = 60.0
ARRIVALS_S = 7 * 86_400
"""So long a parcel is known that came; it is given up by its sender long before."""
TIDY_S = 60.0


class NodeParts(NamedTuple):
    """What of a node reaching other regions touches."""

    domain: str
    store: Store
    sessions: SessionTable
    pipeline: Pipeline
    here: AccountDirectory
    presence: PresenceService
    limits: Callable[[], XmlLimits]
    spawn: Callable[[Awaitable[None]], None]
    catch_up: Callable[[], Awaitable[None]]
    agreements: Agreements
    may: Callable[[Action, Account, Account], Awaitable[bool]]
    """What the gate says of what is no stanza."""
    speaks: Callable[[], bool]
    """This node is the one that carries what is kept."""
    tell_nodes: Callable[[str, str], None]


class Reach:
    """Start it once the node serves; `node` and `server` know no other part of this package."""

    def __init__(
        self, border: Border, keys: Sequence[NamesKey], parts: NodeParts, gone: Gone | None = None
    ) -> None:
        self._border = border
        self._keys = keys
        self._parts = parts
        store = parts.store
        self.sight = Sight(parts.sessions, self._is_of, parts.presence.probe, border.others)
        self._commits = store.group_commit(leave_sqlite, leave_postgresql)
        self.companies = CompanyMap(store, border, self._heard_of_companies)
        self.homes = Homes(border, keys, store.home_names, gone, self.companies, clock=time.monotonic)
        self.directory = WideDirectory(parts.here, self.homes)
        self.abroad = Abroad(
            border,
            self.homes,
            lambda abroad: Passing(border, abroad.taken, self.sight.heard, parts.spawn),
            Parts(
                domain=parts.domain,
                sessions=parts.sessions,
                pipeline=parts.pipeline,
                here=parts.here,
                taken=Taken(store.accounts.by_localpart, store.accounts.by_id),
                put=self._put,
                leaves=lambda region, company: self.carrier.make_room(region, company),
                poke=self._poke,
                outbox=store.outbox,
                agreed=Agreeing(parts.agreements, parts.may, parts.catch_up).take,
                gone_to=self.homes.went_to,
                limits=parts.limits,
                now=store.now,
            ),
        )
        self.carrier = Carrier(
            border,
            store.outbox,
            Ways(
                replies=self.abroad.taken,
                moved=lambda to: self.homes.forget(to.partition("@")[0]),
                undelivered=self.abroad.undelivered,
                heard=self.sight.heard,
                speaks=parts.speaks,
            ),
            store.now,
        )
        self._runs: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        """Something of companies here was changed."""

    async def start(self) -> None:
        """Reach other regions, and be reached, from now on."""
        await self.companies.start()
        entered = await self._parts.store.home_names.complete(self._keys)
        if entered:
            log.info("%d people were entered for the questions of other regions", entered)
        self._parts.pipeline.reach(self.abroad.deliver, self.directory)
        self._parts.presence.elsewhere = self._may_be_elsewhere
        self._parts.agreements.cross = self._cross
        await self.homes.start()
        await LoginHomes(self._border, self._parts.store.home_names).start()
        await self.abroad.start()
        await self.carrier.start()
        self._runs = [
            asyncio.create_task(
                self._regularly(TELL_COMPANIES_S, self.companies.tell, news=self._news), name="companies"
            ),
            asyncio.create_task(self._regularly(TIDY_S, self._tidy), name="arrivals"),
            # Every node counts what waits: it lets nobody in once that is too much, and not all of them carry.
            asyncio.create_task(self._regularly(TIDY_S, self.carrier.look, by_all=True), name="waiting"),
            asyncio.create_task(self.sight.run(self.abroad.passing.ping), name="regions"),
        ]

    async def stop(self) -> None:
        """What is kept is carried by the next node, or after the next start."""
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        await self.carrier.stop()
        await self.homes.close()
        await self._commits.close()

    @property
    def others(self) -> Sequence[str]:
        """The other regions that keep data."""
        return self._border.others

    def waiting(self, region: str) -> int:
        """How much waits for a region, as far as this node has counted."""
        return sum(count for (to, _), count in self.carrier.waiting.items() if to == region)

    async def lives_elsewhere(self, bare: str) -> bool:
        """A bare JID is of somebody of another region, or may be: one does not answer."""
        try:
            return await self.homes.is_taken(bare.partition("@")[0])
        except StanzaError:
            return True

    async def changed(self, change: Change) -> None:
        """Something of accounts or companies was written."""
        match change.kind:
            case ChangeKind.ACCOUNT_ADDED | ChangeKind.ACCOUNT_CHANGED if change.account_id:
                await self._parts.store.home_names.renew(change.company_id, change.account_id, self._keys)
            case ChangeKind.ACCOUNT_ARRIVED if change.account_id:
                await self._parts.store.home_names.renew(change.company_id, change.account_id, self._keys)
                self.homes.forget_all()
            case ChangeKind.ACCOUNT_MOVED:
                self.homes.forget_all()
            case ChangeKind.COMPANY_ADDED | ChangeKind.COMPANY_CHANGED:
                self._news.set()
                self.homes.forget_all()

    def told(self, topic: str, region: str) -> None:
        """What another node of this region said."""
        if topic == TOPIC:
            self.carrier.poke(region)

    def _may_be_elsewhere(self, bare: str) -> bool:
        localpart, _, domain = bare.partition("@")
        if domain != self._parts.domain:
            return False
        try:
            return self._parts.here.peek(localpart) is None
        except KeyError:
            return True

    async def _heard_of_companies(self) -> None:
        """What is known of their people is of before; whoever applies the change must not judge by it."""
        self.homes.forget_all()
        await self._parts.catch_up()

    def _is_of(self, bare: str, region: str) -> bool:
        try:
            account = self.homes.peek(bare.partition("@")[0])
        except KeyError:
            return self._may_be_elsewhere(bare)  # perhaps; asking tells
        return account is not None and account.region == region

    async def _cross(self, crossing: Crossing) -> None:
        """What somebody here agreed on with somebody abroad, beside all stanzas."""
        one, other, domain = crossing.one, crossing.other, self._parts.domain
        bare, to = f"{one.localpart}@{domain}", f"{other.localpart}@{domain}"
        at = self._parts.store.now()
        parcel = Parcel(0, bare, Who.of(one), to, written(crossing, bare, to), int(at * 1000))
        await self._put(Leaving(one.id, other.region, encode(parcel), int(at)))
        self._poke(other.region)

    async def _put(self, leaving: Leaving) -> None:
        batch = self._commits.add(leaving, len(leaving.parcel))
        await until_settled(batch)
        if batch.error is not None:
            raise batch.error

    def _poke(self, region: str) -> None:
        self.carrier.poke(region)
        self._parts.tell_nodes(TOPIC, region)

    async def _tidy(self) -> None:
        await self._parts.store.outbox.forget_arrivals(int(self._parts.store.now()) - ARRIVALS_S)

    async def _regularly(
        self,
        every_s: float,
        work: Callable[[], Awaitable[None]],
        *,
        by_all: bool = False,
        news: asyncio.Event | None = None,
    ) -> None:
        """By the node that speaks for its region, or by all; what fails is tried the next time, or at news."""
        news = news or asyncio.Event()
        while True:
            try:
                if by_all or self._parts.speaks():
                    await work()
            except Exception as error:
                if is_outage(error):
                    log.warning("work for other regions waits until the database answers")
                else:
                    log.exception("work for other regions failed; it is tried again")
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await news.wait()
            news.clear()
