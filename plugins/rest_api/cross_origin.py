"""Web pages of other sites that may use the API: those that are configured, and no others (Fetch standard, CORS)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]

_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"
_SHOWN_HEADERS = "ETag, Location, Retry-After"


class CrossOrigin:
    """Tokens travel in a header and never in a cookie, so no page can act in somebody's name by itself."""

    def __init__(self, origins: Callable[[], Sequence[str]]) -> None:
        self._origins = origins

    def around(self, handler: Handler) -> Handler:
        """The same answers, which pages of allowed sites may read."""

        async def answer(request: web.Request) -> web.Response:
            response = await handler(request)
            if self._is_allowed(request):
                response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
                response.headers["Access-Control-Expose-Headers"] = _SHOWN_HEADERS
                response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            response.headers["Vary"] = "Origin"
            return response

        return answer

    def preflight(self, methods: Sequence[str]) -> Handler:
        """What a browser asks before it lets a page send something."""

        async def answer(request: web.Request) -> web.Response:
            headers = {"Allow": ", ".join(sorted(methods)), "Vary": "Origin"}
            if self._is_allowed(request):
                headers |= {
                    "Access-Control-Allow-Origin": request.headers["Origin"],
                    "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
                    "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
                    "Access-Control-Max-Age": "600",
                }
            return web.Response(status=204, headers=headers)

        return answer

    def _is_allowed(self, request: web.Request) -> bool:
        return request.headers.get("Origin", "") in self._origins()
