"""What an account does with its own nodes: publish, take back, create, configure, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from rainbow_xmpp.plugin import (
    Account,
    Condition,
    Element,
    Event,
    Published,
    PublishedItem,
    Services,
    StanzaError,
    TakenBack,
)
from rainbow_xmpp.plugins.pep import events, faults
from rainbow_xmpp.plugins.pep.audience import Audience
from rainbow_xmpp.plugins.pep.node_config import DEFAULT, NodeConfig, check, configured, meets
from rainbow_xmpp.plugins.pep.shelves import Shelves
from rainbow_xmpp.plugins.pep.store import Change, PersonalNodes
from rainbow_xmpp.plugins.pep.values import Affiliation, Item, Node

NOBODY: Mapping[str, Affiliation] = {}
MOST_AFFILIATIONS = MOST_SUBSCRIBERS = 1000
"""Of one node."""


class Room(NamedTuple):
    """How much one account may keep."""

    nodes: int
    items: int
    """In one node."""
    item_bytes: int
    bytes: int


class Desk:
    """Changes of an account's nodes, one after the other; each is told when it is on the disk."""

    def __init__(
        self, services: Services, kept: PersonalNodes, shelves: Shelves, audience: Audience, room: Room
    ) -> None:
        self._services = services
        self._kept = kept
        self._shelves = shelves
        self._audience = audience
        self.room = room

    @asynccontextmanager
    async def _turn(self, owner: Account) -> AsyncIterator[None]:
        async with self._shelves.turn(owner):
            yield

    async def _tell_plugins(self, event: Event) -> None:
        """Other plugins hear of it when the turn is over, and may publish more."""
        pending = self._services.tell(event)
        if pending is not None:
            await pending

    async def _tell(self, owner: Account, node: Node, event: bytes) -> None:
        """Whoever is to be told and may not see the node any more is subscribed no longer (XEP-0163 §7.1)."""
        lost = await self._audience.tell(owner, node, event)
        if lost:
            await self._resubscribe(owner, node.name, lambda subscribers: subscribers - lost)

    async def _resubscribe(
        self, owner: Account, name: str, decide: Callable[[frozenset[str]], frozenset[str]]
    ) -> Node:
        """Others subscribe to a node from now on. Only in the account's turn."""
        async with self._kept.change(owner) as change:
            node = _there(await change.node(name))
            node = replace(node, subscribers=decide(node.subscribers))
            await change.put_subscribers(name, node.subscribers)
        self._shelves.changed(owner, name, node)
        return node

    async def subscribe(self, owner: Account, name: str, jid: str) -> Node:
        """Somebody who may see a node subscribes to it (§6.1). Raises StanzaError."""

        def decide(subscribers: frozenset[str]) -> frozenset[str]:
            if jid not in subscribers and len(subscribers) >= MOST_SUBSCRIBERS:
                raise faults.too_many_subscriptions()
            return subscribers | {jid}

        async with self._turn(owner):
            return await self._resubscribe(owner, name, decide)

    async def unsubscribe(self, owner: Account, name: str, jids: Collection[str]) -> None:
        """These subscribe no longer (§6.2, §8.8.2). Raises StanzaError."""

        def decide(subscribers: frozenset[str]) -> frozenset[str]:
            if not subscribers.issuperset(jids):
                raise faults.not_subscribed()
            return subscribers.difference(jids)

        async with self._turn(owner):
            await self._resubscribe(owner, name, decide)

    async def publish(
        self, owner: Account, name: str, item_id: str, payload: bytes, options: Mapping[str, Any]
    ) -> Item:
        """Publish an item to a node, which is made when it is not there (XEP-0060 §7.1). Raises StanzaError.

        `options` are preconditions, or the configuration of a new node, by the names of `NodeConfig`.
        """
        if len(payload) > self.room.item_bytes:
            raise faults.payload_too_big(self.room.item_bytes)
        async with self._turn(owner):
            async with self._kept.change(owner) as change:
                node = await self._node_for(change, name, options)
                if not payload and node.config.deliver_payloads:
                    raise faults.payload_required()
                item = change.stamped(item_id, payload)
                if node.config.persist_items:
                    if await change.bytes_beside(name, item.id) + len(payload) > self.room.bytes:
                        raise faults.full(f"at most {self.room.bytes} bytes are kept")
                    await change.put_item(name, item, most=node.config.kept_items(self.room.items))
                    node = replace(node, last=item)
            self._shelves.changed(owner, name, node)
            if node.config.deliver_notifications:
                event = events.published(name, item, with_payload=node.config.deliver_payloads)
                await self._tell(owner, node, event)
        await self._tell_plugins(Published(owner, name, PublishedItem(item.id, payload)))
        return item

    async def _node_for(self, change: Change, name: str, options: Mapping[str, Any]) -> Node:
        """The node that is published to, made when need be (§7.1.4, §7.1.5)."""
        node = await change.node(name)
        if node is None:
            config = replace(DEFAULT, **options)
            check(config, self.room.items)
            return await self._make(change, name, config)
        if not meets(node.config, options):
            raise faults.precondition_not_met()
        return node

    async def _make(self, change: Change, name: str, config: NodeConfig) -> Node:
        if await change.count() >= self.room.nodes:
            raise faults.full(f"at most {self.room.nodes} nodes are kept")
        await change.put_node(name, config, NOBODY)
        made = await change.node(name)
        assert made is not None, "it was just made"
        return made

    async def create(self, owner: Account, name: str, form: Element | None) -> None:
        """Make a node (§8.1). Raises StanzaError."""
        config = configured(form, DEFAULT, self.room.items)
        async with self._turn(owner):
            async with self._kept.change(owner) as change:
                if await change.node(name) is not None:
                    raise StanzaError(Condition.CONFLICT)
                node = await self._make(change, name, config)
            self._shelves.changed(owner, name, node)

    async def configure(self, owner: Account, name: str, form: Element) -> None:
        """Configure a node (§8.2). Raises StanzaError."""
        async with self._turn(owner):
            async with self._kept.change(owner) as change:
                before = _there(await change.node(name))
                node = replace(before, config=configured(form, before.config, self.room.items))
                await change.put_node(name, node.config, node.affiliations)
                if not node.config.persist_items:
                    await change.purge(name)
                    node = replace(node, last=None)
                else:
                    await change.drop_beyond(name, node.config.kept_items(self.room.items))
            self._shelves.changed(owner, name, node)
            if node.config.notify_config and node.config != before.config:
                shown = node.config.to_result() if node.config.deliver_payloads else None
                await self._tell(owner, node, events.configured(name, shown))

    async def affiliate(self, owner: Account, name: str, wanted: Mapping[str, Affiliation]) -> None:
        """Change who is what to a node (§8.9.2). Raises StanzaError."""
        async with self._turn(owner):
            async with self._kept.change(owner) as change:
                before = _there(await change.node(name))
                merged = {**before.affiliations, **wanted}
                after = {jid: each for jid, each in merged.items() if each is not Affiliation.NONE}
                if len(after) > MOST_AFFILIATIONS:
                    raise faults.full(f"a node has at most {MOST_AFFILIATIONS} affiliations")
                await change.put_node(name, before.config, after)
            self._shelves.changed(owner, name, replace(before, affiliations=after))

    async def retract(self, owner: Account, name: str, item_id: str, *, notify: bool) -> None:
        """Take back an item (§7.2). Raises StanzaError."""
        async with self._turn(owner):
            async with self._kept.change(owner) as change:
                node = _persistent(_there(await change.node(name)))
                if not await change.drop_item(name, item_id):
                    raise faults.not_found()
                node = _there(await change.node(name))
            self._shelves.changed(owner, name, node)
            if notify or node.config.notify_retract:
                await self._tell(owner, node, events.retracted(name, [item_id]))
        await self._tell_plugins(TakenBack(owner, name, (item_id,)))

    async def purge(self, owner: Account, name: str) -> None:
        """Take back every item (§8.5). Raises StanzaError."""
        async with self._turn(owner):
            async with self._kept.change(owner) as change:
                node = _persistent(_there(await change.node(name)))
                await change.purge(name)
            self._shelves.changed(owner, name, replace(node, last=None))
            await self._tell(owner, node, events.purged(name))
        await self._tell_plugins(TakenBack(owner, name, ()))

    async def delete(self, owner: Account, name: str) -> None:
        """Delete a node with its items (§8.4). Raises StanzaError."""
        async with self._turn(owner):
            async with self._kept.change(owner) as change:
                node = _there(await change.node(name))
                await change.drop_node(name)
            self._shelves.changed(owner, name, None)
            if node.config.notify_delete:
                await self._audience.tell(owner, node, events.deleted(name))
        await self._tell_plugins(TakenBack(owner, name, ()))

    async def items(self, owner: Account, name: str, ids: Sequence[str], most: int | None) -> list[Item]:
        """What is kept in a node, the oldest first (§6.5)."""
        kept = min(self.room.items, most) if most is not None else self.room.items
        return (await self._kept.items(owner, name, most=kept, ids=ids))[::-1]


def _there(node: Node | None) -> Node:
    if node is None:
        raise faults.not_found()
    return node


def _persistent(node: Node) -> Node:
    if not node.config.persist_items:
        raise faults.unsupported("persistent-items")
    return node
