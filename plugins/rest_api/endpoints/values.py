"""What goes in and out, as the OpenAPI document describes it. Times are RFC 3339 in UTC."""

from __future__ import annotations

import dataclasses
from typing import Annotated, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from rainbow_xmpp.config import ServiceLevel
from rainbow_xmpp.plugin import (
    Account,
    Company,
    Reason,
    ReasonQuery,
    Role,
    Services,
    Time,
    Visibility,
    time_of,
)
from rainbow_xmpp.store.values import Crossing, FactorRule, Member, PasswordNeed

T = TypeVar("T")

Id = Annotated[str, Meta(pattern="^[0-9a-f]{24}$", description="24 hex digits")]
Name = Annotated[str, Meta(max_length=200)]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]


class Known(Struct, frozen=True):
    """Somebody, as everybody sees them who may know of them."""

    id: Id
    address: Annotated[str, Meta(description="The JID.")]
    name: Name
    company: Name
    company_id: Id

    @classmethod
    def of(cls, account: Account, services: Services) -> Known:
        company = account.company
        return cls(account.id, services.bare_jid(account), account.name, company.name, company.id)


class User(Known, frozen=True):
    """An account, as its owner and the company's administrators see it."""

    emails: list[str]
    role: Role
    visibility: Visibility
    service_level: Annotated[str, Meta(description="Empty: the company's.")]
    region: str
    disabled: bool
    listed: Annotated[bool, Meta(description="In the company's roster.")]
    second_factor: Annotated[bool, Meta(description="A code comes after the password.")]
    created_at: Time

    @classmethod
    def of_member(cls, member: Member, services: Services) -> User:
        account = member.account
        known = Known.of(account, services)
        return cls(
            known.id,
            known.address,
            known.name,
            known.company,
            known.company_id,
            list(member.emails),
            account.role,
            account.visibility,
            account.service_level,
            account.region,
            account.disabled,
            account.listed,
            account.second_factor,
            time_of(member.created_at),
        )


class LevelValue(Struct, frozen=True):
    """A service level: what its companies and people get. See the configuration reference for what each means."""

    name: str
    rooms: bool
    archive_days: int
    archive_messages: Annotated[int, Meta(description="Of one person; 0 is no limit.")]
    upload_mb: int
    relay_minutes: Annotated[int, Meta(description="A month; 0 is none.")]
    max_members: Annotated[int, Meta(description="Of a company; 0 is no limit.")]
    company_roster: bool
    search_outside: bool

    @classmethod
    def of(cls, name: str, level: ServiceLevel) -> LevelValue:
        return cls(name, **dataclasses.asdict(level))


class Me(User, frozen=True):
    """Somebody as they see themselves."""

    level: Annotated[LevelValue, Meta(description="What I get: by my service level, or the company's.")]

    @classmethod
    def of_myself(cls, member: Member, services: Services) -> Me:
        account, user = member.account, User.of_member(member, services)
        level = LevelValue.of(account.effective_service_level, services.level_of(account))
        return cls(**{name: getattr(user, name) for name in user.__struct_fields__}, level=level)


class CompanyValue(Struct, frozen=True):
    """A company, as its own people see it."""

    id: Id
    name: Name
    region: str
    visibility: Visibility
    organisation: str
    service_level: str
    disabled: bool
    roster: Annotated[bool, Meta(description="Colleagues are in everybody's roster by themselves.")]
    roster_limit: int
    self_registration: Annotated[
        bool, Meta(description="People with an address in its domains make accounts in it by themselves.")
    ]
    password_min_length: Annotated[
        int, Meta(description="Of new passwords, where it is more than the server asks for.")
    ]
    password_needs: Annotated[
        list[PasswordNeed], Meta(description="What new passwords must have beside what the server asks for.")
    ]
    second_factor: Annotated[
        FactorRule, Meta(description="Whether its people may have, or must have, a code after the password.")
    ]
    visibilities: Annotated[list[Visibility], Meta(description="What its people may choose.")]
    regions: Annotated[list[str], Meta(description="Regions it may use beside its home.")]
    cross_region: Annotated[
        Crossing, Meta(description="What may go to people of other regions, and come from them.")
    ]
    cross_region_consent: Annotated[
        bool, Meta(description="Nothing of a person goes to another region before they said that it may.")
    ]
    created_at: Time

    @classmethod
    def of(cls, company: Company) -> CompanyValue:
        return cls(
            company.id,
            company.name,
            company.region,
            company.visibility,
            company.organisation,
            company.service_level,
            company.disabled,
            company.settings.roster,
            company.settings.roster_limit,
            company.settings.self_registration,
            company.settings.password_min_length,
            list(company.settings.password_needs),
            company.settings.second_factor,
            list(company.allowed_visibilities),
            list(company.settings.regions),
            company.settings.cross_region,
            company.settings.cross_region_consent,
            time_of(company.created_at),
        )


class Paging(Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a list."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    after: Annotated[str, Meta(max_length=300, description="`next` of the page before.")] = ""


def given(value: T | UnsetType) -> T | None:
    """A field of a PATCH; None when it was not sent."""
    return None if isinstance(value, UnsetType) else value


__all__ = [
    "UNSET",
    "CompanyValue",
    "Id",
    "Known",
    "LevelValue",
    "Me",
    "Name",
    "Paging",
    "Password",
    "Reason",
    "ReasonQuery",
    "Time",
    "UnsetType",
    "User",
    "given",
    "time_of",
]
