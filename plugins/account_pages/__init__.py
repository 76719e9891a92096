"""Pages on which people register, accept an invitation, and set a new password. They need no script."""

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
    route,
)
from rainbow_xmpp.plugins.account_pages.front import Front
from rainbow_xmpp.plugins.account_pages.registering import Registering
from rainbow_xmpp.plugins.account_pages.resetting import Resetting

CSS_PATH = "/account-pages.css"
_FOR_A_WEEK = {"Cache-Control": "public, max-age=604800, immutable"}


class AccountPages(Plugin, PageLinks, name="account_pages"):
    """Each form goes to the same desk as the API; a page tells nobody who has an account."""

    class Options(PluginOptions):
        pass

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._css = (files(__package__) / "account.css").read_bytes()
        address = f"{CSS_PATH}?v={hashlib.sha256(self._css).hexdigest()[:10]}"
        self._front = front = Front(services, address)
        self._parts = (Registering(front), Resetting(front))

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
        desk = self.services.offered(PinDesk)
        if desk is None:
            return ()
        forgotten = PageLink("Forgot your password?", "/reset")
        if desk.registration is RegistrationMode.OPEN:
            return PageLink("Make an account", "/register"), forgotten
        return (forgotten,)
