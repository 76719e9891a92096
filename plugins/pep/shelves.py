"""What accounts have published, as far as it must be known at once: nodes, and each node's last item."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakValueDictionary

from rainbow_xmpp.plugin import Account, Facts, Services
from rainbow_xmpp.plugins.pep.store import LAST_IN_MEMORY_BYTES, PersonalNodes
from rainbow_xmpp.plugins.pep.values import EMPTY, Node, Shelf

MOST_SHELVES = 100_000
TOPIC = "pep"
"""Of what nodes of a cluster tell each other."""


class Whose(NamedTuple):
    """An account, by its bare JID."""

    id: str


class Shelves:
    """Nodes by account, in memory: read many at once when they are lacking, changed by whoever writes."""

    def __init__(self, services: Services, kept: PersonalNodes) -> None:
        self._services = services
        self._kept = kept
        self._facts: Facts[Whose, Shelf] = Facts(self._read, otherwise=EMPTY, most=MOST_SHELVES)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.is_used = True
        """Anybody has a node; while nobody has, nothing is looked up at a login."""

    async def start(self) -> None:
        self.is_used = await self._kept.exist()

    async def close(self) -> None:
        await self._facts.close()

    async def of(self, account: Account) -> Shelf:
        """All nodes of an account."""
        if not self.is_used:
            return EMPTY
        whose = Whose(self._services.bare_jid(account))
        shelf = await self._facts.fetch(whose)
        if shelf is not EMPTY and shelf.owner_id != account.id:  # somebody else had this address before
            self._facts.forget(whose.id)
            shelf = await self._facts.fetch(whose)
        return shelf if shelf.owner_id == account.id else EMPTY

    def lacking(self, addresses: Iterable[str]) -> list[str]:
        """Of these bare JIDs, whose nodes are not in memory."""
        at_hand = self._facts.at_hand
        return [bare for bare in addresses if bare not in at_hand]

    async def fetch(self, addresses: Iterable[str]) -> None:
        """Have their nodes in memory, with one question."""
        await self._facts.fetch_many(Whose(bare) for bare in addresses)

    def at_hand(self, bare: str) -> Shelf:
        """Of a bare JID; empty when it is not in memory. Whose it is must be compared with the account's id."""
        return self._facts.at_hand.get(bare, EMPTY)

    def changed(self, account: Account, node: str, now: Node | None) -> None:
        """A node was written, or is gone. Only in the account's turn."""
        bare = self._services.bare_jid(account)
        before = self._facts.at_hand.get(bare)
        self.is_used = True
        self._services.tell_nodes(TOPIC, bare)
        if before is None or before.owner_id not in ("", account.id):
            self._facts.forget(bare)
            return
        nodes = {name: each for name, each in before.nodes.items() if name != node}
        if now is not None:
            nodes[node] = _without_large(now)
        self._facts.learn(Whose(bare), Shelf(account.id, nodes))

    def forget(self, account_id: str) -> None:
        """The account has gone, or is called otherwise."""
        for bare in [b for b, shelf in self._facts.at_hand.items() if shelf.owner_id == account_id]:
            self._facts.forget(bare)

    def changed_elsewhere(self, bare: str) -> None:
        """Another node wrote; it is read again when it is needed."""
        self.is_used = True
        self._facts.forget(bare)

    async def renew(self) -> None:
        """What other servers wrote is known from now on; who is not connected is dropped."""
        self.is_used = self.is_used or await self._kept.exist()
        await self._facts.renew([Whose(bare) for bare in self._services.sessions.homes])

    def turn(self, account: Account) -> asyncio.Lock:
        """Changes of one account come one after the other, in the database, in memory and as notifications."""
        return self._turns.setdefault(account.id, asyncio.Lock())

    async def _read(self, asked: Sequence[Whose]) -> dict[str, Shelf]:
        by_localpart = {each.id.partition("@")[0]: each.id for each in asked}
        found = await self._kept.shelves(list(by_localpart))
        return {by_localpart[localpart]: shelf for localpart, shelf in found.items()}


def _without_large(node: Node) -> Node:
    last = node.last
    if last is None or len(last.payload) <= LAST_IN_MEMORY_BYTES:
        return node
    return replace(node, last=last._replace(payload=b""))
