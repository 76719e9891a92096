"""The relay in the API: credentials as browsers take them, and who used how much."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from rainbow_xmpp.plugin import (
    Access,
    Account,
    Call,
    Problem,
    Reply,
    Services,
    Time,
    absent,
    endpoint,
    time_of,
    too_many,
)
from rainbow_xmpp.plugin.pace import Pace
from rainbow_xmpp.plugins.webrtc_relay.accounting import month_of
from rainbow_xmpp.plugins.webrtc_relay.desk import MINUTE_S, CredentialDesk, Grant, MinutesUsedUp
from rainbow_xmpp.plugins.webrtc_relay.store import Used

Month = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="Such as 2026-11, in UTC.")]


class IceServer(Struct, frozen=True, omit_defaults=True):
    """What browsers call an RTCIceServer."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class RelayCredentials(Struct, frozen=True):
    """What `new RTCPeerConnection(…)` takes."""

    ice_servers: list[IceServer] = field(name="iceServers")
    expires_at: Time


class UsageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which month, and which part of its list."""

    month: Annotated[str, Meta(pattern=r"^([0-9]{4}-(0[1-9]|1[0-2]))?$", description="Empty: this one.")] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    after: Annotated[str, Meta(pattern="^([0-9a-f]{24})?$", description="`next` of the page before.")] = ""


class Usage(Struct, frozen=True):
    """What was used of the relay."""

    minutes: Annotated[int, Meta(description="In which media passed, begun ones included.")]
    allocations: int
    bytes_in: Annotated[int, Meta(description="From clients to their peers.")]
    bytes_out: int

    @classmethod
    def of(cls, used: Used) -> Usage:
        return cls(-(-used.seconds // MINUTE_S), used.allocations, used.bytes_in, used.bytes_out)


class MyUsage(Struct, frozen=True):
    """This month."""

    month: Month
    minutes: int
    most_minutes: int


class PersonUsage(Struct, frozen=True):
    """One person's."""

    user_id: Annotated[str, Meta(pattern="^[0-9a-f]{24}$")]
    usage: Usage


class CompanyUsage(Struct, frozen=True):
    """A company's month; people who are gone are in its sum and not in its list."""

    month: Month
    usage: Usage
    most_minutes: Annotated[int, Meta(description="Of the whole company; 0 is no limit.")]
    most_minutes_per_person: Annotated[int, Meta(description="By the company's service level; 0 is none.")]
    items: list[PersonUsage]
    next: str | None = None


class RelayEndpoints:
    """Whoever may not call finds nothing here."""

    def __init__(self, services: Services, desk: CredentialDesk, pace: Pace) -> None:
        self._services = services
        self._desk = desk
        self._pace = pace

    @endpoint(
        "GET",
        "/relay/credentials",
        access=Access.PERSON,
        summary="Where the relay for calls is, with credentials for some hours.",
        answer=RelayCredentials,
    )
    async def credentials(self, call: Call) -> Reply:
        account = self._caller(call)
        wait_s = self._pace.wait_s(account.id, call.now)
        if wait_s:
            raise too_many(wait_s)
        try:
            grant = await self._desk.give(account)
        except MinutesUsedUp as error:
            raise Problem(403, "minutes-used-up", str(error)) from None
        return Reply(self._value(account, grant), headers={"Cache-Control": "no-store"})

    @endpoint(
        "GET",
        "/relay/usage",
        access=Access.PERSON,
        summary="How much I used of the relay this month.",
        answer=MyUsage,
    )
    async def my_usage(self, call: Call) -> MyUsage:
        account = self._caller(call)
        used_s = await self._desk.accounting.seconds_of(account, self._desk.userid(account))
        most = self._services.level_of(account).relay_minutes
        return MyUsage(_shown(month_of(call.now)), -(-used_s // MINUTE_S), most)

    @endpoint(
        "GET",
        "/companies/{company_id}/relay/usage",
        access=Access.COMPANY_ADMIN,
        summary="How much a company and its people used of the relay in a month.",
        query=UsageQuery,
        answer=CompanyUsage,
    )
    async def usage(self, call: Call) -> CompanyUsage:
        asked: UsageQuery = call.query
        month = int(asked.month.replace("-", "")) if asked.month else month_of(call.now)
        usage, company = self._desk.usage, call.company
        people = await usage.of_people(company.id, month, after=asked.after, most=asked.limit + 1)
        shown = people[: asked.limit]
        return CompanyUsage(
            month=_shown(month),
            usage=Usage.of(await usage.of_company(company.id, month)),
            most_minutes=self._desk.minutes_per_company,
            most_minutes_per_person=self._services.levels.of_company(company).relay_minutes,
            items=[PersonUsage(each.account_id, Usage.of(each.used)) for each in shown],
            next=shown[-1].account_id if len(people) > asked.limit else None,
        )

    def _caller(self, call: Call) -> Account:
        if not self._desk.may_call(call.caller):
            raise absent()
        return call.caller

    def _value(self, account: Account, grant: Grant) -> RelayCredentials:
        made = grant.credential
        addresses = self._desk.addresses(account)
        plain = [each.uri for each in addresses if not each.needs_credentials]
        relays = [each.uri for each in addresses if each.needs_credentials]
        servers = [IceServer(plain)] if plain else []
        if relays:
            servers.append(IceServer(relays, made.username, made.password))
        return RelayCredentials(servers, time_of(grant.expires_at))


def _shown(month: int) -> str:
    return f"{month // 100:04}-{month % 100:02}"
