"""Companies: operators make them, their administrators shape them, their people see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.plugin import (
    PREFIX,
    Access,
    Call,
    Company,
    Page,
    Problem,
    Reply,
    Services,
    Visibility,
    endpoint,
)
from rainbow_xmpp.plugins.rest_api.dispatch import check_tag, tag_of
from rainbow_xmpp.plugins.rest_api.endpoints.values import (
    UNSET,
    CompanyValue,
    Name,
    Paging,
    Reason,
    UnsetType,
    given,
)
from rainbow_xmpp.store.values import (
    DEFAULT_SERVICE_LEVEL,
    CompanySettings,
    Crossing,
    FactorRule,
    PasswordNeed,
)

COMPANY = "/companies/{company_id}"
_OF_OPERATORS = ("organisation", "service_level", "disabled", "regions")
Level = Annotated[str, Meta(min_length=1, max_length=64)]
Region = Annotated[str, Meta(pattern="^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
OtherRegions = Annotated[
    list[Region],
    Meta(
        max_length=32, description="Regions it may use beside its home; a restricted one only if named here."
    ),
]
CompanyName = Annotated[str, Meta(min_length=1, max_length=200)]
Choices = Annotated[
    list[Visibility], Meta(max_length=10, description="Empty: what is no more open than the company.")
]


class NewCompany(Struct, frozen=True, forbid_unknown_fields=True):
    """A company without people."""

    name: CompanyName
    region: Region | None = None
    regions: OtherRegions = []
    visibility: Visibility = Visibility.PRIVATE
    organisation: Name = ""
    service_level: Level = DEFAULT_SERVICE_LEVEL
    reason: Reason = ""


class CompanyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed; the rest stays. Organisation, service level, regions and `disabled` are for operators."""

    name: CompanyName | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    visibilities: Choices | UnsetType = UNSET
    roster: bool | UnsetType = UNSET
    roster_limit: Annotated[int, Meta(ge=0, le=5000)] | UnsetType = UNSET
    self_registration: bool | UnsetType = UNSET
    password_min_length: Annotated[int, Meta(ge=0, le=64)] | UnsetType = UNSET
    password_needs: Annotated[list[PasswordNeed], Meta(max_length=4)] | UnsetType = UNSET
    second_factor: FactorRule | UnsetType = UNSET
    cross_region: Crossing | UnsetType = UNSET
    cross_region_consent: bool | UnsetType = UNSET
    organisation: Name | UnsetType = UNSET
    service_level: Level | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    regions: OtherRegions | UnsetType = UNSET
    reason: Reason = ""


class CompanyEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint(
        "GET",
        "/companies",
        access=Access.OPERATOR,
        summary="All companies, by name.",
        query=Paging,
        answer=Page[CompanyValue],
    )
    async def list(self, call: Call) -> Page[CompanyValue]:
        paging: Paging = call.query
        companies = [c for c in await self._services.store.companies.list() if c.name > paging.after]
        page = companies[: paging.limit]
        is_more = len(companies) > len(page)
        return Page([CompanyValue.of(company) for company in page], page[-1].name if is_more else None)

    @endpoint(
        "POST",
        "/companies",
        access=Access.OPERATOR,
        summary="Add a company.",
        body=NewCompany,
        answer=CompanyValue,
        status=201,
        problems={409: "There is one with this name."},
    )
    async def add(self, call: Call) -> Reply:
        body: NewCompany = call.body
        if body.visibility is Visibility.SAME_THAN_COMPANY:
            raise Problem(422, "invalid", errors={"visibility": "is for people"})
        company = await self._services.companies.add(
            body.name,
            region=body.region or "",
            regions=tuple(dict.fromkeys(body.regions)),
            visibility=body.visibility,
            organisation=body.organisation,
            service_level=body.service_level,
            actor=call.actor,
            reason=call.reason,
        )
        return Reply(CompanyValue.of(company), headers={"Location": f"{PREFIX}/companies/{company.id}"})

    @endpoint("GET", COMPANY, access=Access.MEMBER, summary="A company.", answer=CompanyValue)
    async def read(self, call: Call) -> Reply:
        value = CompanyValue.of(call.company)
        return Reply(value, etag=tag_of(value))

    @endpoint(
        "PATCH",
        COMPANY,
        access=Access.COMPANY_ADMIN,
        summary="Change a company.",
        body=CompanyBody,
        answer=CompanyValue,
        problems={409: "There is one with this name.", 412: "Changed meanwhile."},
    )
    async def change(self, call: Call) -> Reply:
        body: CompanyBody = call.body
        check_tag(call, CompanyValue.of(call.company))
        if not call.is_operator and any(given(getattr(body, name)) is not None for name in _OF_OPERATORS):
            raise Problem(403, "forbidden", f"{', '.join(_OF_OPERATORS)} are for operators")
        visibility = given(body.visibility)
        if visibility is Visibility.SAME_THAN_COMPANY:
            raise Problem(422, "invalid", errors={"visibility": "is for people"})
        wanted = CompanyChange(
            name=given(body.name),
            visibility=visibility,
            organisation=given(body.organisation),
            service_level=given(body.service_level),
            disabled=given(body.disabled),
            settings=_settings(call.company, body),
        )
        company = await self._services.companies.change(
            call.company, wanted, actor=call.actor, reason=call.reason
        )
        value = CompanyValue.of(company)
        return Reply(value, etag=tag_of(value))


def _settings(company: Company, body: CompanyBody) -> CompanySettings | None:
    choices = given(body.visibilities)
    roster, limit = given(body.roster), given(body.roster_limit)
    registers = given(body.self_registration)
    settings = company.settings
    if choices is not None:
        settings = replace(settings, visibilities=tuple(choices))
    if roster is not None:
        settings = replace(settings, roster=roster)
    if limit is not None:
        settings = replace(settings, roster_limit=limit)
    if registers is not None:
        settings = replace(settings, self_registration=registers)
    length, needs = given(body.password_min_length), given(body.password_needs)
    if length is not None:
        settings = replace(settings, password_min_length=length)
    if needs is not None:
        settings = replace(settings, password_needs=tuple(dict.fromkeys(needs)))
    regions = given(body.regions)
    if regions is not None:
        settings = replace(settings, regions=tuple(dict.fromkeys(regions)))
    factor = given(body.second_factor)
    if factor is not None:
        settings = replace(settings, second_factor=factor)
    crossing, consent = given(body.cross_region), given(body.cross_region_consent)
    if crossing is not None:
        settings = replace(settings, cross_region=crossing)
    if consent is not None:
        settings = replace(settings, cross_region_consent=consent)
    return settings if settings != company.settings else None
