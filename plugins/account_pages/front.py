"""What all pages share: who reads, a form that is taken or shown again, and what is said when something is amiss."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from aiohttp import web

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.http.source import source_of
from rainbow_xmpp.plugin import Asker, IsRequired, NotOffered, NotOn, PinDesk, Services
from rainbow_xmpp.plugins.account_pages.faults import Fault, fault_of, too_long
from rainbow_xmpp.plugins.account_pages.forms import Forged, Form, Forms
from rainbow_xmpp.plugins.account_pages.pages import Pages, Reader
from rainbow_xmpp.plugins.account_pages.visits import Elsewhere, Visit
from rainbow_xmpp.store.outage import is_outage

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.Response]]
Act = Callable[[Form], Awaitable[web.Response]]
RETRY_AFTER_S = 5
"""When a database that is away is worth another try, as the API says too."""
_SHOWN_AGAIN = ("address", "name", "login")
"""What somebody typed that stands in the form again. Never a password, never a code."""


class NotNow(RainbowError):
    """What the page needs is not there; the text is for the log."""


class Front:
    """`css` is where the pages' own style is."""

    def __init__(self, services: Services, css: str) -> None:
        self.services = services
        self.forms = Forms(services.secret_for("account_pages"), services.public_url)
        self._pages = Pages(services.domain, css, self.forms)

    @property
    def desk(self) -> PinDesk:
        """Asked each time: plugins come and go."""
        desk = self.services.offered(PinDesk)
        if desk is None:
            raise web.HTTPNotFound
        return desk

    def need_desk(self) -> None:
        """Without a desk there is no page. Raises HTTPNotFound."""
        _ = self.desk

    def page(
        self,
        request: web.Request,
        template: str,
        *,
        visit: Visit | None = None,
        fault: Fault | None = None,
        status: int = 0,
        **values: object,
    ) -> web.Response:
        """A page in the reader's language; of somebody who is logged in, when there is a `visit`."""
        values |= {"rules": self.services.people.settings.password, "visit": visit}
        response = self._pages.response(
            Reader.of(request),
            template,
            status or (fault.status if fault else 200),
            fault,
            values,
            login="" if visit is None else visit.family,
        )
        if fault is not None and fault.retry_after_s:
            response.headers["Retry-After"] = str(fault.retry_after_s)
        return response

    async def take(
        self,
        request: web.Request,
        template: str,
        act: Act,
        values: Mapping[str, Any] | None = None,
        *,
        visit: Visit | None = None,
    ) -> web.Response:
        """Do what a form of ours is for; the page again, and why, when something stands in the way.

        `values` are read when the page is shown again. Raises Forged.
        """
        form = await self.forms.read(request, "" if visit is None else visit.family)
        fault: Fault | None
        if form.too_long:
            fault = too_long(form.too_long)
        else:
            try:
                return await act(form)
            except Exception as error:
                fault = fault_of(error)
                if fault is None:
                    raise
        shown: dict[str, Any] = {name: form.get(name, "").strip() for name in _SHOWN_AGAIN}
        return self.page(request, template, visit=visit, fault=fault, **shown | dict(values or {}))

    def guarded(self, handler: Handler) -> Handler:
        """The same, and what nobody can help is said on a page too: a form of others, a database that is away."""

        @wraps(handler)
        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except Forged:
                return self.page(request, "stale.html", status=403)
            except Elsewhere as elsewhere:
                return see(elsewhere.path)
            except (NotOffered, NotOn, IsRequired):
                return see("/account")  # it was otherwise when the page was made
            except web.HTTPException:
                raise
            except NotNow as missing:
                log.error("a page could not be answered: %s", missing)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("a page could not be answered: the database is away (%s)", type(error).__name__)
            response = self.page(request, "later.html", status=503)
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response

        return answer


def see(path: str) -> web.Response:
    """Go on there, by GET (RFC 9110 §15.4.4): going back or loading anew sends nothing twice."""
    return web.Response(status=303, headers={"Location": path})


def asker(request: web.Request) -> Asker:
    return Asker(source_of(request), Reader.of(request).language)
