"""A node among others: the nodes of its region, and the regions beside its own."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from rainbow_xmpp.border import Border
from rainbow_xmpp.bus import Bus
from rainbow_xmpp.cluster.mirror import Parts
from rainbow_xmpp.cluster.service import Cluster
from rainbow_xmpp.moving.away import MovedAway
from rainbow_xmpp.moving.keys import RegionKeys
from rainbow_xmpp.moving.mover import Mover
from rainbow_xmpp.moving.receiver import Receiver
from rainbow_xmpp.regions.names import names_keys
from rainbow_xmpp.regions.reach import NodeParts, Reach
from rainbow_xmpp.router.events import Changed, Event, SessionEnded, ToldByNode
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.outbox import Leaving
from rainbow_xmpp.store.values import Account

if TYPE_CHECKING:
    from rainbow_xmpp.node import Node

SPREAD_S = 2.0
"""So long the nodes of a region may need to hear of a change."""


class Neighbours:
    """None of them, until `join` and `join_border` are called. The node is whole by then."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.cluster: Cluster | None = None
        """The other nodes of the region; None while there are none."""
        self.reach: Reach | None = None
        """What reaches people of other regions; None while there is no border."""
        self.mover: Mover | None = None
        """Moves people to other regions; None while there is no border."""
        self._border: Border | None = None

    async def stop(self) -> None:
        """Say goodbye to all of them."""
        if self.reach is not None:
            await self.reach.stop()
        if self._border is not None:
            await self._border.close()
        if self.cluster is not None:
            await self.cluster.stop()

    # -- the nodes of the region -----------------------------------------------------------------------

    async def join(self, bus: Bus) -> None:
        """Serve together with the other nodes of the region from now on. Raises NumberTaken and NotAlone."""
        node = self._node
        cluster = Cluster(
            node.config.cluster,
            node.config.home_region,
            bus,
            Parts(
                sessions=node.sessions,
                tell=node.events.tell,
                spawn=node.background.spawn,
                load_roster=node.roster.load,
                hand_back=node.handing_back.hand_back_from_afar,
                read_changes=node.watch.poll,
                parcels=node.restart,
                leave=self._leave,
                say_here=node.presence.appeared,
                now=node.store.now,
                say_gone=self._say_gone,
            ),
        )
        await cluster.start(alone=node.config.storage.sqlite_path is not None)
        self.cluster = cluster
        node.watch.written = cluster.written
        node.streams.resumption.seek = self._seek
        node.pipeline.was_lost = cluster.was_lost

    def tell_nodes(self, topic: str, data: str) -> None:
        """Say something to the other nodes, if there are any."""
        if self.cluster is not None:
            self.cluster.told(topic, data)

    def speaks(self) -> bool:
        """Of the region's nodes this one does what one must do."""
        number = self._node.config.cluster.number
        return self.cluster is None or number < min(self.cluster.nodes, default=256)

    async def _seek(self, account: Account, resume_id: str) -> bool:
        """A session that a node has, or had when it stopped."""
        assert self.cluster is not None, "nothing is sought by a node that is alone"
        if await self.cluster.seek(account, resume_id):
            return True
        await self._node.restart.fetch(account)
        return self._node.streams.of_id(resume_id) is not None

    def _leave(self, session: Session) -> None:
        """A session goes on with another node."""
        node = self._node
        node.counters.sessions -= 1
        node.streams.ended(session, goes_on=True)
        node.questions.ended(session)
        session.close()
        node.sessions.remove(session)
        session.home.let_go()
        node.tell_beside(SessionEnded(session))

    def _say_gone(self, session: Session) -> None:
        pending = self._node.presence.ended(session)
        if pending is not None:
            self._node.background.spawn(pending)

    # -- the other regions -----------------------------------------------------------------------------

    async def join_border(self, border: Border) -> None:
        """Speak with the other regions from now on; the border is closed by `stop`."""
        self._border = border
        node = self._node
        keys = names_keys(node.config.border.names_key, [node.config.border.old_names_key])
        self.reach = reach = Reach(
            border,
            keys,
            NodeParts(
                domain=node.config.domain,
                store=node.store,
                sessions=node.sessions,
                pipeline=node.pipeline,
                here=node.directory,
                presence=node.presence,
                limits=lambda: node.inbound.limits,
                spawn=node.background.spawn,
                catch_up=node.watch.catch_up,
                agreements=node.agreements,
                may=node.services().may,
                speaks=self.speaks,
                tell_nodes=self.tell_nodes,
            ),
            MovedAway(node.store.moves, keys),
        )
        await reach.start()
        node.departed.look()
        node.events.add("regions", Changed, self._changed_here)
        node.events.add("regions", ToldByNode, self._told_by_node)
        parts = node.store, RegionKeys(node.sealer), node.audit, node.regions, border, node.watch.catch_up
        await Receiver(*parts).start()
        self.mover = Mover(*parts, spread_s=SPREAD_S if self.cluster is not None else 0.0)

    async def go_on_moving(self) -> None:
        """Go on with moves that began here, in the background."""
        if self.mover is not None:
            self._node.background.spawn(self.mover.look())

    async def lives_elsewhere(self, bare: str) -> bool:
        """Whether somebody is, or may be, of another region; as long as these are not reached, everybody may."""
        if self.reach is not None:
            return await self.reach.lives_elsewhere(bare)
        config = self._node.config
        here = config.home_region
        return any(each.kind.keeps_data and name != here for name, each in config.regions.items())

    async def find_abroad(self, name: str) -> Account | None:
        """Who of another region has this localpart or e-mail address. Raises Away."""
        return None if self.reach is None else await self.reach.homes.find(name)

    def relays_of(self, region: str) -> tuple[str, ...]:
        """Where a region has its relays for calls."""
        found = self._node.config.regions.get(region)
        return found.relays if found is not None else ()

    def leaving(self, p: Passage) -> Leaving | None:
        """What is to be written down for somebody of another region (`Services.leaving`)."""
        assert self.reach is not None, "somebody abroad is known by reaching them"
        return self.reach.abroad.leaving(p)

    def _changed_here(self, event: Event) -> Awaitable[None] | None:
        if self.reach is None or not isinstance(event, Changed):
            return None
        return self.reach.changed(event.change)

    def _told_by_node(self, event: Event) -> None:
        if self.reach is not None and isinstance(event, ToldByNode):
            self.reach.told(event.topic, event.data)
