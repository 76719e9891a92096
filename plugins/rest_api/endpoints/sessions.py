"""Where somebody is logged in: XMPP sessions, logins of the API, browsers; and ending one of them, or all."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from rainbow_xmpp.plugin import Access, Account, Call, Reply, Services, absent, endpoint
from rainbow_xmpp.plugin.places import Place, PlaceKind, end_place, places_of
from rainbow_xmpp.plugins.rest_api.endpoints.values import ReasonQuery, Time, time_of

SessionId = Annotated[str, Meta(pattern="^[0-9a-f]{24}$")]


class SessionValue(Struct, frozen=True):
    """One place where somebody is logged in."""

    id: SessionId
    kind: Annotated[
        PlaceKind,
        Meta(
            description="An XMPP session, a login of the API, a browser, or an XMPP client that is away and may come "
            "back without a password."
        ),
    ]
    name: Annotated[str, Meta(description="The resource of an XMPP session.")]
    client: Annotated[str, Meta(description="What an XMPP client says of itself; told to its owner only.")]
    is_available: bool
    is_this_one: bool
    since: Time | None

    @classmethod
    def of(cls, place: Place, *, is_own: bool) -> SessionValue:
        client = ", ".join(filter(None, (place.software, place.device))) if is_own else ""
        since = None if place.since is None else time_of(place.since)
        return cls(place.id, place.kind, place.name, client, place.is_available, place.is_this_one, since)


class Sessions(Struct, frozen=True):
    """All of them."""

    items: list[SessionValue]


class SessionEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint(
        "GET", "/users/me/sessions", access=Access.PERSON, summary="Where I am logged in.", answer=Sessions
    )
    async def mine(self, call: Call) -> Sessions:
        return await self._sessions(call.caller, call.family, is_own=True)

    @endpoint(
        "DELETE",
        "/users/me/sessions/{session_id}",
        access=Access.PERSON,
        summary="Log out there.",
        status=204,
    )
    async def end_mine(self, call: Call) -> Reply:
        return await self._end(call.caller, call.path["session_id"])

    @endpoint(
        "GET",
        "/companies/{company_id}/users/{user_id}/sessions",
        access=Access.COMPANY_ADMIN,
        summary="Where somebody is logged in.",
        answer=Sessions,
    )
    async def theirs(self, call: Call) -> Sessions:
        return await self._sessions(call.user, "", is_own=False)

    @endpoint(
        "DELETE",
        "/companies/{company_id}/users/{user_id}/sessions",
        access=Access.COMPANY_ADMIN,
        summary="Log somebody out everywhere.",
        query=ReasonQuery,
        status=204,
    )
    async def end_all(self, call: Call) -> Reply:
        await self._services.people.end_sessions(call.user, actor=call.actor, reason=call.reason)
        return Reply()

    @endpoint(
        "DELETE",
        "/companies/{company_id}/users/{user_id}/sessions/{session_id}",
        access=Access.COMPANY_ADMIN,
        summary="Log somebody out in one place.",
        query=ReasonQuery,
        status=204,
    )
    async def end_theirs(self, call: Call) -> Reply:
        ended = await self._end(call.user, call.path["session_id"])
        await self._services.audit(
            "rest_api.session_ended",
            company_id=call.company.id,
            actor=call.actor,
            target=call.user.id,
            reason=call.reason,
        )
        return ended

    async def _sessions(self, account: Account, own_family: str, *, is_own: bool) -> Sessions:
        places = await places_of(self._services, account, own_family)
        return Sessions([SessionValue.of(place, is_own=is_own) for place in places])

    async def _end(self, account: Account, session_id: str) -> Reply:
        if not await end_place(self._services, account, session_id):
            raise absent()
        return Reply()
