"""The API under `/api/v1`: endpoints of every plugin, behind one door, described by OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from aiohttp import web

from rainbow_xmpp.plugin import (
    PREFIX,
    EndpointMark,
    Mark,
    Plugin,
    PluginOptions,
    Problem,
    Route,
    Services,
    every,
    marks_of,
    option,
    routes,
)
from rainbow_xmpp.plugins.rest_api import problems
from rainbow_xmpp.plugins.rest_api.cross_origin import CrossOrigin, Handler
from rainbow_xmpp.plugins.rest_api.dispatch import Dispatcher
from rainbow_xmpp.plugins.rest_api.doorkeeper import Doorkeeper
from rainbow_xmpp.plugins.rest_api.endpoints.audit import AuditEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.auth import AuthEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.companies import CompanyEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.invitations import InvitationEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.levels import LevelEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.links import LinkEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.me import MeEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.sessions import SessionEndpoints
from rainbow_xmpp.plugins.rest_api.endpoints.users import UserEndpoints
from rainbow_xmpp.plugins.rest_api.limits import Buckets
from rainbow_xmpp.plugins.rest_api.openapi import document
from rainbow_xmpp.plugins.rest_api.store import Repeats

DAY_S = 86_400
KNOWN_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class RestApi(
    Plugin,
    name="rest_api",
    audit={"rest_api.session_ended": "one login of somebody was ended, the others go on"},
):
    """Answers for all plugins that declare endpoints. Without a key for tokens (`auth.token_key`) there is no API."""

    class Options(PluginOptions):
        requests_per_minute: int = option(
            600, "Requests of one login. 0 = off.", ge=0, le=1_000_000, reload="live"
        )
        anonymous_per_minute: int = option(
            60, "Requests without a valid token from one address. 0 = off.", ge=0, le=1_000_000, reload="live"
        )
        origins: tuple[str, ...] = option(
            (), 'Web sites whose pages may use the API, such as ["https://admin.example.com"].', reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._repeats = Repeats(services.store, services.secret_for("api repeats"))
        self._logins = Buckets(lambda: self.options.requests_per_minute)
        self._sources = Buckets(lambda: self.options.anonymous_per_minute)
        kinds = (
            MeEndpoints,
            SessionEndpoints,
            UserEndpoints,
            CompanyEndpoints,
            LinkEndpoints,
            LevelEndpoints,
            InvitationEndpoints,
            AuditEndpoints,
        )
        self._parts: list[object] = [kind(services) for kind in kinds]
        if services.token_logins is not None:
            self._parts.append(AuthEndpoints(services, services.token_logins))

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its endpoints."""
        yield from super().marks()
        for part in self._parts:
            yield from marks_of(part)

    @routes()
    def all_routes(self) -> Iterator[Route]:
        """The endpoints of every running plugin; read when the server begins to listen."""
        logins = self.services.token_logins
        if logins is None:
            return
        store = self.services.store
        dispatcher = Dispatcher(
            self.services,
            Doorkeeper(logins, store),
            self._repeats,
            logins=self._logins,
            sources=self._sources,
        )
        cross = CrossOrigin(lambda: self.options.origins)
        marks = []
        for mark, method in self.services.declared(EndpointMark):
            marks.append(mark)
            handler = cross.around(dispatcher.handler(mark, method))
            yield Route(self.name, mark.method, mark.full_path, handler)
        described = msgspec.json.encode(document(marks, self.services.public_url + PREFIX))
        yield Route(self.name, "GET", f"{PREFIX}/openapi.json", cross.around(_fixed(described)))
        by_path: dict[str, list[str]] = {}
        for mark in marks:
            by_path.setdefault(mark.full_path, []).append(mark.method)
        by_path[f"{PREFIX}/openapi.json"] = ["GET"]
        for path, methods in by_path.items():
            yield Route(self.name, "OPTIONS", path, cross.preflight(methods))
            for other in set(KNOWN_METHODS) - set(methods):
                yield Route(self.name, other, path, _not_done_this_way(methods))
        yield Route(self.name, "*", "/api/{rest:.*}", _nothing_here)

    @every(hours=1)
    async def forget(self) -> None:
        """Answers for repetitions are kept for a day, refresh tokens until they are over."""
        await self._repeats.forget_before(int(self.services.now()) - DAY_S)
        await self.services.store.refresh_tokens.forget_expired()


def _fixed(body: bytes) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer


def _not_done_this_way(methods: list[str]) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return problems.response(
            Problem(405, "method-not-allowed", headers={"Allow": ", ".join(sorted(methods))})
        )

    return answer


async def _nothing_here(_: web.Request) -> web.Response:
    return problems.response(Problem(404, "not-found"))
