"""What the server and its accounts are, and what they can do (XEP-0030)."""

from __future__ import annotations

from rainbow_xmpp.plugin import Condition, IqRequest, Plugin, StanzaError, on_iq
from rainbow_xmpp.plugins.disco.answers import (
    ACCOUNT,
    INFO,
    ITEMS,
    NO_ITEMS,
    SERVER,
    info,
)

FEATURES = (INFO, ITEMS)
CORE_FEATURES = frozenset(("jabber:iq:roster",))
"""What the server does without any plugin; stream features are announced elsewhere."""


class Disco(
    Plugin,
    name="disco",
    implements={"XEP-0030": "2.5.0"},
    features=FEATURES,
    account_features=FEATURES,
):
    """Answers for the server and for accounts; clients answer for themselves."""

    @on_iq("get", f"{{{INFO}}}query", to="server")
    def server_info(self, request: IqRequest) -> bytes:
        _refuse_nodes(request)
        return info(SERVER, self.services.features() | CORE_FEATURES)

    @on_iq("get", f"{{{INFO}}}query", to="self")
    def own_info(self, request: IqRequest) -> bytes:
        _refuse_nodes(request)
        return info(ACCOUNT, self.services.account_features())

    @on_iq("get", f"{{{INFO}}}query", to="contact")
    async def contact_info(self, request: IqRequest) -> bytes:
        await self._refuse_strangers(request)
        _refuse_nodes(request)
        return info(ACCOUNT, self.services.account_features())

    @on_iq("get", f"{{{ITEMS}}}query", to=("server", "self"))
    def items(self, request: IqRequest) -> bytes:
        _refuse_nodes(request)
        return NO_ITEMS

    @on_iq("get", f"{{{ITEMS}}}query", to="contact")
    async def contact_items(self, request: IqRequest) -> bytes:
        await self._refuse_strangers(request)
        _refuse_nodes(request)
        return NO_ITEMS

    async def _refuse_strangers(self, request: IqRequest) -> None:
        """§9: an account shows itself to those who may see its presence; colleagues are trusted."""
        owner = request.owner
        if request.account.company.id == owner.company.id:
            return
        roster = await self.services.store.rosters.load(owner.company.id, owner.id)
        asker = request.session.bare
        if not any(item.contact == asker and item.subscription in ("from", "both") for item in roster.items):
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)


def _refuse_nodes(request: IqRequest) -> None:
    """§3.2: no node is known here."""
    if request.payload.get("node"):
        raise StanzaError(Condition.ITEM_NOT_FOUND)
