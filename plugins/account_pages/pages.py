"""The pages as HTML, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import jinja2
from aiohttp import web

from rainbow_xmpp.http.headers import CONTENT_SECURITY_POLICY
from rainbow_xmpp.http.pages import assets
from rainbow_xmpp.languages import LANGUAGES, N_, OWN_NAMES, choose_language
from rainbow_xmpp.plugin.places import Place
from rainbow_xmpp.plugins.account_pages.faults import Fault
from rainbow_xmpp.plugins.account_pages.forms import FIELD, Forms
from rainbow_xmpp.words import environment, translation

LANGUAGE_COOKIE = "__Host-language"
_A_YEAR_S = 31_536_000
_KINDS = {
    "xmpp": N_("Chat client"),
    "remembered": N_("Chat client"),
    "api": N_("Program (API)"),
    "page": N_("Browser"),
}
# As on every page of this server, and forms may be sent to it.
_POLICY = CONTENT_SECURITY_POLICY.replace("form-action 'none'", "form-action 'self'")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the language, where the page is, and what the browser brought."""

    language: str
    path: str
    cookies: Mapping[str, str]
    has_chosen: bool

    @classmethod
    def of(cls, request: web.Request) -> Reader:
        chosen = request.query.get("lang", "")
        known = chosen if chosen in LANGUAGES else request.cookies.get(LANGUAGE_COOKIE, "")
        language = (
            known if known in LANGUAGES else choose_language(request.headers.get("Accept-Language", ""))
        )
        return cls(language, request.path, request.cookies, chosen in LANGUAGES)


class Pages:
    """Every value is escaped. Links name no host."""

    def __init__(self, domain: str, css: str, forms: Forms) -> None:
        self._forms = forms
        self._shared: dict[str, object] = {
            "domain": domain,
            "own_css": css,
            "site_css": assets()["site.css"].url,
            "mark": assets()["mark.svg"].url,
            "favicon": assets()["favicon.svg"].url,
            "languages": OWN_NAMES,
            "field": FIELD,
        }

    def response(
        self,
        reader: Reader,
        template: str,
        status: int,
        fault: Fault | None,
        values: Mapping[str, object],
        login: str = "",
    ) -> web.Response:
        """A page with forms that are good for this browser, in this login."""
        cookie, words = self._forms.cookie_of(reader.cookies), translation(reader.language)
        given = {"name": "", "address": "", "login": "", "is_sent_again": False, **values}
        text = (
            _templates(reader.language)
            .get_template(template)
            .render(
                **self._shared,
                **given,
                language=reader.language,
                path=reader.path,
                signature=self._forms.signature(cookie, login),
                fault=fault,
                fault_text=fault.text(words) if fault else "",
                fault_reasons=fault.reasons(words) if fault else (),
            )
        )
        response = web.Response(
            status=status,
            text=text,
            content_type="text/html",
            headers={
                "Content-Security-Policy": _POLICY,
                "Content-Language": reader.language,
                # With "no-referrer" browsers send forms from the origin "null", which could be anybody's.
                "Referrer-Policy": "same-origin",
            },
        )
        self._forms.keep(response, cookie)
        if reader.has_chosen:
            response.set_cookie(
                LANGUAGE_COOKIE, reader.language, max_age=_A_YEAR_S, path="/", secure=True, samesite="Lax"
            )
        return response


@cache
def _templates(language: str) -> jinja2.Environment:
    made = environment(language, package="rainbow_xmpp.plugins.account_pages/templates")
    gettext = translation(language).gettext

    def place_name(place: Place) -> str:
        return place.software or gettext(_KINDS[place.kind])

    made.globals |= {"utc": _utc, "place_name": place_name}
    return made


def _utc(seconds: int) -> str:
    """A time as everybody reads it, whatever their language: 2026-03-01 14:05 UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
