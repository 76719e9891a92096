"""Carries contact requests and invitations to whoever has the address, beside the sender's own stanzas.

Whoever asks must not learn from the time whether there is somebody: for people of other companies they do not exist.
So a request is written down before anybody looks, with the change of the sender's own roster, and the sender's lane
goes on. What is written for somebody who is there, an agreement and an item in their roster, is written for nobody as
well, in as many transactions, and taken back: not even whoever waits for the database behind it can tell.

A request survives the end of the server: it is carried after the next start, perhaps once more, which changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.store.effort import Part, measured
from rainbow_xmpp.store.joined import joining
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.values import Account, RosterItem, Subscription
from rainbow_xmpp.xml import scan_again

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from rainbow_xmpp.company.agreements import Agreements
    from rainbow_xmpp.session import Session
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.contact_requests import ContactRequest

log = logging.getLogger(__name__)

MOST_OF_ONE = 8
"""So many requests of one account may be on their way; the next ones wait in its sessions' lanes."""
CARRY_S = 20.0
"""How long one may take, before it is left for later."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What the courier does with what it carries."""

    route: Callable[[Passage], Awaitable[None] | None]
    invite: Callable[[Account, str, str, int | None], Awaitable[None]]
    """Invite whoever is called so, if the inviter may: (inviter, address, note, end)."""
    carried: Callable[[], Awaitable[None]]
    """Called after each request: what it changed is applied."""


class Letters:
    """What is to be written down with a change of somebody's roster."""

    def __init__(self, *, is_ours: bool, is_behind: bool) -> None:
        self.stanzas: list[bytes] = []
        self._is_ours = is_ours
        self._is_behind = is_behind

    def are_for(self, item: RosterItem | None) -> bool:
        """The owner of this roster item cannot know whether there is such a contact, or others are on their way there.

        Contacts who are subscribed, or asked themselves, are known to be there.
        """
        is_known = item is not None and (item.subscription is not Subscription.NONE or item.pending_in)
        return self._is_ours and (self._is_behind or not is_known)


class Courier:
    """One request after the other, in the order of asking."""

    def __init__(
        self,
        store: Store,
        agreements: Agreements,
        domain: str,
        ways: Ways,
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        self._store = store
        self._agreements = agreements
        self._domain = domain
        self._ways = ways
        self._spawn = spawn
        self._waiting: deque[ContactRequest] = deque()
        self._of: Counter[str] = Counter()
        self._is_walking = False
        self._step = asyncio.Condition()

    def __len__(self) -> int:
        """How many are on their way."""
        return len(self._waiting)

    async def room_for(self, owner: Account) -> None:
        """Wait until one more request of this account may be written down."""
        if self._of[owner.id] >= MOST_OF_ONE:
            async with self._step:
                await self._step.wait_for(lambda: self._of[owner.id] < MOST_OF_ONE)

    @asynccontextmanager
    async def writing(self, session: Session, to: str) -> AsyncIterator[Letters]:
        """What the first transaction within puts into the letters is kept by it, and carried afterwards."""
        owner = session.account
        is_ours = to.rpartition("@")[2] == self._domain
        await self.room_for(owner)
        letters = Letters(is_ours=is_ours, is_behind=self._has(owner, to))
        kept: list[ContactRequest] = []

        async def keep(connection: AsyncConnection) -> None:
            requests, stanzas = self._store.contact_requests, letters.stanzas
            kept.extend([await requests.put(connection, owner, to, stanza=stanza) for stanza in stanzas])

        with joining(keep):
            yield letters
        self.take(*kept)

    def _has(self, owner: Account, to: str) -> bool:
        """Something of this account is on its way to this address."""
        return self._of[owner.id] > 0 and any(
            each.owner_id == owner.id and each.to == to for each in self._waiting
        )

    def take(self, *requests: ContactRequest) -> None:
        """Carry what was written down."""
        known = {each.id for each in self._waiting}
        for request in requests:
            if request.id not in known:
                self._waiting.append(request)
                self._of[request.owner_id] += 1
        if self._waiting and not self._is_walking:
            self._is_walking = True
            self._spawn(self._walk())

    async def look(self) -> None:
        """Carry what is left from before: a stop, a fault of the database."""
        if not self._is_walking:
            self.take(*await self._store.contact_requests.left())

    async def invite(self, inviter: Account, to: str, *, note: str, expires_at: int | None) -> None:
        """Let somebody invite whoever has this e-mail address or JID. Returns when that is written down."""
        await self.room_for(inviter)
        self.take(await self._store.contact_requests.add(inviter, to, note=note, expires_at=expires_at))

    # -- on the way ------------------------------------------------------------------------------------

    async def _walk(self) -> None:
        try:
            while self._waiting:
                await self._next(self._waiting[0])
                await self._arrived()
        finally:
            self._is_walking = False
            if self._waiting:  # stopped; they are in the database
                self._waiting.clear()
                self._of.clear()

    async def _next(self, request: ContactRequest) -> None:
        try:
            async with asyncio.timeout(CARRY_S):
                await self._carry(request)
        except Exception as error:
            if is_outage(error):
                log.warning("a contact request waits until the database answers")
            else:
                log.exception("a contact request waits for another attempt")
            return
        await self._ways.carried()

    async def _arrived(self) -> None:
        done = self._waiting.popleft()
        self._of[done.owner_id] -= 1
        if not self._of[done.owner_id]:
            del self._of[done.owner_id]
        async with self._step:
            self._step.notify_all()

    async def _carry(self, request: ContactRequest) -> None:
        requests = self._store.contact_requests
        sender = await self._store.accounts.by_id(request.owner_id)
        if sender is None or not await requests.is_there(request):
            return
        if sender.may_log_in:
            with measured() as spent:
                await self._hand_over(sender, request)
            await self._rehearse(sender, request, spent)
        await requests.remove(request)

    async def _hand_over(self, sender: Account, request: ContactRequest) -> None:
        if request.stanza is None:
            await self._ways.invite(sender, request.to, request.note, request.expires_at)
            return
        pending = self._ways.route(self._passage(sender, request.to, request.stanza))
        if pending is not None:
            await pending

    async def _rehearse(self, sender: Account, request: ContactRequest, spent: set[Part]) -> None:
        """What was left out: with nobody, everything."""
        note, is_end = request.note, False
        if request.stanza is not None:
            view = scan_again(request.stanza)
            note, is_end = view.text_of("status") or "", view.attrs["type"] != "subscribe"
        if Part.AGREEMENT not in spent:
            await self._agreements.rehearse(sender, note=note, is_end=is_end)
        if request.stanza is not None and Part.ROSTER not in spent:
            await self._rehearse_roster(sender, request)

    async def _rehearse_roster(self, sender: Account, request: ContactRequest) -> None:
        requests, bare = self._store.contact_requests, f"{sender.localpart}@{self._domain}"
        asking = RosterItem(contact=bare, pending_in=True, request=request.stanza, listed=False)

        async def touch(connection: AsyncConnection) -> None:
            await requests.touch(connection, request)

        with joining(touch):
            await self._store.rosters.rehearse(sender.company.id, sender.id, asking)

    def _passage(self, sender: Account, to: str, stanza: bytes) -> Passage:
        bare, view = f"{sender.localpart}@{self._domain}", scan_again(stanza)
        type_ = view.attrs["type"]
        return Passage("presence", type_, view, stanza, bare, sender, None, to, None, None, None)
