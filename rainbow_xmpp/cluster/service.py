"""This node among the others of its region: who is there, and what each must know of the others' sessions.

Every node holds all sessions of the region in its table; those of others have a `RemoteWire`. So a stanza is routed
on the node that its sender is connected to, to all of the recipient's resources, by the same code that serves one node.
What a session's own connection needs (acknowledgements, client state, resumption) is done by its own node alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence

from rainbow_xmpp.bus import Bus
from rainbow_xmpp.cluster.items import (
    VERSION,
    Bye,
    Changed,
    Down,
    Facts,
    Frame,
    Hello,
    Item,
    RosterChanged,
    Snapshot,
    Told,
    Up,
    Written,
    decode,
    encode,
)
from rainbow_xmpp.cluster.mirror import Mirror, Parts
from rainbow_xmpp.cluster.moving import Moving
from rainbow_xmpp.cluster.peer import Peer
from rainbow_xmpp.config.cluster import ClusterConfig
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.ids import new_stream_id
from rainbow_xmpp.router.events import SessionKept
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)

TICK_S = 0.25
HELLO_S = 0.5
SILENT_S = 1.25
"""A node that says nothing for so long is taken for dead where a message depends on it."""
LISTEN_S = 1.0
"""So long a node that starts listens who is there; long enough for everybody's next hello."""


class NumberTaken(RainbowError):
    """Another node runs under this node's number."""


class NotAlone(RainbowError):
    """There is another node, and this one's database is its own."""


class Cluster:
    """Watches the session table (`SessionTable.watch`) and tells the other nodes."""

    def __init__(self, config: ClusterConfig, region: str, bus: Bus, parts: Parts) -> None:
        self._config = config
        self._bus = bus
        self._parts = parts
        self._all = f"rx.{region}.all"
        self._inbox = f"rx.{region}.node"
        self._me = Hello(VERSION, config.number, new_stream_id())
        self._peers: dict[int, tuple[Peer, Mirror]] = {}
        self._changed: dict[str, Session] = {}
        self._moving = Moving(parts.parcels, parts.leave, self._ask_all, self._put_to)
        self._is_flushing = False
        self._is_serving = False
        self._beat: asyncio.Task[None] | None = None
        self._is_taken = False
        self._began_at = parts.now()

    @property
    def nodes(self) -> list[int]:
        """The numbers of the other nodes that are there."""
        return sorted(self._peers)

    @property
    def is_connected(self) -> bool:
        """The bus can be reached."""
        return self._bus.is_connected

    async def start(self, *, alone: bool = False) -> None:
        """Find the others. Raises NumberTaken, and NotAlone where this node must be `alone`, and is not."""
        await self._bus.subscribe(self._all, self._heard)
        await self._bus.subscribe(f"{self._inbox}.{self._me.number}", self._heard)
        self._parts.sessions.watch = self
        self._beat = asyncio.create_task(self._run())
        await asyncio.sleep(LISTEN_S)
        if self._is_taken:
            await self.stop()
            raise NumberTaken(
                f"cluster.number is {self._me.number}, and a node with this number runs already; give each its own"
            )
        if alone and self._peers:
            others = self.nodes
            await self.stop()
            raise NotAlone(
                f"node {others[0]} of this region runs already, and storage.url is SQLite, which one node has for "
                "itself; several nodes need one PostgreSQL database"
            )
        self._is_serving = True
        log.info("node %d of the cluster; with it: %s", self._me.number, self.nodes or "nobody")

    async def stop(self) -> None:
        """Say goodbye; the sessions of this node have ended."""
        self._flush()
        if self._beat is not None:
            self._beat.cancel()
        self._bus.publish(self._all, encode(Bye(self._me.number, self._me.incarnation)))
        await self._bus.close()

    async def seek(self, account: Account, resume_id: str) -> bool:
        """Bring a session here that a client wants to resume, and that another node has."""
        return await self._moving.seek(account, resume_id)

    def was_lost(self, number: int, at: float) -> Awaitable[bool] | None:
        """Whether a node died before it handed on what it kept at this Unix time (seconds); None: surely not.

        A node that is heard from, and is the same as at that time, has done it or will.
        """
        if number == self._me.number:
            return _yes() if at < self._began_at else None
        return self._died_since(number, at)

    async def _died_since(self, number: int, at: float) -> bool:
        known = self._peers.get(number)
        if known is None or at < known[0].came_at:
            return True
        asked, end = known[0].heard_at, asyncio.get_running_loop().time() + SILENT_S
        while (known := self._peers.get(number)) is not None and known[0].heard_at == asked:
            now = asyncio.get_running_loop().time()
            if now > end or now - asked > SILENT_S:
                return True
            await asyncio.sleep(TICK_S)
        return known is None or at < known[0].came_at

    def _ask_all(self, item: Item) -> int:
        self._to_all(item)
        return len(self._peers)

    # -- what happens here -----------------------------------------------------------------------------

    def added(self, session: Session) -> None:
        """A session is in the table."""
        if not session.is_remote:
            self._to_all(self._up(session))

    def removed(self, session: Session) -> None:
        """It is not any more."""
        if not session.is_remote:
            self._changed.pop(session.full, None)
            self._to_all(Down(session.full))

    def changed(self, session: Session) -> None:
        """Something of it is different that others must know; they hear of it together with the next stanzas."""
        if not session.is_remote and self._parts.sessions.by_full.get(session.full) is session:
            self._changed[session.full] = session
            self._flush_soon()

    def roster_changed(self, bare: str) -> None:
        """An account's roster was written."""
        self._to_all(RosterChanged(bare))

    def written(self) -> None:
        """The log of changes has more; nobody shall wait for the next look at it."""
        self._to_all(Written())

    def told(self, topic: str, data: str) -> None:
        """Something that a plugin says to itself on the other nodes."""
        self._to_all(Told(topic, data))

    def _up(self, session: Session) -> Up:
        agent = session.agent
        return Up(
            session.full, session.account, (agent.id, agent.software, agent.device), self._facts(session)
        )

    def _facts(self, session: Session) -> Facts:
        notes: dict[str, bytes] = {}
        pending = self._parts.tell(SessionKept(session, notes))
        if pending is not None:
            self._parts.spawn(pending)
        return Facts(session.presence, session.priority, session.is_interested, notes)

    def _to_all(self, item: Item) -> None:
        self._say_changes()
        for peer, _ in self._peers.values():
            peer.put(item)
        self._flush_soon()

    def _say_changes(self) -> None:
        """What changed comes before what follows from it."""
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        for full, session in changed.items():
            item = Changed(full, self._facts(session))
            for peer, _ in self._peers.values():
                peer.put(item)

    # -- sending ---------------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        """Everything of one turn of the loop goes in one frame."""
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        self._say_changes()
        now = asyncio.get_running_loop().time()
        for peer, _ in self._peers.values():
            peer.flush(now)

    async def _run(self) -> None:
        loop, hello_at = asyncio.get_running_loop(), 0.0
        while True:
            now = loop.time()
            if now >= hello_at:
                self._bus.publish(self._all, encode(self._me))
                hello_at = now + HELLO_S
            for peer, _ in list(self._peers.values()):
                if not self._bus.is_connected:
                    peer.heard_at = now  # nobody can be heard: it is not the others who are gone
                elif now - peer.heard_at > self._config.gone_after_s:
                    log.warning("node %d is gone: nothing was heard of it", peer.number)
                    self._gone(peer)
                else:
                    peer.tick(now)
            await asyncio.sleep(TICK_S)

    # -- receiving -------------------------------------------------------------------------------------

    def _heard(self, data: bytes) -> None:
        packet = decode(data)
        if packet is None:
            log.warning("something on the bus is not understood; does a newer version run beside this one?")
        elif packet.number == self._me.number:
            if packet.incarnation != self._me.incarnation and not isinstance(packet, Bye):
                self._doubled(packet)
        elif isinstance(packet, Bye):
            known = self._peers.get(packet.number)
            if known is not None and known[0].incarnation == packet.incarnation:
                log.info("node %d stops", packet.number)
                self._gone(known[0])
        else:
            self._take(packet)

    def _take(self, packet: Hello | Frame) -> None:
        now = asyncio.get_running_loop().time()
        known = self._peers.get(packet.number)
        if known is not None and known[0].incarnation != packet.incarnation:
            log.info("node %d was started again", packet.number)
            self._gone(known[0])
            known = None
        if known is None:
            known = self._came(Hello(packet.version, packet.number, packet.incarnation))
        peer, mirror = known
        peer.heard_at = now
        if isinstance(packet, Frame):
            for item in peer.take(packet, now):
                try:
                    mirror.apply(item)
                except Exception:  # one session costs the others nothing
                    log.exception("what node %d said could not be applied", peer.number)

    def _doubled(self, packet: Hello | Frame) -> None:
        if not self._is_serving:
            self._is_taken = True
        elif isinstance(packet, Hello):
            log.error("another node runs under this node's number, %d", self._me.number)
            self._bus.publish(self._all, encode(self._me))  # it shall hear of it before it serves

    def _came(self, hello: Hello) -> tuple[Peer, Mirror]:
        subject = f"{self._inbox}.{hello.number}"
        peer = Peer(hello, self._me, lambda data: self._bus.publish(subject, data), self._beginning)
        mirror = Mirror(hello.number, self._parts, self._moving, self._put_to)
        self._peers[hello.number] = peer, mirror
        peer.heard_at, peer.came_at = asyncio.get_running_loop().time(), self._parts.now()
        log.info("node %d is there", hello.number)
        self._bus.publish(self._all, encode(self._me))
        self._flush_soon()
        return peer, mirror

    def _beginning(self) -> Sequence[Item]:
        return [Snapshot(), *(self._up(session) for session in self._parts.sessions)]

    def _put_to(self, number: int, item: Item) -> None:
        known = self._peers.get(number)
        if known is None:
            return  # it is gone, and what was for it has been handed back
        self._say_changes()
        known[0].put(item)
        self._flush_soon()

    def _gone(self, peer: Peer) -> None:
        _, mirror = self._peers.pop(peer.number)
        speaks = self._me.number < min(self._peers, default=256)
        for stanza, at in peer.undelivered():
            self._parts.spawn(self._parts.hand_back(stanza.full, stanza.data, at))
        mirror.gone(speaks=speaks)


async def _yes() -> bool:
    return True
