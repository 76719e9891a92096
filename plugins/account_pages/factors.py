"""Pages for the second factor: made with a QR code, confirmed, changed, turned off."""

from __future__ import annotations

import re
from typing import Any

import segno
from aiohttp import web
from markupsafe import Markup

from rainbow_xmpp.http.source import source_of
from rainbow_xmpp.plugin import Account, NotBegun, SecondFactor, Services, WrongCode, route
from rainbow_xmpp.plugins.account_pages.faults import WRONG_FIRST_CODE, Hindered
from rainbow_xmpp.plugins.account_pages.forms import Form
from rainbow_xmpp.plugins.account_pages.front import Front, NotNow, asker, see
from rainbow_xmpp.plugins.account_pages.visits import SECOND_FACTOR, Elsewhere, Visit, Visits

_MOST_URI = 600
_URI = re.compile(r"otpauth://totp/[!-~]+[?&]secret=([A-Z2-7]{16,128})(?:&[!-~]*)?").fullmatch
_GROUP = 4
_BEGIN = f"{SECOND_FACTOR}/begin"


class Factors:
    """Behind the login. Whatever matters asks for the password again, unless it was typed a moment ago."""

    def __init__(self, services: Services, front: Front, visits: Visits) -> None:
        self._services = services
        self._front = front
        self._visits = visits

    def offer(self, account: Account) -> SecondFactor:
        """Who checks codes. Raises NotNow: without it nobody comes in who needs a code."""
        found = self._services.offered(SecondFactor, account)
        if found is None:
            raise NotNow("no plugin offers second factors")
        return found

    @route("GET", SECOND_FACTOR)
    async def overview(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request)
        status = await self.offer(visit.account).status(visit.account)
        return self._front.page(request, "factor.html", visit=visit, status_of_factor=status)

    # -- making one ------------------------------------------------------------------------------------

    @route("GET", _BEGIN)
    async def begin_page(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request, without_factor=True)
        return self._front.page(request, "factor-begin.html", visit=visit, **self._facts(visit))

    @route("POST", _BEGIN)
    async def begin(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request, without_factor=True)

        async def act(form: Form) -> web.Response:
            await self._visits.prove_again(visit, form, source_of(request))
            made = await self.offer(visit.account).begin(
                visit.account, form.get("code", ""), asker=asker(request)
            )
            return self._front.page(request, "factor-enrol.html", visit=visit, **qr_code(made.uri))

        return await self._front.take(request, "factor-begin.html", act, self._facts(visit), visit=visit)

    @route("GET", f"{SECOND_FACTOR}/confirm")
    async def not_begun(self, request: web.Request) -> web.Response:
        """Whoever loads this page anew begins anew: the secret is shown once."""
        raise Elsewhere(_BEGIN)

    @route("POST", f"{SECOND_FACTOR}/confirm")
    async def confirm(self, request: web.Request) -> web.Response:
        visit = await self._visits.enter(request, without_factor=True)
        shown: dict[str, Any] = {}

        async def act(form: Form) -> web.Response:
            shown.update(qr_code(form.get("uri", "")))
            try:
                codes = await self.offer(visit.account).confirm(
                    visit.account, form.get("code", ""), asker=asker(request)
                )
            except NotBegun:
                raise Elsewhere(_BEGIN) from None
            except WrongCode:
                raise Hindered(WRONG_FIRST_CODE) from None
            return await self._with_codes(request, visit, codes, is_new=True)

        return await self._front.take(request, "factor-enrol.html", act, shown, visit=visit)

    # -- changing it -----------------------------------------------------------------------------------

    @route("GET", f"{SECOND_FACTOR}/codes")
    async def codes_page(self, request: web.Request) -> web.Response:
        visit = await self._with_factor(request)
        return self._front.page(request, "factor-codes.html", visit=visit)

    @route("POST", f"{SECOND_FACTOR}/codes")
    async def new_codes(self, request: web.Request) -> web.Response:
        visit = await self._with_factor(request)

        async def act(form: Form) -> web.Response:
            await self._visits.prove_again(visit, form, source_of(request))
            codes = await self.offer(visit.account).new_recovery_codes(
                visit.account, form.get("code", ""), asker=asker(request)
            )
            return await self._with_codes(request, visit, codes, is_new=False)

        return await self._front.take(request, "factor-codes.html", act, visit=visit)

    @route("GET", f"{SECOND_FACTOR}/off")
    async def off_page(self, request: web.Request) -> web.Response:
        visit = await self._with_factor(request)
        return self._front.page(request, "factor-off.html", visit=visit)

    @route("POST", f"{SECOND_FACTOR}/off")
    async def turn_off(self, request: web.Request) -> web.Response:
        visit = await self._with_factor(request)

        async def act(form: Form) -> web.Response:
            await self._visits.prove_again(visit, form, source_of(request))
            await self.offer(visit.account).turn_off(
                visit.account, form.get("code", ""), asker=asker(request)
            )
            _, text = await self._visits.renewed(visit)
            response = see("/account?off=1")
            self._visits.keep(response, text)
            return response

        return await self._front.take(request, "factor-off.html", act, visit=visit)

    # -- what they share -------------------------------------------------------------------------------

    async def _with_factor(self, request: web.Request) -> Visit:
        visit = await self._visits.enter(request)
        if not visit.account.second_factor:
            raise Elsewhere(SECOND_FACTOR)
        return visit

    @staticmethod
    def _facts(visit: Visit) -> dict[str, Any]:
        return {"is_on": visit.account.second_factor, "is_required": visit.account.must_enrol}

    async def _with_codes(
        self, request: web.Request, visit: Visit, codes: tuple[str, ...], *, is_new: bool
    ) -> web.Response:
        """Shown once, on the page that answers the form. What was logged in ended; this browser logs in anew."""
        visit, text = await self._visits.renewed(visit)
        response = self._front.page(request, "factor-recovery.html", visit=visit, codes=codes, is_new=is_new)
        self._visits.keep(response, text)
        return response


def qr_code(uri: str) -> dict[str, Any]:
    """What the page shows of an `otpauth:` URI. Raises Elsewhere for something else."""
    found = _URI(uri) if len(uri) <= _MOST_URI else None
    if found is None:
        raise Elsewhere(_BEGIN)
    secret = found[1]
    drawn = segno.make(uri, error="m", micro=False).svg_inline(
        scale=5, border=4, dark="#000", light="#fff", omitsize=True
    )
    groups = [secret[at : at + _GROUP] for at in range(0, len(secret), _GROUP)]
    return {"uri": uri, "qr": Markup(drawn), "secret": " ".join(groups)}  # noqa: S704  # squares, no text of others
