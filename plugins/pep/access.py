"""Who may see a node (XEP-0060 §4.5): everything that hands out anything asks here, behind the gate."""

from __future__ import annotations

from collections.abc import Mapping

from rainbow_xmpp.plugin import Account, Condition, Home, Services, StanzaError
from rainbow_xmpp.plugins.pep import faults
from rainbow_xmpp.plugins.pep.node_config import AccessModel
from rainbow_xmpp.plugins.pep.store import PersonalNodes
from rainbow_xmpp.plugins.pep.values import Affiliation, Node

NO_GROUPS: frozenset[str] = frozenset()


class Access:
    """What somebody else may see of an account's nodes."""

    def __init__(self, services: Services, kept: PersonalNodes) -> None:
        self._services = services
        self._kept = kept

    async def check(self, viewer: Account, owner: Account, node: Node) -> None:
        """Raise StanzaError when the viewer may not retrieve items (§6.5.9)."""
        refusal = await self.refusal(viewer, owner, node)
        if refusal is not None:
            raise refusal

    async def refusal(self, viewer: Account, owner: Account, node: Node) -> StanzaError | None:
        """Why the viewer may not see a node; None when they may."""
        if viewer.id == owner.id:
            return None
        bare, model = self._services.bare_jid(viewer), node.config.access_model
        affiliation = node.affiliations.get(bare)
        if affiliation is Affiliation.OUTCAST:
            return StanzaError(Condition.FORBIDDEN)
        if model is AccessModel.OPEN:
            return None
        if model is AccessModel.WHITELIST:
            return None if affiliation is Affiliation.MEMBER else faults.closed_node()
        if not await self._services.sees_presence(viewer, owner):
            return faults.presence_required()
        if model is AccessModel.ROSTER:
            groups = await self.groups(bare, owner)
            if groups.isdisjoint(node.config.roster_groups_allowed):
                return faults.not_in_roster_group()
        return None

    async def groups(self, viewer: str, owner: Account) -> frozenset[str]:
        """The groups of an address in the owner's roster, as the owner sees them."""
        found = await self._kept.subscriptions_of(viewer, [(owner.company.id, owner.id)])
        return found.get(owner.id, NO_GROUPS) | self._circle_of(viewer, self._services.bare_jid(owner))

    def _circle_of(self, viewer: str, owner: str) -> frozenset[str]:
        """The group in which colleagues stand in each other's rosters."""
        home = self._services.sessions.homes.get(viewer)
        if home is None or home.circle is None or not home.is_colleague(owner):
            return NO_GROUPS
        return frozenset((home.circle.group,))


def is_told(node: Node, viewer: Home, groups: Mapping[str, frozenset[str]]) -> bool:
    """A subscriber of the owner's presence is told of what is published (§9.1.2).

    `groups` are those of the owner's roster, by address; they are looked at for the model "roster" only.
    """
    if node.affiliations.get(viewer.bare) is Affiliation.OUTCAST:
        return False
    model = node.config.access_model
    if model is AccessModel.ROSTER:
        return not groups.get(viewer.bare, NO_GROUPS).isdisjoint(node.config.roster_groups_allowed)
    return model is not AccessModel.WHITELIST
