"""Colleagues are in everybody's roster by themselves, and see each other's presence without asking."""

from __future__ import annotations

from collections.abc import Mapping

from rainbow_xmpp.plugin import (
    Changed,
    ChangeKind,
    Company,
    Plugin,
    PluginOptions,
    Services,
    SessionElsewhere,
    SessionStarted,
    every,
    on,
)
from rainbow_xmpp.plugins.company_roster.difference import Difference
from rainbow_xmpp.session import Circle, Home

_OF_PEOPLE = frozenset(
    (
        ChangeKind.ACCOUNT_ADDED,
        ChangeKind.ACCOUNT_CHANGED,
        ChangeKind.ACCOUNT_DISABLED,
        ChangeKind.ACCOUNT_ENABLED,
        ChangeKind.ACCOUNT_REMOVED,
        ChangeKind.COMPANY_CHANGED,
    )
)


class CompanyRoster(Plugin, name="company_roster"):
    """One `Circle` for each company that has somebody connected; rosters and presence look into it.

    A company's settings switch it off (`roster`) or say up to how many people it is for (`roster_limit`).
    """

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._circles: dict[str, Circle] = {}
        """By company, once somebody of it connected; empty ones of companies that have no roster, too."""
        self._outdated: dict[str, None] = {}
        self._is_refreshing = False

    async def stop(self) -> None:
        for home in self.services.sessions.homes.values():
            home.join(None)

    @on(SessionStarted)
    @on(SessionElsewhere)
    async def join(self, event: SessionStarted | SessionElsewhere) -> None:
        """Before the session asks for anything."""
        account, home = event.session.account, event.session.home
        circle = self._circles.get(account.company.id)
        if circle is None:
            members = await self._members(account.company)
            # Of two who come at once the second finds what the first has read.
            circle = self._circles.setdefault(account.company.id, Circle(account.company.name))
            if not circle.version:
                circle.set(account.company.name, members)
        if home.bare in circle.members and home.sessions:
            home.join(circle)

    async def _members(self, company: Company) -> Mapping[str, str]:
        """Names by bare JID; nobody for a company that has no roster."""
        settings = company.settings
        if (
            company.is_public
            or company.disabled
            or not settings.roster
            or not self.services.levels.of_company(company).company_roster
            or not self.options.serves_company(company)
        ):
            return {}
        listed = await self.services.store.accounts.listed(company.id, most=settings.roster_limit) or {}
        return {f"{local}@{self.services.domain}": name or local for local, name in listed.items()}

    # -- changes ---------------------------------------------------------------------------------------

    @on(Changed)
    def changed(self, event: Changed) -> None:
        """Somebody joined, left, was renamed or hidden; a thousand such changes are one refresh, or a few."""
        change = event.change
        if change.kind in _OF_PEOPLE and change.company_id in self._circles:
            self._outdated[change.company_id] = None
            if not self._is_refreshing:
                self._is_refreshing = True
                self.services.spawn(self._refresh_outdated())

    async def _refresh_outdated(self) -> None:
        try:
            while self._outdated:
                company_id = next(iter(self._outdated))
                del self._outdated[company_id]
                company = await self.services.store.companies.by_id(company_id)
                circle = self._circles.get(company_id)
                if company is not None and circle is not None:
                    await self._refresh(company, circle)
        finally:
            self._is_refreshing = False

    async def _refresh(self, company: Company, circle: Circle) -> None:
        before, group = circle.members, circle.group
        members = await self._members(company)
        difference = Difference.between(before, members, is_renamed=group != company.name)
        if not difference:
            return
        circle.set(company.name, members)
        leaving = [home for bare in difference.gone if (home := circle.homes.get(bare)) is not None]
        for home in leaving:
            home.join(None)
        homes = self.services.sessions.homes
        coming = [home for bare in difference.come if (home := homes.get(bare)) is not None]
        for home in coming:
            home.join(circle)
        self._show(coming, circle)
        self._hide(leaving, circle)
        for home in list(circle.homes.values()):
            theirs = members if home in coming else difference.all
            await self.services.rosters.circle_changed(home, [bare for bare in theirs if bare != home.bare])
        for home in leaving:
            await self.services.rosters.circle_changed(home, [bare for bare in before if bare != home.bare])

    def _show(self, coming: list[Home], circle: Circle) -> None:
        for home in coming:
            for other in home.colleagues():
                self.services.presence.show_to(home, other.bare)
                if other not in coming:
                    self.services.presence.show_to(other, home.bare)

    def _hide(self, leaving: list[Home], circle: Circle) -> None:
        """Whoever is not subscribed by their own roster hears that the other is gone."""
        for home in leaving:
            for other in [*circle.homes.values(), *(each for each in leaving if each is not home)]:
                if not home.is_seen_by(other.bare):
                    self.services.presence.hide_from(home, other.bare)
                if other not in leaving and not other.is_seen_by(home.bare):
                    self.services.presence.hide_from(other, home.bare)

    @every(hours=1)
    async def tidy(self) -> None:
        """Companies of which nobody is connected any more are forgotten."""
        connected = {home.account.company.id for home in self.services.sessions.homes.values()}
        for company_id in self._circles.keys() - connected:
            del self._circles[company_id]
