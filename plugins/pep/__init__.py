"""Personal eventing: every account publishes, and its contacts are told (XEP-0163, XEP-0060)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from rainbow_xmpp.plugin import (
    Account,
    AccountRemoved,
    Element,
    FeaturesLearned,
    InitialPresence,
    Mark,
    Outcome,
    Passage,
    PersonalEventing,
    Plugin,
    PluginOptions,
    PublishedItem,
    Services,
    Session,
    SessionEnded,
    Stage,
    StanzaError,
    ToldByNode,
    every,
    hook,
    marks_of,
    on,
    option,
)
from rainbow_xmpp.plugins.pep.access import Access
from rainbow_xmpp.plugins.pep.audience import NOTHING, Audience
from rainbow_xmpp.plugins.pep.desk import Desk, Room
from rainbow_xmpp.plugins.pep.discovery import Discovery
from rainbow_xmpp.plugins.pep.features import FEATURES
from rainbow_xmpp.plugins.pep.node_config import options_from
from rainbow_xmpp.plugins.pep.own_requests import OwnRequests
from rainbow_xmpp.plugins.pep.requests import Requests
from rainbow_xmpp.plugins.pep.shelves import TOPIC, Shelves
from rainbow_xmpp.plugins.pep.store import PersonalNodes
from rainbow_xmpp.xml import serialise


class Pep(
    Plugin,
    PersonalEventing,
    name="pep",
    implements={
        "XEP-0060": '1.30.0, what XEP-0163 needs, without the model "authorize"',
        "XEP-0163": "1.2.2",
        "XEP-0172": "1.1, published nicknames; others are clients' own",
        "XEP-0222": "1.0",
        "XEP-0223": "1.1.1",
        "XEP-0384": "0.9.1, lists of devices and keys are kept; the rest is clients' own",
    },
    account_features=FEATURES,
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
        self._desk = Desk(services, kept, self._shelves, self._audience, self._room())
        self._served: dict[Session, frozenset[str]] = {}
        """The nodes whose last items a session has got."""
        self._parts = (
            OwnRequests(services, self._shelves, self._desk),
            Requests(services, self._shelves, self._access, self._desk, self._audience),
            Discovery(services, kept, self._shelves, self._access, self._desk),
        )

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its parts."""
        yield from super().marks()
        for part in self._parts:
            yield from marks_of(part)

    def _room(self) -> Room:
        options = self.options
        return Room(options.max_nodes, options.max_items, options.max_item_bytes, options.max_bytes)

    def reconfigured(self, before: PluginOptions) -> None:
        self._desk.room = self._room()

    async def start(self) -> None:
        await self._shelves.start()

    async def stop(self) -> None:
        await self._shelves.close()

    # -- for other plugins -----------------------------------------------------------------------------------

    async def publish(
        self, owner: Account, node: str, item_id: str, payload: Element, **options: str
    ) -> None:
        is_new = node not in (await self._shelves.of(owner)).nodes
        wanted = options_from(options) if is_new else {}
        await self._desk.publish(owner, node, item_id, serialise(payload), wanted)

    async def retract(self, owner: Account, node: str, item_id: str) -> bool:
        try:
            await self._desk.retract(owner, node, item_id, notify=True)
        except StanzaError:
            return False
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

    @on(ToldByNode)
    def changed_elsewhere(self, event: ToldByNode) -> None:
        if event.topic == TOPIC:
            self._shelves.changed_elsewhere(event.data)

    @on(AccountRemoved)
    def removed(self, event: AccountRemoved) -> None:
        self._shelves.forget(event.account_id)

    @every(minutes=10)
    async def renew(self) -> None:
        """What other servers wrote is known within this time; nodes of people who are not here are dropped."""
        await self._shelves.renew()
