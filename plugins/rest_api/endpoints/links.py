"""Links between companies: administrators of both agree."""

from __future__ import annotations

from msgspec import Struct

from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.plugin import Access, Call, Problem, Reply, Services, absent, endpoint
from rainbow_xmpp.plugins.rest_api.endpoints.values import Id, Name, Reason, ReasonQuery, Time, time_of
from rainbow_xmpp.store.values import Company, CompanyLink, Visibility

LINKS = "/companies/{company_id}/links"


class LinkValue(Struct, frozen=True):
    """A link, or a question for one, as one of the two companies sees it."""

    id: Id
    company_id: Id
    company: Name
    asked_by_us: bool
    created_at: Time
    confirmed_at: Time | None


class Links(Struct, frozen=True):
    """All of them."""

    items: list[LinkValue]


class NewLink(Struct, frozen=True, forbid_unknown_fields=True):
    """Which company is asked: its id, which its administrators tell."""

    company_id: Id
    reason: Reason = ""


class LinkEndpoints:
    def __init__(self, services: Services) -> None:
        self._services = services

    @endpoint("GET", LINKS, access=Access.COMPANY_ADMIN, summary="A company's links.", answer=Links)
    async def list(self, call: Call) -> Links:
        links = await self._services.store.links.of_company(call.company.id)
        return Links([await self._value(link, call.company) for link in links])

    @endpoint(
        "POST",
        LINKS,
        access=Access.COMPANY_ADMIN,
        summary="Ask another company for a link.",
        body=NewLink,
        status=202,
    )
    async def ask(self, call: Call) -> Reply:
        """The same answer whether there is such a company or not: who is asked decides whether to be known."""
        services = self._services
        other = await services.store.companies.by_id(call.body.company_id)
        if call.company.is_public or call.company.visibility is Visibility.ISOLATED:
            raise Problem(422, "not-allowed", "this company has no links")
        if other is not None and not other.disabled:
            try:
                await services.agreements.ask_link(call.company, other, actor=call.actor, reason=call.reason)
            except NotAllowed:
                pass  # the other one has none; that is its own affair
            await services.apply_changes()
        return Reply(status=202)

    @endpoint(
        "POST",
        LINKS + "/{link_id}/confirm",
        access=Access.COMPANY_ADMIN,
        summary="Confirm a link that another company asked for.",
        query=ReasonQuery,
        answer=LinkValue,
    )
    async def confirm(self, call: Call) -> LinkValue:
        link = await self._services.agreements.confirm_link(
            call.company, call.path["link_id"], actor=call.actor, reason=call.reason
        )
        await self._services.apply_changes()
        return await self._value(link, call.company)

    @endpoint(
        "DELETE",
        LINKS + "/{link_id}",
        access=Access.COMPANY_ADMIN,
        summary="End a link, or refuse or take back the question.",
        query=ReasonQuery,
        status=204,
    )
    async def end(self, call: Call) -> Reply:
        await self._services.agreements.end_link(
            call.company, call.path["link_id"], actor=call.actor, reason=call.reason
        )
        await self._services.apply_changes()
        return Reply()

    async def _value(self, link: CompanyLink, own: Company) -> LinkValue:
        asked_by_us = link.company_id == own.id
        other = await self._services.store.companies.by_id(link.other_id if asked_by_us else link.company_id)
        if other is None:
            raise absent()
        # A company that was asked and has not answered is not known by name.
        name = other.name if link.is_confirmed or not asked_by_us else ""
        confirmed = None if link.confirmed_at is None else time_of(link.confirmed_at)
        return LinkValue(link.id, other.id, name, asked_by_us, time_of(link.created_at), confirmed)
