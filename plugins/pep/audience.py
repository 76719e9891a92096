"""Who is told of what: notifications to all who asked for them, and the last items to whoever comes online."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from rainbow_xmpp.plugin import Account, ClientFeatures, Home, Services, Session
from rainbow_xmpp.plugins.pep import events
from rainbow_xmpp.plugins.pep.access import Access, is_told
from rainbow_xmpp.plugins.pep.node_config import AccessModel
from rainbow_xmpp.plugins.pep.shelves import Shelves
from rainbow_xmpp.plugins.pep.store import PersonalNodes
from rainbow_xmpp.plugins.pep.values import Node

NOTIFY = "+notify"
NOTHING: frozenset[str] = frozenset()


@lru_cache(maxsize=1024)
def asked_for(features: frozenset[str]) -> frozenset[str]:
    """The nodes whose notifications a client wants, by what it can do (§9.2)."""
    return frozenset(feature.removesuffix(NOTIFY) for feature in features if feature.endswith(NOTIFY))


class Audience:
    """Notifications (XEP-0163 §4). Whoever may not be reached is passed over by `Services.spread`."""

    def __init__(self, services: Services, kept: PersonalNodes, shelves: Shelves, access: Access) -> None:
        self._services = services
        self._kept = kept
        self._shelves = shelves
        self._access = access

    def wanted_by(self, session: Session) -> frozenset[str]:
        """The nodes whose notifications a session's client wants, as far as that is known by now."""
        clients = self._services.offered(ClientFeatures)
        return NOTHING if clients is None else asked_for(clients.features_of(session))

    # -- what is published ------------------------------------------------------------------------------

    async def tell(self, owner: Account, node: Node, event: bytes) -> frozenset[str]:
        """Tell the account's own clients, its presence subscribers' whom the node's access model allows, and those
        who subscribed by asking for it; returns who of these may not see the node any more."""
        bare = self._services.bare_jid(owner)
        home = self._services.sessions.homes.get(bare)
        receivers = [] if home is None else self._sessions(home, node.name)
        for viewer in await self._viewers(owner, home, node):
            receivers += self._sessions(viewer, node.name)
        lost: set[str] = set()
        for jid in node.subscribers:
            if await self._is_lost(jid, owner, node):
                lost.add(jid)
            else:
                receivers += self._subscribed(jid, node.name)
        if receivers:
            told = dict.fromkeys(receivers)
            pending = self._services.spread(owner, bare, [events.message(bare, event)], told)
            if pending is not None:
                await pending
        return frozenset(lost)

    async def _is_lost(self, jid: str, owner: Account, node: Node) -> bool:
        account = await self._account(jid.partition("/")[0])
        return account is None or await self._access.refusal(account, owner, node) is not None

    def _subscribed(self, jid: str, node: str) -> list[Session]:
        """The sessions that get what a subscriber is told (XEP-0163 §4.3.2)."""
        sessions = self._services.sessions
        if "/" in jid:
            session = sessions.by_full.get(jid)
            return [session] if session is not None and session.presence is not None else []
        home = sessions.homes.get(jid)
        return [] if home is None else self._sessions(home, node)

    def _sessions(self, home: Home, node: str) -> list[Session]:
        return [s for s in home.sessions if s.presence is not None and node in self.wanted_by(s)]

    async def _viewers(self, owner: Account, home: Home | None, node: Node) -> list[Home]:
        """Who is connected here and subscribed by their presence subscription."""
        model, groups = node.config.access_model, {}
        if model is AccessModel.WHITELIST:
            return []  # members would have to subscribe (§9.1.2)
        if home is None or not home.is_loaded or model is AccessModel.ROSTER:
            groups = await self._subscribers(owner)
            bares: Iterable[str] = groups
        else:
            bares = home.subscribers
        homes = self._services.sessions.homes
        found = {viewer.bare: viewer for bare in bares if (viewer := homes.get(bare)) is not None}
        for colleague in self._colleagues(owner, home):
            found[colleague.bare] = colleague
            if colleague.circle is not None:
                groups[colleague.bare] = groups.get(colleague.bare, NOTHING) | {colleague.circle.group}
        found.pop(self._services.bare_jid(owner), None)
        return [viewer for viewer in found.values() if is_told(node, viewer, groups)]

    async def _subscribers(self, owner: Account) -> dict[str, frozenset[str]]:
        """Whom the owner's roster lets see the owner's presence, and the groups they stand in."""
        roster = await self._services.store.rosters.load(owner.company.id, owner.id)
        return {i.contact: frozenset(i.groups) for i in roster.items if i.subscription in ("from", "both")}

    def _colleagues(self, owner: Account, home: Home | None) -> list[Home]:
        if home is not None:
            return home.colleagues()
        bare = self._services.bare_jid(owner)
        homes = self._services.sessions.homes.values()
        near = next((h.circle for h in homes if h.circle is not None and bare in h.circle.members), None)
        return [] if near is None else list(near.homes.values())

    # -- the last items -------------------------------------------------------------------------------------

    async def greet(self, session: Session, wanted: frozenset[str]) -> None:
        """Send the last items of these nodes to a session: its own account's first, then its contacts' (§4.3.4)."""
        home = session.home
        others = home.watched() - {home.bare}
        await self._shelves.fetch(self._shelves.lacking([home.bare, *others]))
        await self.send_last(session.account, session, wanted)
        unsure: dict[str, Account] = {}
        for bare in [bare for bare in others if self._last_of(bare, wanted)]:
            account = await self._account(bare)
            if account is None or self._shelves.at_hand(bare).owner_id != account.id:
                continue
            shown = self._services.sessions.homes.get(bare)
            if home.is_colleague(bare) or (shown is not None and home.bare in shown.subscribers):
                await self.send_last(account, session, wanted)
            elif shown is None or not shown.is_loaded:
                unsure[bare] = account
        if unsure:
            whose = [(account.company.id, account.id) for account in unsure.values()]
            found = await self._kept.subscriptions_of(home.bare, whose)
            for account in unsure.values():
                if account.id in found:
                    await self.send_last(account, session, wanted)

    async def _account(self, bare: str) -> Account | None:
        home = self._services.sessions.homes.get(bare)
        return home.account if home is not None else await self._services.find_account(bare)

    def _last_of(self, bare: str, wanted: frozenset[str]) -> list[Node]:
        """The nodes of an account whose last items are sent to whoever comes online and wants them."""
        nodes = self._shelves.at_hand(bare).nodes
        if not nodes:
            return []
        return [n for n in nodes.values() if n.last is not None and n.name in wanted and n.config.sends_last]

    async def send_last(self, owner: Account, session: Session, wanted: frozenset[str]) -> None:
        """Send the last items of an account whose nodes are in memory, to a session that sees its presence."""
        bare = self._services.bare_jid(owner)
        is_own = session.account.id == owner.id
        messages = [
            await self._last_message(owner, bare, node)
            for node in self._last_of(bare, wanted)
            if is_own or await self._lets(owner, session.home, node)
        ]
        if messages:
            pending = self._services.spread(owner, bare, messages, [session])
            if pending is not None:
                await pending

    async def send_last_of(self, owner: Account, node: Node, session: Session) -> None:
        """Send a node's last item to a session that has just subscribed to it."""
        if node.last is not None and node.config.deliver_notifications:
            bare = self._services.bare_jid(owner)
            message = await self._last_message(owner, bare, node)
            pending = self._services.spread(owner, bare, [message], [session])
            if pending is not None:
                await pending

    async def _lets(self, owner: Account, viewer: Home, node: Node) -> bool:
        groups: Mapping[str, frozenset[str]] = {}
        if node.config.access_model is AccessModel.ROSTER:
            groups = {viewer.bare: await self._access.groups(viewer.bare, owner)}
        return is_told(node, viewer, groups)

    async def _last_message(self, owner: Account, bare: str, node: Node) -> bytes:
        last = node.last
        assert last is not None, "asked before"
        if node.config.deliver_payloads and not last.payload:
            last = next(iter(await self._kept.items(owner, node.name, most=1, ids=[last.id])), last)
        event = events.published(node.name, last, with_payload=node.config.deliver_payloads)
        return events.message(bare, event, at_us=last.published_us)
