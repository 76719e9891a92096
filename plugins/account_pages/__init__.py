"""Pages on which people register, accept an invitation, and set a new password. They need no script."""

from __future__ import annotations

from collections.abc import Awaitable
from importlib.resources import files

from aiohttp import web

from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.http.source import source_of
from rainbow_xmpp.plugin import (
    Asker,
    PinDesk,
    Plugin,
    PluginOptions,
    Purpose,
    RegistrationClosed,
    RegistrationMode,
    Services,
    TooMany,
    WrongOrExpired,
    route,
)
from rainbow_xmpp.plugins.account_pages.forms import Forged, Forms
from rainbow_xmpp.plugins.account_pages.pages import Fault, Pages, Reader
from rainbow_xmpp.store.errors import StoreError

CSS_PATH = "/account-pages.css"
_FOR_AN_HOUR = {"Cache-Control": "public, max-age=3600"}


class AccountPages(Plugin, name="account_pages"):
    """Each form goes to the same desk as the API; a page tells nobody who has an account."""

    class Options(PluginOptions):
        pass

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._forms = Forms(services.secret_for("account_pages"), services.public_url)
        self._pages = Pages(services.domain, CSS_PATH, self._forms)
        self._css = (files(__package__) / "account.css").read_bytes()

    @property
    def _desk(self) -> PinDesk:
        """Asked each time: plugins come and go."""
        desk = self.services.offered(PinDesk)
        if desk is None:
            raise web.HTTPNotFound
        return desk

    @route("GET", CSS_PATH)
    async def css(self, request: web.Request) -> web.Response:
        return web.Response(body=self._css, content_type="text/css", charset="utf-8", headers=_FOR_AN_HOUR)

    # -- registering -----------------------------------------------------------------------------------

    @route("GET", "/register")
    async def register_page(self, request: web.Request) -> web.Response:
        is_open = self._desk.registration is RegistrationMode.OPEN
        return self._page(request, "register.html" if is_open else "by-invitation.html")

    @route("POST", "/register")
    async def ask_to_register(self, request: web.Request) -> web.Response:
        return await self._ask(request, Purpose.REGISTER, "register")

    @route("GET", "/register/{request_id}")
    async def finish_page(self, request: web.Request) -> web.Response:
        return self._page(request, "register-pin.html")

    @route("POST", "/register/{request_id}")
    async def register(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        if "again" in form:
            return await self._again(request, "register")
        fault = await self._done(
            self._desk.register(
                request.match_info["request_id"],
                form.get("pin", ""),
                form.get("password", ""),
                name=form.get("name", "").strip(),
                asker=_asker(request),
            )
        )
        if fault is None:
            return _see("/register-done")
        name = form.get("name", "")
        return self._page(request, "register-pin.html", fault=fault, name=name)

    @route("GET", "/register-done")
    async def registered(self, request: web.Request) -> web.Response:
        return self._page(request, "register-done.html")

    # -- invitations -----------------------------------------------------------------------------------

    @route("GET", "/join/{token}")
    async def join_page(self, request: web.Request) -> web.Response:
        return await self._invitation(request)

    @route("POST", "/join/{token}")
    async def join(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        name = form.get("name", "").strip()
        fault = await self._done(
            self._desk.join(
                request.match_info["token"], form.get("password", ""), name=name, asker=_asker(request)
            )
        )
        return _see("/register-done") if fault is None else await self._invitation(request, fault, name)

    async def _invitation(
        self, request: web.Request, fault: Fault | None = None, name: str = ""
    ) -> web.Response:
        desk = self._desk
        invited = None
        if desk.registration is not RegistrationMode.CLOSED:
            invited = await desk.invited(request.match_info["token"])
        if invited is None:
            return self._page(request, "join-over.html", status=404)
        return self._page(request, "join.html", fault=fault, name=name, invited=invited)

    # -- new passwords ---------------------------------------------------------------------------------

    @route("GET", "/reset")
    async def reset_page(self, request: web.Request) -> web.Response:
        return self._page(request, "reset.html")

    @route("POST", "/reset")
    async def ask_to_reset(self, request: web.Request) -> web.Response:
        return await self._ask(request, Purpose.RESET, "reset")

    @route("GET", "/reset/{request_id}")
    async def new_password_page(self, request: web.Request) -> web.Response:
        return self._page(request, "reset-pin.html")

    @route("POST", "/reset/{request_id}")
    async def reset(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        if "again" in form:
            return await self._again(request, "reset")
        fault = await self._done(
            self._desk.reset(
                request.match_info["request_id"],
                form.get("pin", ""),
                form.get("password", ""),
                asker=_asker(request),
            )
        )
        if fault is None:
            return _see("/reset-done")
        return self._page(request, "reset-pin.html", fault=fault)

    @route("GET", "/reset-done")
    async def has_reset(self, request: web.Request) -> web.Response:
        return self._page(request, "reset-done.html")

    # -- what they share -------------------------------------------------------------------------------

    async def _ask(self, request: web.Request, purpose: Purpose, where: str) -> web.Response:
        form = await self._form(request)
        address = form.get("address", "").strip()
        try:
            asked = await self._desk.ask(purpose, address, _asker(request))
        except RegistrationClosed:
            return self._page(request, "by-invitation.html", status=403)
        except TooMany as refusal:
            fault = Fault.too_many(refusal.retry_after_s)
        except ValueError:
            fault = Fault.address()
        else:
            return _see(f"/{where}/{asked.request_id}")
        return self._page(request, f"{where}.html", fault=fault, address=address)

    async def _again(self, request: web.Request, where: str) -> web.Response:
        request_id = request.match_info["request_id"]
        try:
            await self._desk.resend(request_id, _asker(request))
        except TooMany as refusal:
            fault = Fault.too_soon(refusal.retry_after_s)
            return self._page(request, f"{where}-pin.html", fault=fault)
        return self._page(request, f"{where}-pin.html", is_sent_again=True)

    async def _done(self, work: Awaitable[object]) -> Fault | None:
        """What stands in the way of it; None when nothing does."""
        try:
            await work
        except WrongOrExpired:
            return Fault.pin()
        except WeakPassword as weak:
            return Fault.password(weak.problems)
        except TooMany as refusal:
            return Fault.too_many(refusal.retry_after_s)
        except RegistrationClosed:
            return Fault.closed()
        except NotAllowed:
            return Fault.no_room()
        except StoreError:
            return Fault.name()
        return None

    async def _form(self, request: web.Request) -> dict[str, str]:
        try:
            return await self._forms.read(request)
        except Forged:
            raise web.HTTPForbidden from None

    def _page(
        self,
        request: web.Request,
        template: str,
        *,
        fault: Fault | None = None,
        status: int = 0,
        **values: object,
    ) -> web.Response:
        assert self._desk  # without it there are no pages
        reader = Reader.of(request)
        values["rules"] = self.services.people.settings.password
        return self._pages.response(
            reader, template, status or (fault.status if fault else 200), fault, values
        )


def _see(path: str) -> web.Response:
    """Go on there, by GET (RFC 9110 §15.4.4): going back or loading anew sends nothing twice."""
    return web.Response(status=303, headers={"Location": path})


def _asker(request: web.Request) -> Asker:
    return Asker(source_of(request), Reader.of(request).language)
