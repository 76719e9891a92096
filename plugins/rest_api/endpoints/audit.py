"""The audit log: its own part for each company, all of it for operators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.plugin import Access, Call, Page, Services, endpoint
from rainbow_xmpp.plugins.rest_api.endpoints.values import Time
from rainbow_xmpp.store.audit import Wanted
from rainbow_xmpp.store.audit_chain import Record


class AuditRecord(Struct, frozen=True):
    """Who did what, in ids."""

    id: int
    at: Time
    kind: str
    company_id: str
    actor: str
    target: str
    reason: str
    facts: dict[str, str | int | bool]

    @classmethod
    def of(cls, record: Record) -> AuditRecord:
        entry = record.entry
        moment = datetime.fromtimestamp(entry.at / 1000, UTC).isoformat(timespec="milliseconds")
        return cls(
            record.id,
            moment.replace("+00:00", "Z"),
            entry.kind,
            entry.company_id,
            entry.actor,
            entry.target,
            entry.reason,
            dict(record.facts),
        )


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which records: newest last."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    after: Annotated[int, Meta(ge=0)] = 0
    kind: Annotated[str, Meta(max_length=64)] | None = None
    actor: Annotated[str, Meta(max_length=100)] | None = None
    target: Annotated[str, Meta(max_length=100)] | None = None


class AuditEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint(
        "GET",
        "/companies/{company_id}/audit",
        access=Access.COMPANY_ADMIN,
        summary="What was done in a company.",
        query=AuditQuery,
        answer=Page[AuditRecord],
    )
    async def of_company(self, call: Call) -> Page[AuditRecord]:
        return await self._page(call.query, call.company.id)

    @endpoint(
        "GET",
        "/audit",
        access=Access.OPERATOR,
        summary="What was done anywhere.",
        query=AuditQuery,
        answer=Page[AuditRecord],
    )
    async def all(self, call: Call) -> Page[AuditRecord]:
        return await self._page(call.query, None)

    async def _page(self, query: AuditQuery, company_id: str | None) -> Page[AuditRecord]:
        wanted = Wanted(
            company_id=company_id,
            actor=query.actor,
            target=query.target,
            kind=query.kind,
            after=query.after,
        )
        records = await self._services.store.audit.first(wanted, query.limit)
        is_more = len(records) == query.limit
        return Page([AuditRecord.of(r) for r in records], str(records[-1].id) if is_more else None)
