"""Pages for people and their accounts: registering, new passwords, logging in, devices, second factor. No scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Any

from aiohttp import web

from rainbow_xmpp.plugin import (
    Mark,
    PageLink,
    PageLinks,
    PinDesk,
    Plugin,
    PluginOptions,
    RegistrationMode,
    RouteMark,
    Services,
    marks_of,
    option,
    route,
)
from rainbow_xmpp.plugins.account_pages.app_passwords import AppPasswordPages
from rainbow_xmpp.plugins.account_pages.entering import Entering
from rainbow_xmpp.plugins.account_pages.factors import Factors
from rainbow_xmpp.plugins.account_pages.front import Front
from rainbow_xmpp.plugins.account_pages.mine import Mine
from rainbow_xmpp.plugins.account_pages.registering import Registering
from rainbow_xmpp.plugins.account_pages.resetting import Resetting
from rainbow_xmpp.plugins.account_pages.visits import VisitRules, Visits

CSS_PATH = "/account-pages.css"
_FOR_A_WEEK = {"Cache-Control": "public, max-age=604800, immutable"}


class AccountPages(Plugin, PageLinks, name="account_pages"):
    """Each form goes to the same desk as the API; a page tells nobody who has an account."""

    class Options(PluginOptions):
        idle_minutes: int = option(
            30, "A login on the pages that is not used for so long ends.", ge=5, le=1440, reload="live"
        )
        longest_hours: int = option(
            12, "A login on the pages ends after so long, used or not.", ge=1, le=720, reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._css = (files(__package__) / "account.css").read_bytes()
        address = f"{CSS_PATH}?v={hashlib.sha256(self._css).hexdigest()[:10]}"
        self._front = front = Front(services, address)
        visits = Visits(services, self._visit_rules)
        factors = Factors(services, front, visits)
        self._parts = (
            Registering(front),
            Resetting(front),
            Entering(front, visits, factors),
            Mine(services, front, visits),
            factors,
            AppPasswordPages(front, visits, factors),
        )

    def _visit_rules(self) -> VisitRules:
        return VisitRules(self.options.idle_minutes * 60, self.options.longest_hours * 3600)

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of the pages, which answer in plain words whatever happens."""
        yield from super().marks()
        for part in self._parts:
            for mark, handler in marks_of(part):
                yield mark, self._front.guarded(handler) if isinstance(mark, RouteMark) else handler

    @route("GET", CSS_PATH)
    async def css(self, request: web.Request) -> web.Response:
        """Its address in the pages changes with its content."""
        return web.Response(body=self._css, content_type="text/css", charset="utf-8", headers=_FOR_A_WEEK)

    def page_links(self) -> Sequence[PageLink]:
        """What the landing page leads to."""
        links = []
        if self.services.token_logins is not None:
            links.append(PageLink("Your account", "/account"))
        desk = self.services.offered(PinDesk)
        if desk is not None and desk.registration is RegistrationMode.OPEN:
            links.append(PageLink("Make an account", "/register"))
        if desk is not None:
            links.append(PageLink("Forgot your password?", "/reset"))
        return links
