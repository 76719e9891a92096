"""What clients ask about anybody's nodes: whoever comes here about somebody else has passed the gate."""

from __future__ import annotations

from rainbow_xmpp.plugin import Context, Element, Services, on_iq
from rainbow_xmpp.plugins.pep import faults, syntax
from rainbow_xmpp.plugins.pep.access import Access
from rainbow_xmpp.plugins.pep.audience import Audience
from rainbow_xmpp.plugins.pep.desk import Desk
from rainbow_xmpp.plugins.pep.node_config import SendLast
from rainbow_xmpp.plugins.pep.shelves import Shelves
from rainbow_xmpp.plugins.pep.syntax import OWNER, PUBSUB
from rainbow_xmpp.plugins.pep.values import Affiliation


class Requests:
    """Part of the plugin."""

    def __init__(
        self, services: Services, shelves: Shelves, access: Access, desk: Desk, audience: Audience
    ) -> None:
        self._services = services
        self._shelves = shelves
        self._access = access
        self._desk = desk
        self._audience = audience

    @on_iq("get", PUBSUB, to="account")
    async def read(self, ctx: Context, pubsub: Element) -> bytes:
        """Items (§6.5); what the asker is to nodes (§5.6, §5.7)."""
        action, element = syntax.action_of(pubsub)
        match action:
            case "items":
                return await self._items(ctx, element)
            case "affiliations":
                return syntax.own_affiliations_answer(await self._affiliations(ctx))
            case "subscriptions":
                return syntax.subscriptions_answer(await self._subscriptions(ctx, element.get("node", "")))
        raise faults.unsupported(action)

    async def _items(self, ctx: Context, element: Element) -> bytes:
        name, item_ids, most = syntax.node_of(element), syntax.item_ids_in(element), syntax.most_in(element)
        node = (await self._shelves.of(ctx.target)).nodes.get(name)
        if node is None:
            raise faults.not_found()
        await self._access.check(ctx.sender, ctx.target, node)
        return syntax.items_answer(name, await self._desk.items(ctx.target, name, item_ids, most))

    async def _affiliations(self, ctx: Context) -> dict[str, Affiliation]:
        nodes = (await self._shelves.of(ctx.target)).nodes
        if ctx.is_own:
            return dict.fromkeys(nodes, Affiliation.OWNER)
        bare = self._services.bare_jid(ctx.sender)
        return {name: node.affiliations[bare] for name, node in nodes.items() if bare in node.affiliations}

    async def _subscriptions(self, ctx: Context, only: str) -> list[tuple[str, str]]:
        """What the asker subscribed to by asking for it."""
        bare = self._services.bare_jid(ctx.sender)
        nodes = (await self._shelves.of(ctx.target)).nodes.values()
        return [
            (node.name, jid)
            for node in nodes
            if not only or node.name == only
            for jid in sorted(node.subscribers)
            if jid.partition("/")[0] == bare
        ]

    @on_iq("set", PUBSUB, to="contact")
    async def subscribe(self, ctx: Context, pubsub: Element) -> bytes:
        """Subscribe and unsubscribe (§6.1, §6.2); nobody publishes for somebody else (XEP-0163 §3.2)."""
        action, element = syntax.action_of(pubsub)
        if action in ("publish", "retract", "create"):
            raise faults.not_yours()
        if action in ("subscribe", "unsubscribe"):
            return await self._subscription(ctx, action, element)
        raise faults.unsupported(action)

    async def _subscription(self, ctx: Context, action: str, element: Element) -> bytes:
        name, jid = (
            syntax.node_of(element),
            syntax.subscriber_in(element, self._services.bare_jid(ctx.sender)),
        )
        owner = ctx.target
        node = (await self._shelves.of(owner)).nodes.get(name)
        if node is None:
            raise faults.not_found()
        if action == "unsubscribe":
            if not jid:
                raise faults.not_yours()
            await self._desk.unsubscribe(owner, name, [jid])
            return syntax.subscription_answer(name, jid, "none")
        if not jid:
            raise faults.invalid_jid()
        await self._access.check(ctx.sender, owner, node)
        node = await self._desk.subscribe(owner, name, jid)
        if ctx.session is not None and node.config.send_last_published_item is not SendLast.NEVER:
            await self._audience.send_last_of(owner, node, ctx.session)
        return syntax.subscription_answer(name, jid, "subscribed")

    @on_iq("get", OWNER, to="contact")
    def refuse_reading_own(self, ctx: Context, pubsub: Element) -> None:
        raise faults.not_yours()

    @on_iq("set", OWNER, to="contact")
    def refuse_change_own(self, ctx: Context, pubsub: Element) -> None:
        raise faults.not_yours()
