"""Sessions that are resumed on another node than the one that had them (XEP-0198 §5)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

from rainbow_xmpp.cluster.items import Given, Item, Sought
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)

ANSWER_S = 3.0
"""So long the other nodes may take to say whether they have a session."""
MOST_MOVED = 10_000


class Parcels(Protocol):
    """How a session is taken out of one node and put into another (`Restart`)."""

    async def pack(self, resume_id: str, account_id: str) -> tuple[Session, bytes] | None:
        """The account's session that is resumed by this id, without a connection now, and all of it; None for none."""

    async def unpack(self, account: Account, sealed: bytes) -> bool:
        """Put it in here. False when something has ended it meanwhile."""


class Moving:
    """Asks the others for what a client wants to resume here, and answers them."""

    def __init__(
        self,
        parcels: Parcels,
        leave: Callable[[Session], None],
        ask_all: Callable[[Item], int],
        put: Callable[[int, Item], None],
    ) -> None:
        """`leave` takes a session out of the table without a word to anybody; `ask_all` sends to every other node and
        says how many these are, `put` to one."""
        self._parcels = parcels
        self._leave = leave
        self._ask_all = ask_all
        self._put = put
        self._count = 0
        self._asked: dict[int, tuple[asyncio.Future[bytes | None], int]] = {}
        self._arriving = 0
        """Sessions that were given to this node, and are not in its table yet."""
        self._held: dict[str, list[Callable[[], None]]] = {}
        """What is to be done then, by full JID."""
        self._moved: OrderedDict[str, int] = OrderedDict()

    def forward(self, full: str) -> int | None:
        """The node that a session of this full JID has gone to, for what was on its way to it."""
        return self._moved.get(full)

    def hold(self, full: str, again: Callable[[], None], *, is_here: bool) -> bool:
        """Something came for a session that may be arriving: it is done `again` when that is here, in order.

        False: nothing is held for this one, and it `is_here`, or none is arriving.
        """
        if full not in self._held and (is_here or not self._arriving):
            return False
        self._held.setdefault(full, []).append(again)
        return True

    async def seek(self, account: Account, resume_id: str) -> bool:
        """Bring a session here that another node has; False when none of them has it, or none answers in time."""
        self._count += 1
        number, answer = self._count, asyncio.get_running_loop().create_future()
        others = self._ask_all(Sought(number, account.id, resume_id))
        if not others:
            return False
        self._asked[number] = answer, others
        try:
            sealed = await self._answer(answer)
            return sealed is not None and await self._parcels.unpack(account, sealed)
        finally:
            del self._asked[number]
            if answer.done() and not answer.cancelled() and answer.result() is not None:
                self._arrived()

    async def _answer(self, answer: asyncio.Future[bytes | None]) -> bytes | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            log.warning("no node has a session that is sought, as far as they answer")
            return None

    def _arrived(self) -> None:
        self._arriving -= 1
        held, self._held = self._held, {}
        for of_one in held.values():
            for again in of_one:
                again()  # it is held anew for one that is still arriving

    def given(self, item: Given) -> None:
        """What one of those who were asked says."""
        answer, left = self._asked.get(item.id, (None, 0))
        if answer is None or answer.done():
            if item.sealed is not None:
                log.warning("a session came too late to be resumed")
            return
        if item.sealed is not None or left == 1:
            self._arriving += item.sealed is not None
            answer.set_result(item.sealed)
        else:
            self._asked[item.id] = answer, left - 1

    async def give(self, node: int, item: Sought) -> None:
        """Answer a node: with the session, which is gone from here then."""
        sealed: bytes | None = None
        try:
            packed = await self._parcels.pack(item.resume_id, item.account_id)
            if packed is not None:
                session, sealed = packed
                self._leave(session)
                self._moved[session.full] = node
                if len(self._moved) > MOST_MOVED:
                    self._moved.popitem(last=False)
        finally:
            self._put(node, Given(item.id, sealed))


Seek = Callable[[Account, str], Awaitable[bool]]
