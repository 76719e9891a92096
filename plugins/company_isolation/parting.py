"""What becomes of two people who may not reach each other any more: nothing of the one stays with the other."""

from __future__ import annotations

from rainbow_xmpp.company.policy import Relation, may, visibility_of
from rainbow_xmpp.plugin import Account, Action, Services
from rainbow_xmpp.plugins.company_isolation.known import Known
from rainbow_xmpp.store.values import RosterItem, Subscription


class Parting:
    """Goes through rosters and takes out who is out of reach, on both sides, online or not."""

    def __init__(self, services: Services, known: Known) -> None:
        self._services = services
        self._known = known

    async def from_everybody_out_of_reach(self, account: Account) -> int:
        """Part an account from those of its contacts whom it may not reach; returns how many."""
        roster = await self._services.store.rosters.load(account.company.id, account.id)
        parted = 0
        for item in roster.items:
            contact = await self._services.account_of(item.contact) if _matters(item) else None
            if contact is not None and not await self._may_stay(account, contact):
                await self._part(account, contact)
                parted += 1
        return parted

    async def of_company(self, company_id: str) -> None:
        """The same for all people of a company who have contacts in others."""
        for company, owner in await self._services.store.rosters.across_companies(self._services.domain):
            if company == company_id or not company_id:
                account = await self._services.store.accounts.by_id(owner)
                if account is not None:
                    await self.from_everybody_out_of_reach(account)

    async def _may_stay(self, account: Account, contact: Account) -> bool:
        """They may reach each other, or one of them is invited and has not answered."""
        half = (await self._known.agreed.fetch(account)).get(contact.id)
        relation = self._known.relation(account, contact, half)
        one, other = visibility_of(account), visibility_of(contact)
        if may(Action.PRESENCE, one, other, relation):
            return True
        return (
            half is not None
            and relation is not Relation.COLLEAGUE
            and may(Action.INVITE, one, other, relation)
        )

    async def _part(self, one: Account, other: Account) -> None:
        services = self._services
        jids = services.bare_jid(one), services.bare_jid(other)
        homes = services.sessions.homes.get(jids[0]), services.sessions.homes.get(jids[1])
        if homes[0] is not None and homes[1] is not None:
            services.presence.part(homes[0], homes[1])
        await services.rosters.forget(one, *jids)
        await services.rosters.forget(other, *jids[::-1])


def _matters(item: RosterItem) -> bool:
    """A mere note of somebody's address says nothing about them, and may stay."""
    return item.subscription is not Subscription.NONE or item.pending_in or item.ask
