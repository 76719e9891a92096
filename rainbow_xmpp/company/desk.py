"""Companies as they are made and changed: recorded, and in effect at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rainbow_xmpp.company.agreements import Audit
from rainbow_xmpp.store.values import (
    DEFAULT_REGION,
    DEFAULT_SERVICE_LEVEL,
    Company,
    CompanySettings,
    Visibility,
)

if TYPE_CHECKING:
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


class CompanyDesk:
    """Everything takes `actor`, and why: what the audit log says."""

    def __init__(self, store: Store, audit: Audit, changed: Callable[[], Awaitable[None]]) -> None:
        """`changed` brings what was written into effect on the server that runs in this process, if one does."""
        self._store = store
        self._audit = audit
        self._changed = changed

    async def add(
        self,
        name: str,
        *,
        region: str = DEFAULT_REGION,
        visibility: Visibility = Visibility.PRIVATE,
        organisation: str = "",
        service_level: str = DEFAULT_SERVICE_LEVEL,
        actor: str,
        reason: str = "",
    ) -> Company:
        """Make a company. Raises AlreadyExists, and StoreError for a name or region that does not fit."""
        company = await self._store.companies.add(
            name, region, visibility, organisation=organisation, service_level=service_level
        )
        await self._changed()
        await self._audit(
            "company.added",
            company_id=company.id,
            actor=actor,
            target=company.id,
            reason=reason,
            visibility=str(visibility),
        )
        return company

    async def change(
        self, company: Company, wanted: CompanyChange, *, actor: str, reason: str = ""
    ) -> Company:
        """Change what is given. Raises AlreadyExists, NotFound and StoreError."""
        changed = [name for name in asdict(wanted) if getattr(wanted, name) is not None]
        if not changed:
            return company
        made = await self._store.companies.update(
            company.id,
            name=wanted.name,
            visibility=wanted.visibility,
            organisation=wanted.organisation,
            service_level=wanted.service_level,
            disabled=wanted.disabled,
            settings=wanted.settings,
        )
        await self._changed()
        facts: dict[str, str | int | bool] = dict.fromkeys(changed, True)
        if wanted.visibility is not None:
            facts["visibility"] = str(wanted.visibility)
        if wanted.disabled is not None:
            facts["disabled"] = wanted.disabled
        await self._audit(
            "company.changed", company_id=company.id, actor=actor, target=company.id, reason=reason, **facts
        )
        return made
