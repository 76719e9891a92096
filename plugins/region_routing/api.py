"""Consent by the API."""

from __future__ import annotations

from typing import Annotated, Protocol

from msgspec import Meta, Struct

from rainbow_xmpp.plugin import Access, Account, Call, Time, endpoint, time_of

PATH = "/region-consent"


class Desk(Protocol):
    """Where consents are given; see the plugin."""

    async def consented_at(self, account: Account) -> int: ...
    async def consent(self, account: Account, actor: str) -> int: ...
    async def withdraw(self, account: Account, actor: str) -> None: ...


class ConsentValue(Struct, frozen=True):
    """Whether what I write, and that I am there, may go to people of other regions."""

    asked_for: Annotated[bool, Meta(description="My company asks for it; otherwise nothing depends on it.")]
    given_at: Time | None


class ConsentEndpoints:
    """Everybody decides for themselves."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @endpoint(
        "GET",
        PATH,
        access=Access.PERSON,
        summary="Whether I consented to speak with other regions.",
        answer=ConsentValue,
    )
    async def read(self, call: Call) -> ConsentValue:
        return await self._value(call.caller)

    @endpoint("PUT", PATH, access=Access.PERSON, summary="Consent to it.", answer=ConsentValue)
    async def give(self, call: Call) -> ConsentValue:
        await self._desk.consent(call.caller, call.actor)
        return await self._value(call.caller)

    @endpoint("DELETE", PATH, access=Access.PERSON, summary="Take it back.", status=204)
    async def take_back(self, call: Call) -> None:
        await self._desk.withdraw(call.caller, call.actor)

    async def _value(self, account: Account) -> ConsentValue:
        at = await self._desk.consented_at(account)
        return ConsentValue(account.company.settings.cross_region_consent, time_of(at) if at else None)
