"""The pages as text: files beside this module, with the server's own names put in."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Protocol


class SiteWords(Protocol):
    """What the pages say about this server (see `rainbow_xmpp.http.app.Site`)."""

    @property
    def domain(self) -> str: ...
    @property
    def websocket_url(self) -> str: ...
    @property
    def direct_tls_host(self) -> str: ...
    @property
    def direct_tls_port(self) -> int: ...


class LandingLink(Protocol):
    """A page that the landing page leads to."""

    @property
    def words(self) -> str: ...
    @property
    def path(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages refer to; `url` changes with its content, so that it may be cached for long."""

    name: str
    media_type: str
    body: bytes

    @property
    def path(self) -> str:
        """The path it is served at."""
        return f"/assets/{self.name}"

    @property
    def url(self) -> str:
        """The path with the mark of this content."""
        return f"{self.path}?v={hashlib.sha256(self.body).hexdigest()[:10]}"


_MEDIA_TYPES = {
    "site.css": "text/css",
    "mark.svg": "image/svg+xml",
    "arc.svg": "image/svg+xml",
    "favicon.svg": "image/svg+xml",
}

# Headline and sentence of each refusal, for people; what is not here reads as its neighbour below.
_REFUSALS = {
    400: ("This request makes no sense here", "Something in it is not as it should be."),
    403: ("This is not allowed", "This server lets only certain web sites and people do that."),
    404: ("There is nothing at this address", "The link may be old, or a letter got lost on the way."),
    405: ("This cannot be done here", "The address exists, but not for this kind of request."),
    408: ("This took too long", "The request did not arrive completely in time."),
    413: ("This is too much at once", "The request is larger than this server accepts."),
    426: (
        "This door is for chat clients",
        "They open a WebSocket here. In a browser there is nothing to see.",
    ),
    500: (
        "Something went wrong on this server",
        "The fault is ours and has been noted. Please try again later.",
    ),
}


@cache
def assets() -> dict[str, Asset]:
    """All files that pages refer to, by name."""
    return {name: Asset(name, media, _file(name)) for name, media in _MEDIA_TYPES.items()}


class Pages:
    """The pages of one server; every value is escaped."""

    def __init__(self, site: SiteWords) -> None:
        self._values = {
            "domain": escape(site.domain),
            "websocket_url": escape(site.websocket_url),
            "direct_tls_host": escape(site.direct_tls_host),
            "direct_tls_port": str(site.direct_tls_port),
            "css": assets()["site.css"].url,
            "mark": assets()["mark.svg"].url,
            "arc": assets()["arc.svg"].url,
            "favicon": assets()["favicon.svg"].url,
        }

    def landing(self, links: Sequence[LandingLink] = ()) -> str:
        """What this is, how to connect, and where else to go: the first of `links` is a button."""
        nav = '<nav aria-label="Page"><a href="#connect">Connect</a><a href="#clients">Clients</a></nav>'
        title = f"Chat on {self._values['domain']}"
        return self._page("landing.html", title=title, nav=nav, links=_links(links))

    def refusal(self, status: int) -> str:
        """An error page in plain words."""
        headline, words = refusal_words(status)
        return self._page(
            "error.html", title=escape(headline), nav="", status=str(status), headline=headline, words=words
        )

    def _page(self, name: str, **values: str) -> str:
        known = self._values | values
        main = _template(name).substitute(known)
        return _template("layout.html").substitute(known, main=main)


def _links(links: Sequence[LandingLink]) -> str:
    if not links:
        return ""
    first, *others = (
        f'<a{kind} href="{escape(link.path)}">{escape(link.words)}</a>'
        for link, kind in zip(links, (' class="button"', *[""] * len(links)), strict=False)
    )
    return f'\n<p class="ways">{" ".join((first, *others))}</p>'


def refusal_words(status: int) -> tuple[str, str]:
    """Headline and sentence for this HTTP status."""
    return _REFUSALS.get(status) or _REFUSALS[500 if status >= 500 else 400]


@cache
def _template(name: str) -> Template:
    return Template(_file(name).decode())


def _file(name: str) -> bytes:
    return (files("rainbow_xmpp.http.assets") / name).read_bytes()
