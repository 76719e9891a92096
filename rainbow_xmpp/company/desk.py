"""Companies as they are made and changed: recorded, and in effect at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.company.regions import Regions
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.store.values import (
    DEFAULT_SERVICE_LEVEL,
    Company,
    CompanySettings,
    Visibility,
)

if TYPE_CHECKING:
    from rainbow_xmpp.observe.audit import AuditLog, Fact
    from rainbow_xmpp.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyChange:
    """What of a company is to be changed; None stays as it is."""

    name: str | None = None
    visibility: Visibility | None = None
    organisation: str | None = None
    service_level: str | None = None
    disabled: bool | None = None
    settings: CompanySettings | None = None

    @property
    def given(self) -> list[str]:
        """The names of what is to be changed."""
        return [name for name in asdict(self) if getattr(self, name) is not None]


class CompanyDesk:
    """Everything takes `actor`, and why: what the audit log says."""

    def __init__(
        self,
        store: Store,
        audit: AuditLog,
        levels: ServiceLevels,
        regions: Regions,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        """`changed` brings what was written into effect on the server that runs in this process, if one does."""
        self._store = store
        self._audit = audit
        self._levels = levels
        self._regions = regions
        self._changed = changed

    async def add(
        self,
        name: str,
        *,
        region: str = "",
        regions: tuple[str, ...] = (),
        visibility: Visibility = Visibility.PRIVATE,
        organisation: str = "",
        service_level: str = DEFAULT_SERVICE_LEVEL,
        actor: str,
        reason: str = "",
    ) -> Company:
        """Make a company, at home in `region`, or the default one for "", which may use `regions` beside.

        Raises AlreadyExists, UnknownLevel, WrongRegion, and StoreError for a name or region that does not fit.
        """
        self._levels.require(service_level)
        home = self._regions.home_for(region, regions)
        id = new_id()
        async with self._recorded("company.added", id, actor, reason, visibility=str(visibility)):
            return await self._store.companies.add(
                name,
                home,
                visibility,
                organisation=organisation,
                service_level=service_level,
                settings=CompanySettings(regions=regions),
                id=id,
            )

    async def change(
        self, company: Company, wanted: CompanyChange, *, actor: str, reason: str = ""
    ) -> Company:
        """Change what is given. Raises AlreadyExists, NotFound, UnknownLevel, WrongRegion and StoreError."""
        if not wanted.given:
            return company
        self._regions.require_home(company)
        self._levels.require(wanted.service_level)
        if wanted.settings is not None:
            self._regions.require(set(wanted.settings.regions) - set(company.settings.regions))
        facts: dict[str, Fact] = dict.fromkeys(wanted.given, True)
        if wanted.visibility is not None:
            facts["visibility"] = str(wanted.visibility)
        if wanted.service_level is not None:
            facts["service_level"] = wanted.service_level
        if wanted.disabled is not None:
            facts["disabled"] = wanted.disabled
        async with self._recorded("company.changed", company.id, actor, reason, **facts):
            return await self._store.companies.update(
                company.id,
                name=wanted.name,
                visibility=wanted.visibility,
                organisation=wanted.organisation,
                service_level=wanted.service_level,
                disabled=wanted.disabled,
                settings=wanted.settings,
            )

    @asynccontextmanager
    async def _recorded(
        self, kind: str, company_id: str, actor: str, reason: str, **facts: Fact
    ) -> AsyncIterator[None]:
        """What is written within, and its record: both or neither. Then it comes into effect here."""
        async with self._audit.with_write(
            kind, company_id=company_id, actor=actor, target=company_id, reason=reason, **facts
        ):
            yield
        await self._changed()
