"""Personal eventing: every account publishes, and its contacts are told (XEP-0163, XEP-0060)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from rainbow_xmpp import ids
from rainbow_xmpp.plugin import (
    JID,
    Account,
    AccountRemoved,
    Condition,
    Context,
    DiscoInfo,
    DiscoItem,
    Element,
    Event,
    FeaturesLearned,
    Identity,
    InitialPresence,
    Outcome,
    Passage,
    PersonalEventing,
    Plugin,
    PluginOptions,
    Published,
    PublishedItem,
    Services,
    Session,
    SessionEnded,
    Stage,
    StanzaError,
    TakenBack,
    disco_info,
    disco_items,
    every,
    hook,
    on,
    on_iq,
    option,
)
from rainbow_xmpp.plugins.pep import faults, syntax
from rainbow_xmpp.plugins.pep.access import Access
from rainbow_xmpp.plugins.pep.audience import NOTHING, Audience
from rainbow_xmpp.plugins.pep.desk import Desk, Room
from rainbow_xmpp.plugins.pep.metadata import metadata_of
from rainbow_xmpp.plugins.pep.node_config import DEFAULT, options_from
from rainbow_xmpp.plugins.pep.shelves import Shelves
from rainbow_xmpp.plugins.pep.store import PersonalNodes
from rainbow_xmpp.plugins.pep.syntax import OWNER, PUBSUB
from rainbow_xmpp.plugins.pep.values import Affiliation, Node
from rainbow_xmpp.xml import names, serialise

_FEATURES = (
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "auto-create",
    "auto-subscribe",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "filtered-notifications",
    "instant-nodes",
    "item-ids",
    "last-published",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "presence-notifications",
    "pubsub-on-a-jid",
    "publish",
    "publish-options",
    "purge-nodes",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-items",
    "retrieve-subscriptions",
)
"""§10 of XEP-0060, as features of accounts."""


class Pep(
    Plugin,
    PersonalEventing,
    name="pep",
    implements={
        "XEP-0060": '1.30.0, what XEP-0163 needs, without explicit subscriptions and the model "authorize"',
        "XEP-0163": "1.2.2, subscriptions by presence only",
        "XEP-0172": "1.1, published nicknames; others are clients' own",
        "XEP-0222": "1.0",
        "XEP-0223": "1.1.1",
        "XEP-0384": "0.9.1, lists of devices and keys are kept; the rest is clients' own",
    },
    account_features=(names.PUBSUB, *(f"{names.PUBSUB}#{feature}" for feature in _FEATURES)),
):
    """Keeps what accounts publish, and tells those who may know and want to."""

    class Options(PluginOptions):
        max_nodes: int = option(200, "Nodes that one person may have.", ge=1, le=10_000, reload="live")
        max_items: int = option(1000, "Items that are kept in one node.", ge=1, le=100_000, reload="live")
        max_item_bytes: int = option(
            131_072, "Greatest size of one published item, in bytes.", ge=1024, le=1_048_576, reload="live"
        )
        max_bytes: int = option(
            4_194_304,
            "How much one person's items may take, in bytes.",
            ge=65_536,
            le=1_073_741_824,
            reload="live",
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        kept = PersonalNodes(services.store)
        self._kept = kept
        self._shelves = Shelves(services, kept)
        self._access = Access(services, kept)
        self._audience = Audience(services, kept, self._shelves, self._access)
        self._desk = Desk(kept, self._shelves, self._audience, self._room())
        self._served: dict[Session, frozenset[str]] = {}
        """The nodes whose last items a session has got."""

    def _room(self) -> Room:
        options = self.options
        return Room(options.max_nodes, options.max_items, options.max_item_bytes, options.max_bytes)

    def reconfigured(self, before: PluginOptions) -> None:
        self._desk.room = self._room()

    async def start(self) -> None:
        await self._shelves.start()

    async def stop(self) -> None:
        await self._shelves.close()

    # -- requests about one's own nodes ----------------------------------------------------------------------

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
        raise faults.unsupported(_feature(action))

    async def _publish(self, owner: Account, pubsub: Element, publish: Element) -> bytes:
        node = syntax.node_of(publish)
        item_id, payload, _ = syntax.published_in(publish)
        await self._put(owner, node, item_id, payload, syntax.publish_options(pubsub))
        return syntax.published_answer(node, item_id)

    async def _put(
        self, owner: Account, node: str, item_id: str, payload: bytes, options: Mapping[str, Any]
    ) -> None:
        await self._desk.publish(owner, node, item_id, payload, options)
        await self._tell(Published(owner, node, PublishedItem(item_id, payload)))

    async def _tell(self, event: Event) -> None:
        """Other plugins hear of it when it is done, and may publish more."""
        pending = self.services.tell(event)
        if pending is not None:
            await pending

    async def _retract(self, owner: Account, retract: Element) -> None:
        node, item_ids = syntax.node_of(retract), syntax.item_ids_in(retract)
        if len(item_ids) != 1 or not item_ids[0]:
            raise faults.item_required()
        await self._desk.retract(owner, node, item_ids[0], notify=syntax.is_true(retract.get("notify")))
        await self._tell(TakenBack(owner, node, (item_ids[0],)))

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
                return syntax.affiliations_answer(self.services.bare_jid(ctx.target), node)
        raise faults.unsupported(_feature(action))

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
                await self._tell(TakenBack(owner, syntax.node_of(element), ()))
            case "purge":
                await self._desk.purge(owner, syntax.node_of(element))
                await self._tell(TakenBack(owner, syntax.node_of(element), ()))
            case "affiliations":
                wanted = syntax.affiliations_in(element)
                await self._desk.affiliate(owner, syntax.node_of(element), wanted)
            case _:
                raise faults.unsupported(_feature(action))

    async def _configure(self, owner: Account, node: str, element: Element) -> None:
        form = syntax.form_in(element)
        if form is None:
            raise StanzaError(Condition.BAD_REQUEST, "a form is missing")
        if form.get("type") == "cancel":  # §8.2.4
            await self._own(owner, element)
            return
        await self._desk.configure(owner, node, form)

    # -- requests about anybody's ----------------------------------------------------------------------------

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
                return f"<pubsub xmlns='{names.PUBSUB}'><subscriptions/></pubsub>".encode()
        raise faults.unsupported(_feature(action))

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
        bare = self.services.bare_jid(ctx.sender)
        return {name: node.affiliations[bare] for name, node in nodes.items() if bare in node.affiliations}

    @on_iq("set", PUBSUB, to="contact")
    def refuse_change(self, ctx: Context, pubsub: Element) -> None:
        """XEP-0163 §3.2: nobody publishes for somebody else."""
        action, _ = syntax.action_of(pubsub)
        if action in ("publish", "retract", "create"):
            raise faults.not_yours()
        raise faults.unsupported(_feature(action))

    @on_iq("get", OWNER, to="contact")
    def refuse_reading_own(self, ctx: Context, pubsub: Element) -> None:
        raise faults.not_yours()

    @on_iq("set", OWNER, to="contact")
    def refuse_change_own(self, ctx: Context, pubsub: Element) -> None:
        raise faults.not_yours()

    # -- for other plugins -----------------------------------------------------------------------------------

    async def publish(
        self, owner: Account, node: str, item_id: str, payload: Element, **options: str
    ) -> None:
        is_new = node not in (await self._shelves.of(owner)).nodes
        wanted = options_from(options) if is_new else {}
        await self._put(owner, node, item_id, serialise(payload), wanted)

    async def retract(self, owner: Account, node: str, item_id: str) -> bool:
        try:
            await self._desk.retract(owner, node, item_id, notify=True)
        except StanzaError:
            return False
        await self._tell(TakenBack(owner, node, (item_id,)))
        return True

    async def items(
        self, owner: Account, node: str, *, ids: Sequence[str] = (), most: int | None = None
    ) -> list[PublishedItem]:
        if node not in (await self._shelves.of(owner)).nodes:
            return []
        return [PublishedItem(i.id, i.payload) for i in await self._desk.items(owner, node, ids, most)]

    async def last(self, owner: Account, node: str) -> PublishedItem | None:
        found = (await self._shelves.of(owner)).nodes.get(node)
        if found is None or found.last is None:
            return None
        if found.last.payload:
            return PublishedItem(found.last.id, found.last.payload)
        return next(iter(await self.items(owner, node, ids=[found.last.id])), None)

    async def access_model(self, owner: Account, node: str) -> str:
        found = (await self._shelves.of(owner)).nodes.get(node)
        return "" if found is None else str(found.config.access_model)

    # -- service discovery -----------------------------------------------------------------------------------

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
        form = metadata_of(found, self.services.bare_jid(ctx.target))
        return DiscoInfo.of([Identity("pubsub", "leaf")], [names.PUBSUB], [form])

    @disco_items(to="account")
    async def list_nodes(self, ctx: Context, node: str) -> list[DiscoItem]:
        """The nodes that the asker may see (XEP-0163 §6.2)."""
        nodes = (await self._shelves.of(ctx.target)).nodes.values()
        jid = JID.parse(self.services.bare_jid(ctx.target))
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
        jid = JID.parse(self.services.bare_jid(ctx.target))
        found = await self._kept.item_ids(ctx.target, node, most=self.options.max_items)
        return [DiscoItem(jid, name=item_id) for item_id in found]

    async def _visible(self, ctx: Context, name: str) -> Node | None:
        node = (await self._shelves.of(ctx.target)).nodes.get(name)
        if node is None or await self._access.refusal(ctx.sender, ctx.target, node) is not None:
            return None
        return node

    # -- whoever comes ---------------------------------------------------------------------------------------

    @on(InitialPresence)
    def came(self, event: InitialPresence) -> Awaitable[None] | None:
        """XEP-0163 §4.3.4: the last items, as far as it is known what the client wants."""
        self._served[event.session] = NOTHING
        return self._greet(event.session)

    @on(FeaturesLearned)
    def learned(self, event: FeaturesLearned) -> Awaitable[None] | None:
        """What the client wants is known only now, or it wants more."""
        return self._greet(event.session) if event.session.presence is not None else None

    def _greet(self, session: Session) -> Awaitable[None] | None:
        """None when there is nothing to be sent: a login asks the database nothing while nobody has a node."""
        served = self._served.get(session, NOTHING)
        wanted = self._audience.wanted_by(session) - served
        if not wanted:
            return None
        self._served[session] = served | wanted
        return self._audience.greet(session, wanted) if self._shelves.is_used else None

    @hook(Stage.OBSERVE)
    def approved(self, p: Passage, outcome: Outcome) -> None:
        """A contact was let see an account's presence, and so is subscribed to its nodes from now on."""
        if (
            p.kind == "presence"
            and p.type == "subscribed"
            and outcome is Outcome.DELIVERED
            and p.home is not None
        ):
            self.services.spawn(
                self._welcome(p.sender, [s for s in p.home.sessions if s.presence is not None])
            )

    async def _welcome(self, owner: Account, sessions: list[Session]) -> None:
        await self._shelves.of(owner)
        for session in sessions:
            await self._audience.send_last(owner, session, self._audience.wanted_by(session))

    @on(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        self._served.pop(event.session, None)

    # -- what is in memory -----------------------------------------------------------------------------------

    @on(AccountRemoved)
    def removed(self, event: AccountRemoved) -> None:
        self._shelves.forget(event.account_id)

    @every(minutes=10)
    async def renew(self) -> None:
        """What other servers wrote is known within this time; nodes of people who are not here are dropped."""
        await self._shelves.renew()


def _feature(action: str) -> str:
    """What a service would have to support for this (XEP-0060 §10)."""
    return {"subscriptions": "manage-subscriptions", "options": "subscription-options"}.get(action, action)
