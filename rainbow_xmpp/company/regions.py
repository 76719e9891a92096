"""Regions: where companies are at home and where their people may live, by the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.config import Config
from rainbow_xmpp.config.problem import did_you_mean
from rainbow_xmpp.config.regions import ONLY_REGION, Region, RegionKind
from rainbow_xmpp.store import Store
from rainbow_xmpp.store.values import Company


class WrongRegion(NotAllowed):
    """There is no such region, or what is asked for may not be kept there."""


class Regions:
    """The configured regions by name, and the one whose data is kept here.

    Where none are configured there is one, and companies may call it as they like.
    """

    def __init__(
        self,
        configured: Mapping[str, Region],
        here: str = ONLY_REGION,
        default: str = "",
        *,
        speak: bool = False,
    ) -> None:
        """`speak`: they tell each other of their companies, each of those at home in it."""
        self._configured = configured
        self._speak = speak
        self.here = here
        """The region of this server."""
        self._default = default or here

    @classmethod
    def of(cls, config: Config) -> Regions:
        """Those of a configuration, which has been judged."""
        return cls(config.regions, config.home_region, config.default_region, speak=config.border.is_on)

    def home_for(self, wanted: str, allowed: Iterable[str]) -> str:
        """Where a new company is at home: in the region that is wanted, or the default one for "".

        `allowed` names regions that it may use beside. Raises WrongRegion.
        """
        home = wanted or self._default
        self.require(allowed)
        if self._configured:
            self.require([home])
            if self._is_restricted(home) and home not in allowed:
                raise WrongRegion(
                    f"{home} is restricted: allow the company to use it (--allow-region {home})"
                )
            if self._speak and home != self.here:
                raise WrongRegion(f"a company at home in {home} is added there, and {self.here} hears of it")
        return home

    def require(self, names: Iterable[str]) -> None:
        """Raise WrongRegion unless each is a region that keeps data; nothing is asked where none are configured."""
        if not self._configured:
            return
        for name in names:
            if name not in self._configured:
                known = ", ".join(name for name, each in self._configured.items() if each.kind.keeps_data)
                hint = did_you_mean(name, self._configured) or f"; there are {known}"
                raise WrongRegion(f'"{name}" is no region{hint}')
            if not self._configured[name].kind.keeps_data:
                raise WrongRegion(f'"{name}" is an edge, which keeps no data')

    def require_home(self, company: Company) -> None:
        """Raise WrongRegion unless a company may be changed here: what other regions say of it they have from its home.

        The public company is a place in every region.
        """
        if self._speak and not company.is_public and company.region != self.here:
            raise WrongRegion(
                f"{company.name} is at home in {company.region}: change it there, and {self.here} hears of it"
            )

    def for_new_person(self, company: Company) -> str:
        """The region of somebody who is added here: this one.

        Raises WrongRegion when data of the company's people may not lie here. People who belong to no company
        live where they register, except in a restricted region.
        """
        if not self._configured:
            return company.region
        here = self.here
        if not self._may_live(company, here):
            raise WrongRegion(
                f"{company.name} is at home in {company.region} and may not use {here}, where this server keeps its "
                f"data: add its people on a server of {company.region}, or allow it (company set --allow-region {here})"
            )
        return here

    def require_for_move(self, company: Company, target: str) -> None:
        """Raise WrongRegion unless people of the company may move from here to this region."""
        if not self._configured:
            raise WrongRegion("no regions are configured: there is nowhere to move to")
        self.require([target])
        if target == self.here:
            raise WrongRegion(f"{target} is where this server keeps its data: they are there")
        if not self._may_live(company, target):
            raise WrongRegion(
                f"{company.name} is at home in {company.region} and may not use {target}: allow it "
                f"(company set --allow-region {target})"
            )

    def _may_live(self, company: Company, region: str) -> bool:
        allowed = company.settings.regions
        is_welcome = company.is_public or region in (company.region, *allowed)
        return is_welcome and not (self._is_restricted(region) and region not in allowed)

    async def name_what_is_kept(self, store: Store) -> int:
        """A database from before there were regions is of this server's region from now on; how many rows said so.

        Raises WrongRegion when it keeps people of another region: whoever is added here would lie beside them.
        """
        if not self._configured:
            return 0
        unnamed = ONLY_REGION if ONLY_REGION not in self._configured else self.here
        others = [name for name, _ in await store.regions.of_people() if name not in (self.here, unnamed)]
        if others:
            raise WrongRegion(
                f"this server is of the region {self.here}, and its database keeps people of {', '.join(others)}: "
                f"set region to theirs, or, if they only used to be called so, region rename {others[0]} {self.here}"
            )
        return await store.regions.rename(unnamed, self.here) if unnamed != self.here else 0

    def _is_restricted(self, name: str) -> bool:
        return self._configured[name].kind is RegionKind.RESTRICTED
