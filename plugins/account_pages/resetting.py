"""A new password for a forgotten one."""

from __future__ import annotations

from aiohttp import web

from rainbow_xmpp.plugin import FactorCodeWanted, Purpose, route
from rainbow_xmpp.plugins.account_pages.forms import Form
from rainbow_xmpp.plugins.account_pages.front import Front, asker, see
from rainbow_xmpp.plugins.account_pages.letters import ask, send_another, was_sent_again


class Resetting:
    """Nobody is logged in by it."""

    def __init__(self, front: Front) -> None:
        self._front = front

    @route("GET", "/reset")
    async def reset_page(self, request: web.Request) -> web.Response:
        self._front.need_desk()
        return self._front.page(request, "reset.html")

    @route("POST", "/reset")
    async def ask_to_reset(self, request: web.Request) -> web.Response:
        return await ask(self._front, request, Purpose.RESET, "reset")

    @route("GET", "/reset/{request_id}")
    async def new_password_page(self, request: web.Request) -> web.Response:
        self._front.need_desk()
        return self._front.page(
            request, "reset-pin.html", is_sent_again=was_sent_again(request), wants_code=False
        )

    @route("POST", "/reset/{request_id}")
    async def reset(self, request: web.Request) -> web.Response:
        values = {"wants_code": False}

        async def act(form: Form) -> web.Response:
            request_id = request.match_info["request_id"]
            if "again" in form:
                return await send_another(self._front, request, request_id, "reset")
            values["wants_code"] = "code" in form
            try:
                await self._front.desk.reset(
                    request_id,
                    form.get("pin", ""),
                    form.get("password", ""),
                    factor_code=form.get("code", ""),
                    asker=asker(request),
                )
            except FactorCodeWanted:
                values["wants_code"] = True
                raise
            return see("/reset-done")

        return await self._front.take(request, "reset-pin.html", act, values)

    @route("GET", "/reset-done")
    async def has_reset(self, request: web.Request) -> web.Response:
        self._front.need_desk()
        return self._front.page(request, "reset-done.html")
