"""What clients ask about their own account's nodes."""

from __future__ import annotations

from rainbow_xmpp import ids
from rainbow_xmpp.plugin import Account, Condition, Context, Element, Services, StanzaError, on_iq
from rainbow_xmpp.plugins.pep import faults, syntax
from rainbow_xmpp.plugins.pep.desk import Desk
from rainbow_xmpp.plugins.pep.node_config import DEFAULT
from rainbow_xmpp.plugins.pep.shelves import Shelves
from rainbow_xmpp.plugins.pep.syntax import OWNER, PUBSUB
from rainbow_xmpp.plugins.pep.values import Node
from rainbow_xmpp.xml import names


class OwnRequests:
    """Part of the plugin."""

    def __init__(self, services: Services, shelves: Shelves, desk: Desk) -> None:
        self._services = services
        self._shelves = shelves
        self._desk = desk

    @on_iq("set", PUBSUB, to="self")
    async def change(self, ctx: Context, pubsub: Element) -> bytes | None:
        """Publish, take back, create (XEP-0060 §7, §8.1)."""
        action, element = syntax.action_of(pubsub)
        match action:
            case "publish":
                return await self._publish(ctx.target, pubsub, element)
            case "retract":
                await self._retract(ctx.target, element)
                return None
            case "create":
                return await self._create(ctx.target, pubsub, element)
            case "subscribe":  # to one's own: so it is anyway (§9.1.1)
                node = await self._own(ctx.target, element)
                return syntax.subscription_answer(node.name, element.get("jid", ""), "subscribed")
        raise faults.unsupported(action)

    async def _publish(self, owner: Account, pubsub: Element, publish: Element) -> bytes:
        node = syntax.node_of(publish)
        item_id, payload, _ = syntax.published_in(publish)
        await self._desk.publish(owner, node, item_id, payload, syntax.publish_options(pubsub))
        return syntax.published_answer(node, item_id)

    async def _retract(self, owner: Account, retract: Element) -> None:
        node, item_ids = syntax.node_of(retract), syntax.item_ids_in(retract)
        if len(item_ids) != 1 or not item_ids[0]:
            raise faults.item_required()
        await self._desk.retract(owner, node, item_ids[0], notify=syntax.is_true(retract.get("notify")))

    async def _create(self, owner: Account, pubsub: Element, create: Element) -> bytes | None:
        node = syntax.node_of(create) if create.get("node") else ids.new_stream_id()
        form = syntax.form_in(pubsub.find(f"{{{names.PUBSUB}}}configure"))
        await self._desk.create(owner, node, form)
        return None if create.get("node") else syntax.created_answer(node)

    @on_iq("get", OWNER, to="self")
    async def read_own(self, ctx: Context, pubsub: Element) -> bytes:
        """What a node is configured as, and who is what to it (§8.2, §8.3, §8.9)."""
        action, element = syntax.action_of(pubsub)
        match action:
            case "default":
                return syntax.default_answer(DEFAULT)
            case "configure":
                node = await self._own(ctx.target, element)
                return syntax.configuration_answer(node.name, node.config)
            case "affiliations":
                node = await self._own(ctx.target, element)
                return syntax.affiliations_answer(self._services.bare_jid(ctx.target), node)
            case "subscriptions":
                return syntax.subscribers_answer(await self._own(ctx.target, element))
        raise faults.unsupported(action)

    async def _own(self, owner: Account, element: Element) -> Node:
        name = syntax.node_of(element)
        node = (await self._shelves.of(owner)).nodes.get(name)
        if node is None:
            raise faults.not_found()
        return node

    @on_iq("set", OWNER, to="self")
    async def change_own(self, ctx: Context, pubsub: Element) -> None:
        """Configure, delete, empty a node; say who is what to it (§8.2, §8.4, §8.5, §8.9)."""
        action, element = syntax.action_of(pubsub)
        owner = ctx.target
        match action:
            case "configure":
                await self._configure(owner, syntax.node_of(element), element)
            case "delete":
                await self._desk.delete(owner, syntax.node_of(element))
            case "purge":
                await self._desk.purge(owner, syntax.node_of(element))
            case "affiliations":
                wanted = syntax.affiliations_in(element)
                await self._desk.affiliate(owner, syntax.node_of(element), wanted)
            case "subscriptions":
                await self._desk.unsubscribe(owner, syntax.node_of(element), syntax.ended_in(element))
            case _:
                raise faults.unsupported(action)

    async def _configure(self, owner: Account, node: str, element: Element) -> None:
        form = syntax.form_in(element)
        if form is None:
            raise StanzaError(Condition.BAD_REQUEST, "a form is missing")
        if form.get("type") == "cancel":  # §8.2.4
            await self._own(owner, element)
            return
        await self._desk.configure(owner, node, form)
