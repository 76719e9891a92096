"""Logging in, with a code where the account wants one, and logging out."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from aiohttp import web

from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.plugin import route
from rainbow_xmpp.plugins.account_pages.factors import Factors
from rainbow_xmpp.plugins.account_pages.faults import WRONG_CODE, WRONG_NAME_OR_PASSWORD, Hindered, too_many
from rainbow_xmpp.plugins.account_pages.forms import Form
from rainbow_xmpp.plugins.account_pages.front import Front, asker, see
from rainbow_xmpp.plugins.account_pages.visits import LATER_S, Elsewhere, Visits
from rainbow_xmpp.sasl import FailureCondition

HOME = "/account"
_NEXT = re.compile(r"/account(?:/[a-z-]+)*").fullmatch


class Entering:
    """A refusal is the same whoever has the name, and whether the account is there."""

    def __init__(self, front: Front, visits: Visits, factors: Factors) -> None:
        self._front = front
        self._visits = visits
        self._factors = factors

    @route("GET", "/login")
    async def login_page(self, request: web.Request) -> web.Response:
        self._visits.need_logins()
        if await self._visits.of(request) is not None:
            return see(where_to(request.query.get("next", "")))
        told = next((each for each in ("changed", "out") if each in request.query), "")
        return self._front.page(
            request, "login.html", told=told, next=where_to(request.query.get("next", ""))
        )

    @route("POST", "/login")
    async def log_in(self, request: web.Request) -> web.Response:
        next_values = {"told": "", "next": HOME}

        async def act(form: Form) -> web.Response:
            next_values["next"] = where_to(form.get("next", ""))
            found = await self._visits.logins.prove(
                form.get("login", "").strip(), form.get("password", ""), asker(request).source
            )
            if isinstance(found, Refused):
                is_wrong = found.condition is FailureCondition.NOT_AUTHORIZED
                raise Hindered(WRONG_NAME_OR_PASSWORD if is_wrong else too_many(LATER_S))
            if found.second_factor:
                response = see("/login/code?" + urlencode({"next": next_values["next"]}))
                self._visits.wait_for_code(found, response)
                return response
            response = see(next_values["next"])
            await self._visits.begin(request, found, response)
            return response

        return await self._front.take(request, "login.html", act, next_values)

    @route("GET", "/login/code")
    async def code_page(self, request: web.Request) -> web.Response:
        if await self._visits.who_waits(request) is None:
            raise Elsewhere("/login")
        return self._front.page(request, "login-code.html", next=where_to(request.query.get("next", "")))

    @route("POST", "/login/code")
    async def type_code(self, request: web.Request) -> web.Response:
        next_values = {"next": HOME}

        async def act(form: Form) -> web.Response:
            next_values["next"] = where_to(form.get("next", ""))
            account = await self._visits.who_waits(request)
            if account is None:
                raise Elsewhere("/login")
            if not await self._factors.offer(account).check(
                account, form.get("code", ""), asker=asker(request)
            ):
                raise Hindered(WRONG_CODE)
            response = see(next_values["next"])
            await self._visits.begin(request, account, response)
            return response

        return await self._front.take(request, "login-code.html", act, next_values)

    @route("GET", "/logout")
    async def logout_page(self, request: web.Request) -> web.Response:
        return self._front.page(
            request, "logout.html", visit=await self._visits.enter(request, without_factor=True)
        )

    @route("POST", "/logout")
    async def log_out(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request, without_factor=True)

        async def act(_: Form) -> web.Response:
            response = see("/login?out=1")
            await self._visits.end(visit, response)
            return response

        return await self._front.take(request, "logout.html", act, visit=visit)


def where_to(wanted: str) -> str:
    """Where somebody goes after the login: a page of theirs here, and nowhere else whatever a link says."""
    return wanted if _NEXT(wanted) else HOME
