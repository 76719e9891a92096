"""What becomes of two people who may not reach each other any more: nothing of the one stays with the other."""

from __future__ import annotations

from collections.abc import Callable

from rainbow_xmpp.company.policy import may, visibility_of
from rainbow_xmpp.plugin import Account, Action, Services, StanzaError
from rainbow_xmpp.plugins.company_isolation.known import Known
from rainbow_xmpp.session import Home
from rainbow_xmpp.store.values import RosterItem, Subscription


class Parting:
    """Goes through rosters and directed presence and ends what is out of reach, on both sides, online or not."""

    def __init__(self, services: Services, known: Known) -> None:
        self._services = services
        self._known = known

    async def of_account(self, account: Account) -> None:
        """Part an account from everybody whom it may not reach."""
        await self._in_roster_of(account)
        await self._where_directed(lambda each: each.id == account.id)

    async def of_company(self, company_id: str) -> None:
        """The same for all people of a company, or of all ("")."""
        for company, owner in await self._services.store.rosters.across_companies(self._services.domain):
            if company == company_id or not company_id:
                account = await self._services.store.accounts.by_id(owner)
                if account is not None:
                    await self._in_roster_of(account)
        await self._from_people_abroad(company_id)
        await self._where_directed(lambda each: not company_id or each.company.id == company_id)

    async def _from_people_abroad(self, company_id: str) -> None:
        """The rosters of people here in which somebody of another region stands, where either is of the company."""
        services = self._services
        for left in await services.store.rosters.of_nobody(services.domain):
            contact = await self._contact(left.contact)
            concerned = () if contact is None else ("", left.company_id, contact.company.id)
            account = await services.store.accounts.by_id(left.owner_id) if company_id in concerned else None
            if account is not None:
                await self._in_roster_of(account)

    async def from_sight(self, one: Account, other: Account) -> None:
        """What two people see of each other, at once; rosters follow. Their clients may be quicker than those."""
        if not await self._may(Action.PRESENCE, one, other):
            self._end_sight(one, other)

    async def before_invitation(self, inviter: Account, invitee: Account) -> None:
        """What a crash left of an earlier agreement in the invitee's roster must not answer on their behalf."""
        services, bare = self._services, self._services.bare_jid(inviter)
        if invitee.abroad:
            return  # their region looks
        roster = await services.store.rosters.load(invitee.company.id, invitee.id)
        item = next((each for each in roster.items if each.contact == bare), None)
        if item is not None and item.subscription is not Subscription.NONE:
            await services.rosters.forget(invitee, services.bare_jid(invitee), bare)

    def _end_sight(self, one: Account, other: Account) -> None:
        services = self._services
        homes = services.sessions.homes
        home, others = homes.get(services.bare_jid(one)), homes.get(services.bare_jid(other))
        if home is not None and others is not None:
            services.presence.part(home, others)
        elif home is not None and other.abroad:
            services.presence.part_from_afar(home, services.bare_jid(other))
        elif others is not None and one.abroad:
            services.presence.part_from_afar(others, services.bare_jid(one))

    # -- rosters ---------------------------------------------------------------------------------------

    async def _in_roster_of(self, account: Account) -> None:
        roster = await self._services.store.rosters.load(account.company.id, account.id)
        for item in roster.items:
            contact = await self._contact(item.contact) if _matters(item) else None
            if contact is not None and not await self._may_stay(item, account, contact):
                await self._part(item, account, contact)

    async def _contact(self, jid: str) -> Account | None:
        """Whose address it is, in whichever region; None also while that cannot be found out."""
        here = await self._services.account_of(jid)
        if here is not None:
            return here
        try:
            return await self._services.find_account(jid)
        except StanzaError:
            return None

    async def _may_stay(self, item: RosterItem, account: Account, contact: Account) -> bool:
        """They may reach each other; or one of them is invited and has not answered, and no more than that.

        Who answers has it in the roster before it is agreed on.
        """
        if self._services.rosters.is_answering(account, item.contact):
            return True
        if await self._may(Action.PRESENCE, account, contact):
            return True
        if item.subscription is not Subscription.NONE:
            return False
        half = await self._known.half(account, contact)
        return half is not None and await self._may(Action.INVITE, account, contact)

    async def _part(self, item: RosterItem, account: Account, contact: Account) -> None:
        """Each hears that the other is gone who saw them, and what rosters say of it goes.

        Who only asked learns nothing from it, unless there still is somebody to be asked, who said no: their
        request stays, as one to nobody would.
        """
        services = self._services
        jids = services.bare_jid(account), services.bare_jid(contact)
        theirs = await services.store.rosters.load(contact.company.id, contact.id)
        back = next((each for each in theirs.items if each.contact == jids[0]), None)
        self._end_sight(account, contact)
        hears_no = await self._may(Action.INVITE, account, contact)
        if _goes(item, back, hears_no):
            await services.rosters.forget(account, *jids)
        if back is not None and _goes(back, item, hears_no):
            await services.rosters.forget(contact, *jids[::-1])

    # -- directed presence -----------------------------------------------------------------------------

    async def _where_directed(self, concerns: Callable[[Account], bool]) -> None:
        """Presence that was shown to somebody beside all rosters (RFC 6121 §4.6)."""
        for one, other in self._directed(concerns):
            if not await self._may(Action.PRESENCE, one.account, other.account):
                self._services.presence.part(one, other)

    def _directed(self, concerns: Callable[[Account], bool]) -> set[tuple[Home, Home]]:
        homes = self._services.sessions.homes
        return {
            (session.home, viewer)
            for session in self._services.sessions
            for to in session.directed or ()
            if (viewer := homes.get(to.partition("/")[0])) is not None
            and viewer is not session.home
            and (concerns(session.account) or concerns(viewer.account))
        }

    async def _may(self, action: Action, one: Account, other: Account) -> bool:
        half = await self._known.half(one, other)
        relation = self._known.relation(one, other, half)
        return may(action, visibility_of(one), visibility_of(other), relation)


def _matters(item: RosterItem) -> bool:
    """A mere note of somebody's address says nothing about them, and may stay."""
    return item.subscription is not Subscription.NONE or item.pending_in or item.ask


def _goes(item: RosterItem, back: RosterItem | None, hears_no: bool) -> bool:
    """Whether a roster must lose this; `back` is what the contact's says of its owner."""
    if item.subscription is not Subscription.NONE or item.pending_in:
        return True
    return item.ask and hears_no and back is not None and back.pending_in
