"""The web side of the server: what it is, how to connect, whether it is well."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from aiohttp import web

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.http.handler import HANDLER_TIMEOUT_S, MAX_BODY_BYTES, HttpHandler, make_handler
from rainbow_xmpp.http.headers import origin_allowed
from rainbow_xmpp.http.pages import LandingLink, Pages, assets, refusal_words

__all__ = ["HttpHandler", "Readiness", "Site", "make_app", "make_handler", "origin_allowed"]

log = logging.getLogger(__name__)

WEBSOCKET_RELATION = "urn:xmpp:alt-connections:websocket"  # XEP-0156

_FOR_A_WEEK = "public, max-age=604800, immutable"  # assets: their address changes with their content
_FOR_TEN_MINUTES = "public, max-age=600"
# Any web client may ask where the WebSocket is (XEP-0156 §3); it holds nothing about anybody.
_FOR_EVERY_SITE = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": _FOR_TEN_MINUTES,
}
_KEPT_HEADERS = ("Allow", "Retry-After", "Sec-WebSocket-Version", "Upgrade", "WWW-Authenticate")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was checked and whether it is well, by short public names such as "storage"."""

    checks: Mapping[str, bool] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether new clients should be sent here."""
        return all(self.checks.values())


@dataclass(frozen=True, slots=True)
class Site:
    """What the web side says about this server."""

    domain: str
    public_url: str  # "https://chat.example.com", no slash at the end
    websocket_url: str
    direct_tls_host: str
    direct_tls_port: int
    readiness: Callable[[], Readiness]
    links: Callable[[], Sequence[LandingLink]] = tuple
    """What the landing page leads to; asked each time."""

    @property
    def host(self) -> str:
        """The public host, with its port unless that is 443: what a browser's own origin names."""
        return urlsplit(self.public_url).netloc


class PluginRoute(Protocol):
    """A path that a plugin answers."""

    @property
    def owner(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def handler(self) -> Handler: ...


def make_app(site: Site, routes: Iterable[PluginRoute] = ()) -> web.Application:
    """The web application of the one port: the server's own pages and what plugins answer. Raises LocalMisuse."""
    pages = Pages(site)
    app = web.Application(middlewares=[_in_plain_words(pages)], client_max_size=MAX_BODY_BYTES)
    get = app.router.add_get
    get("/", _landing(pages, site))
    get("/healthz", _fixed("ok\n", "text/plain"))
    get("/readyz", _readyz(site.readiness))
    get("/robots.txt", _fixed("User-agent: *\nDisallow: /\n", "text/plain"))
    get("/.well-known/host-meta", _fixed(_xrd(site), "application/xrd+xml", _FOR_EVERY_SITE))
    get("/.well-known/host-meta.json", _fixed(_jrd(site), "application/json", _FOR_EVERY_SITE))
    # The port hands real handshakes to the WebSocket before they come here.
    get(urlsplit(site.websocket_url).path, _only_for_clients)
    for asset in assets().values():
        serve = _fixed(asset.body, asset.media_type, {"Cache-Control": _FOR_A_WEEK})
        get(asset.path, serve)
        if asset.name == "favicon.svg":
            get("/favicon.ico", serve)
    own = {resource.canonical for resource in app.router.resources()}
    for route in routes:
        if route.path in own:
            raise LocalMisuse(
                f"plugin {route.owner}: {route.method} {route.path}: this path is the server's own"
            )
        try:
            app.router.add_route(route.method, route.path, route.handler)
        except (ValueError, RuntimeError) as error:
            raise LocalMisuse(f"plugin {route.owner}: {route.method} {route.path}: {error}") from None
    return app


def _fixed(body: str | bytes, media_type: str, headers: Mapping[str, str] = {}) -> Handler:
    """A handler that always gives this answer."""
    data = body.encode() if isinstance(body, str) else body

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=data, content_type=media_type, charset="utf-8", headers=headers)

    return answer


def _landing(pages: Pages, site: Site) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Cache-Control": _FOR_TEN_MINUTES}
        return web.Response(text=pages.landing(site.links()), content_type="text/html", headers=headers)

    return answer


def _readyz(readiness: Callable[[], Readiness]) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        now = readiness()
        body = {
            "ready": now.ready,
            "checks": {name: "ok" if well else "failed" for name, well in now.checks.items()},
        }
        return web.json_response(body, status=200 if now.ready else 503)

    return answer


async def _only_for_clients(request: web.Request) -> web.StreamResponse:
    """Whoever comes here instead of to the WebSocket: no handshake, or one that the port has refused."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPUpgradeRequired(headers={"Upgrade": "websocket"})
    if request.headers.get("Sec-WebSocket-Version") != "13":
        # RFC 6455 §4.4
        raise web.HTTPUpgradeRequired(headers={"Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
    if "Origin" in request.headers:
        raise web.HTTPForbidden  # RFC 6455 §10.2
    raise web.HTTPBadRequest


def _xrd(site: Site) -> str:
    """host-meta as RFC 6415 §3 and XEP-0156 want it."""
    return (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        "<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n"
        f"  <Link rel={quoteattr(WEBSOCKET_RELATION)} href={quoteattr(site.websocket_url)}/>\n"
        "</XRD>\n"
    )


def _jrd(site: Site) -> str:
    """The same in JSON (RFC 6415 appendix A)."""
    return json.dumps({"links": [{"rel": WEBSOCKET_RELATION, "href": site.websocket_url}]}) + "\n"


def _in_plain_words(pages: Pages) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The outermost middleware: a bound in time, and refusals that people can read."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                return await handler(request)
        except web.HTTPException as refusal:
            # A redirect is no refusal, and an interface for programs has put its own words into JSON.
            if refusal.status < 400 or refusal.content_type == "application/json":
                raise
            kept = {name: refusal.headers[name] for name in _KEPT_HEADERS if name in refusal.headers}
            return _refusal(pages, request, refusal.status, kept)
        except TimeoutError:
            return _refusal(pages, request, 408, {"Connection": "close"})
        except Exception:
            # One of the two places where everything is caught: the fault of one request stops no other.
            log.exception("an HTTP request failed")
            return _refusal(pages, request, 500, {})

    return answer


def _refusal(pages: Pages, request: web.Request, status: int, headers: Mapping[str, str]) -> web.Response:
    if "text/html" in request.headers.get("Accept", ""):
        return web.Response(
            status=status, text=pages.refusal(status), content_type="text/html", headers=headers
        )
    headline, words = refusal_words(status)
    return web.Response(status=status, text=f"{headline}. {words}\n", headers=headers)
