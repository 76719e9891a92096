"""What service discovery says of accounts and their nodes (XEP-0060 §5)."""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    JID,
    Context,
    DiscoInfo,
    DiscoItem,
    Identity,
    Services,
    disco_info,
    disco_items,
)
from rainbow_xmpp.plugins.pep.access import Access
from rainbow_xmpp.plugins.pep.desk import Desk
from rainbow_xmpp.plugins.pep.metadata import metadata_of
from rainbow_xmpp.plugins.pep.shelves import Shelves
from rainbow_xmpp.plugins.pep.store import PersonalNodes
from rainbow_xmpp.plugins.pep.values import Node
from rainbow_xmpp.xml import names


class Discovery:
    """Part of the plugin."""

    def __init__(
        self, services: Services, kept: PersonalNodes, shelves: Shelves, access: Access, desk: Desk
    ) -> None:
        self._services = services
        self._kept = kept
        self._shelves = shelves
        self._access = access
        self._desk = desk

    @disco_info(to="account")
    def is_service(self, ctx: Context, node: str) -> DiscoInfo:
        """XEP-0163 §6.1."""
        return DiscoInfo.of([Identity("pubsub", "pep")])

    @disco_info(to="account", node=None)
    async def describe(self, ctx: Context, node: str) -> DiscoInfo | None:
        """A node (XEP-0060 §5.3, §5.4); one that the asker may not see looks like none."""
        found = await self._visible(ctx, node)
        if found is None:
            return None
        form = metadata_of(found, self._services.bare_jid(ctx.target))
        return DiscoInfo.of([Identity("pubsub", "leaf")], [names.PUBSUB], [form])

    @disco_items(to="account")
    async def list_nodes(self, ctx: Context, node: str) -> list[DiscoItem]:
        """The nodes that the asker may see (XEP-0163 §6.2)."""
        nodes = (await self._shelves.of(ctx.target)).nodes.values()
        jid = JID.parse(self._services.bare_jid(ctx.target))
        return [
            DiscoItem(jid, each.name, each.config.node_title)
            for each in nodes
            if await self._access.refusal(ctx.sender, ctx.target, each) is None
        ]

    @disco_items(to="account", node=None)
    async def list_items(self, ctx: Context, node: str) -> list[DiscoItem] | None:
        """The items of a node (XEP-0060 §5.5)."""
        if await self._visible(ctx, node) is None:
            return None
        jid = JID.parse(self._services.bare_jid(ctx.target))
        found = await self._kept.item_ids(ctx.target, node, most=self._desk.room.items)
        return [DiscoItem(jid, name=item_id) for item_id in found]

    async def _visible(self, ctx: Context, name: str) -> Node | None:
        node = (await self._shelves.of(ctx.target)).nodes.get(name)
        if node is None or await self._access.refusal(ctx.sender, ctx.target, node) is not None:
            return None
        return node
