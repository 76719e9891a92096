"""Registering, and accepting an invitation."""

from __future__ import annotations

from aiohttp import web

from rainbow_xmpp.plugin import ClientLinks, Invited, Purpose, RegistrationMode, WrongOrExpired, route
from rainbow_xmpp.plugins.account_pages.forms import Form
from rainbow_xmpp.plugins.account_pages.front import Front, asker, see
from rainbow_xmpp.plugins.account_pages.letters import ask, send_another, was_sent_again


class Registering:
    """For those who have no account yet."""

    def __init__(self, front: Front) -> None:
        self._front = front

    @route("GET", "/register")
    async def register_page(self, request: web.Request) -> web.Response:
        mode = self._front.desk.registration
        if mode is RegistrationMode.OPEN:
            return self._front.page(request, "register.html")
        return self._front.page(request, "by-invitation.html", is_closed=mode is RegistrationMode.CLOSED)

    @route("POST", "/register")
    async def ask_to_register(self, request: web.Request) -> web.Response:
        mode = self._front.desk.registration
        if mode is not RegistrationMode.OPEN:
            await self._front.forms.read(request)
            return self._front.page(
                request, "by-invitation.html", status=403, is_closed=mode is RegistrationMode.CLOSED
            )
        return await ask(self._front, request, Purpose.REGISTER, "register")

    @route("GET", "/register/{request_id}")
    async def finish_page(self, request: web.Request) -> web.Response:
        self._front.need_desk()
        return self._front.page(request, "register-pin.html", is_sent_again=was_sent_again(request))

    @route("POST", "/register/{request_id}")
    async def register(self, request: web.Request) -> web.Response:
        async def act(form: Form) -> web.Response:
            request_id = request.match_info["request_id"]
            if "again" in form:
                return await send_another(self._front, request, request_id, "register")
            await self._front.desk.register(
                request_id,
                form.get("pin", ""),
                form.get("password", ""),
                name=form.get("name", "").strip(),
                asker=asker(request),
            )
            return see("/register-done")

        return await self._front.take(request, "register-pin.html", act)

    @route("GET", "/register-done")
    async def registered(self, request: web.Request) -> web.Response:
        self._front.need_desk()
        return self._front.page(request, "register-done.html")

    # -- invitations -----------------------------------------------------------------------------------

    @route("GET", "/join/{token}")
    async def join_page(self, request: web.Request) -> web.Response:
        invited = await self._invited(request)
        if invited is None:
            return self._over(request)
        return self._front.page(request, "join.html", invited=invited, client_uri=self._client_uri(request))

    @route("POST", "/join/{token}")
    async def join(self, request: web.Request) -> web.Response:
        async def act(form: Form) -> web.Response:
            token, name = request.match_info["token"], form.get("name", "").strip()
            try:
                await self._front.desk.join(token, form.get("password", ""), name=name, asker=asker(request))
            except WrongOrExpired:
                return self._over(request)
            return see("/register-done")

        invited = await self._invited(request)
        if invited is None:
            await self._front.forms.read(request)
            return self._over(request)
        return await self._front.take(
            request, "join.html", act, {"invited": invited, "client_uri": self._client_uri(request)}
        )

    def _client_uri(self, request: web.Request) -> str:
        """By which a chat client accepts the invitation instead; "" where clients cannot."""
        links = self._front.services.offered(ClientLinks)
        return "" if links is None else links.join_uri(request.match_info["token"])

    async def _invited(self, request: web.Request) -> Invited | None:
        desk = self._front.desk
        if desk.registration is RegistrationMode.CLOSED:
            return None
        return await desk.invited(request.match_info["token"])

    def _over(self, request: web.Request) -> web.Response:
        return self._front.page(request, "join-over.html", status=404)
