"""App passwords: for clients that know no codes, each made here and shown once."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.http.source import source_of
from rainbow_xmpp.plugin import route
from rainbow_xmpp.plugins.account_pages.factors import Factors
from rainbow_xmpp.plugins.account_pages.faults import APP_NAME, APP_PASSWORDS_FULL, Hindered
from rainbow_xmpp.plugins.account_pages.forms import Form
from rainbow_xmpp.plugins.account_pages.front import Front, asker, see
from rainbow_xmpp.plugins.account_pages.visits import SECOND_FACTOR, Elsewhere, Visit, Visits

PATH = "/account/app-passwords"


class AppPasswordPages:
    """Behind the login, for those who have a second factor."""

    def __init__(self, front: Front, visits: Visits, factors: Factors) -> None:
        self._front = front
        self._visits = visits
        self._factors = factors

    @route("GET", PATH)
    async def list(self, request: web.Request) -> web.Response:
        visit = await self._enter(request)
        return self._front.page(
            request,
            "app-passwords.html",
            visit=visit,
            was_dropped="dropped" in request.query,
            **await self._facts(visit),
        )

    @route("POST", PATH)
    async def make(self, request: web.Request) -> web.Response:
        visit = await self._enter(request)

        async def act(form: Form) -> web.Response:
            await self._visits.prove_again(visit, form, source_of(request))
            name = form.get("name", "").strip()
            try:
                _, password = await self._factors.offer(visit.account).new_app_password(
                    visit.account, name, asker=asker(request)
                )
            except ValueError:
                raise Hindered(APP_NAME) from None
            except NotAllowed:
                raise Hindered(APP_PASSWORDS_FULL) from None
            return self._front.page(
                request, "app-password-made.html", visit=visit, name=name, password=password
            )

        values = await self._facts(visit) | {"was_dropped": False}
        return await self._front.take(request, "app-passwords.html", act, values, visit=visit)

    @route("POST", PATH + "/{app_password_id}/drop")
    async def drop(self, request: web.Request) -> web.Response:
        visit = await self._enter(request)

        async def act(_: Form) -> web.Response:
            await self._factors.offer(visit.account).drop_app_password(
                visit.account, request.match_info["app_password_id"], asker=asker(request)
            )
            return see(f"{PATH}?dropped=1")

        return await self._front.take(request, "stale.html", act, visit=visit)

    async def _enter(self, request: web.Request) -> Visit:
        visit = await self._visits.enter(request)
        if not visit.account.second_factor:
            raise Elsewhere(SECOND_FACTOR)
        return visit

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        status = await self._factors.offer(visit.account).status(visit.account)
        return {"app_passwords": status.app_passwords}
