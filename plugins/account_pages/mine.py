"""What somebody sees and changes of the own account: who they are, where they are logged in, the password."""

from __future__ import annotations

from aiohttp import web

from rainbow_xmpp.http.source import source_of
from rainbow_xmpp.plugin import SecondFactor, Services, route
from rainbow_xmpp.plugin.own_password import change_own_password
from rainbow_xmpp.plugin.places import end_place, places_of
from rainbow_xmpp.plugins.account_pages.faults import PASSWORD_NEEDED, Hindered
from rainbow_xmpp.plugins.account_pages.forms import CURRENT, Form
from rainbow_xmpp.plugins.account_pages.front import Front, asker, see
from rainbow_xmpp.plugins.account_pages.visits import Elsewhere, Visits

_TOLD = ("ended", "others", "off")


class Mine:
    """Behind the login."""

    def __init__(self, services: Services, front: Front, visits: Visits) -> None:
        self._services = services
        self._front = front
        self._visits = visits

    @route("GET", "/account")
    async def account(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request)
        account = visit.account
        member = await self._services.store.accounts.member(account.company.id, account.id)
        if member is None:
            raise Elsewhere("/login")
        factor = self._services.offered(SecondFactor, account)
        return self._front.page(
            request,
            "account.html",
            visit=visit,
            told=next((each for each in _TOLD if each in request.query), ""),
            emails=member.emails,
            address=self._services.bare_jid(account),
            places=await places_of(self._services, account, visit.family),
            factor=None if factor is None else await factor.status(account),
        )

    # -- devices ---------------------------------------------------------------------------------------

    @route("POST", "/account/devices/{place_id}/end")
    async def end_one(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request)

        async def act(_: Form) -> web.Response:
            # One that is gone already is what was wanted.
            await end_place(self._services, visit.account, request.match_info["place_id"])
            return see("/account?ended=1#devices")

        return await self._front.take(request, "stale.html", act, visit=visit)

    @route("GET", "/account/end-others")
    async def end_others_page(self, request: web.Request) -> web.Response:
        return self._front.page(request, "end-others.html", visit=await self._visits.enter(request))

    @route("POST", "/account/end-others")
    async def end_others(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request)

        async def act(form: Form) -> web.Response:
            await self._visits.prove_again(visit, form, source_of(request))
            await self._services.people.end_sessions(visit.account, actor=visit.account.id)
            _, text = await self._visits.renewed(visit)
            response = see("/account?others=1#devices")
            self._visits.keep(response, text)
            return response

        return await self._front.take(request, "end-others.html", act, visit=visit)

    # -- the password ----------------------------------------------------------------------------------

    @route("GET", "/account/password")
    async def password_page(self, request: web.Request) -> web.Response:
        return self._front.page(request, "password.html", visit=await self._visits.enter(request))

    @route("POST", "/account/password")
    async def change_password(self, request: web.Request) -> web.Response:
        """The old one is always asked for. Every login ends, this one too."""
        visit = await self._visits.enter(request)

        async def act(form: Form) -> web.Response:
            if not form.get(CURRENT):
                raise Hindered(PASSWORD_NEEDED)
            new = form.get("password", "")
            await change_own_password(self._services, visit.account, form[CURRENT], new, asker=asker(request))
            response = see("/login?changed=1")
            await self._visits.end(visit, response)
            return response

        return await self._front.take(request, "password.html", act, visit=visit)
