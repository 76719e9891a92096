"""Service levels: what an account or a company gets, by the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.config.levels import ServiceLevel
from rainbow_xmpp.config.problem import did_you_mean
from rainbow_xmpp.store.values import DEFAULT_SERVICE_LEVEL, Account, Company


class UnknownLevel(NotAllowed):
    """No level of this name is configured."""


class ServiceLevels:
    """The configured levels by name; a reload puts others here."""

    def __init__(self, configured: Mapping[str, ServiceLevel]) -> None:
        self.configured = configured

    def of(self, account: Account) -> ServiceLevel:
        """What somebody gets: by the own level, or else by the company's."""
        return self.named(account.effective_service_level)

    def of_company(self, company: Company) -> ServiceLevel:
        """What a company gets as a whole."""
        return self.named(company.service_level)

    def require(self, name: str | None) -> None:
        """Raise UnknownLevel for a name that is not configured; None and "" name none."""
        if name and name not in self.configured:
            hint = did_you_mean(name, self.configured) or f"; there are {', '.join(self.configured)}"
            raise UnknownLevel(f'"{name}" is no service level{hint}')

    def room_for(self, company: Company, members: int, more: int = 1) -> None:
        """Raise NotAllowed when a company with so many members may not have so many more."""
        most = self.of_company(company).max_members
        if most and members + more > most:
            level = company.service_level
            raise NotAllowed(
                f"{company.name} has {members} people; its service level, {level}, allows {most}"
            )

    def named(self, name: str) -> ServiceLevel:
        """A level that was taken out of the configuration gives what a new company gets; `check db` tells of it."""
        return self.configured.get(name) or self.configured[DEFAULT_SERVICE_LEVEL]
