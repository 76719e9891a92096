"""From a request to an endpoint and back: one way for all of them.

Limits come first, then who calls, then whether they may, then what they sent; the endpoint comes last.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import web

from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.company.levels import UnknownLevel
from rainbow_xmpp.http.source import source_of
from rainbow_xmpp.plugin import Access, Account, Call, EndpointMark, Problem, Reply, Role
from rainbow_xmpp.plugin.api_tokens import unauthenticated
from rainbow_xmpp.plugins.rest_api import problems
from rainbow_xmpp.plugins.rest_api.doorkeeper import Doorkeeper, Visitor
from rainbow_xmpp.plugins.rest_api.limits import Buckets
from rainbow_xmpp.plugins.rest_api.store import Given, RepeatKey, Repeats, Seen
from rainbow_xmpp.store.errors import AlreadyExists, BeingMoved, NotFound, StoreError
from rainbow_xmpp.store.outage import is_outage

if TYPE_CHECKING:
    from rainbow_xmpp.plugin import Services

log = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[Call], Awaitable[Any]]
MAX_KEY_CHARS = 200
_JSON = msgspec.json.Encoder()
_PASSED_ON = ("Accept-Language", "Authorization", "If-Match", "If-None-Match")


class Dispatcher:
    """Makes aiohttp handlers of endpoints."""

    def __init__(
        self,
        services: Services,
        doorkeeper: Doorkeeper,
        repeats: Repeats,
        *,
        logins: Buckets,
        sources: Buckets,
    ) -> None:
        """`logins` bounds the requests of each login, `sources` those of an address that has none."""
        self._services = services
        self._doorkeeper = doorkeeper
        self._repeats = repeats
        self._logins = logins
        self._sources = sources

    def handler(
        self, mark: EndpointMark, method: Handler
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """What aiohttp calls for this endpoint; it never raises."""

        async def answer(request: web.Request) -> web.Response:
            try:
                return await self._answer(mark, method, request)
            except Problem as problem:
                return problems.response(problem)
            except Exception as error:
                return problems.response(_fault(error))

        return answer

    async def _answer(self, mark: EndpointMark, method: Handler, request: web.Request) -> web.Response:
        now, source = self._services.now(), source_of(request)
        visitor = await self._visitor(mark, request, source, now)
        body = await _body(request)
        call = Call(
            path=dict(request.match_info),
            source=source,
            now=now,
            account=visitor.account,
            family=visitor.family,
            of_company=visitor.company,
            of_user=visitor.user,
            query=_query(mark, request),
            body=_decoded(mark, request, body),
            headers={name: request.headers[name] for name in _PASSED_ON if name in request.headers},
        )
        if _must_explain(mark, visitor) and not call.reason.strip():
            raise Problem(422, "invalid", errors={"reason": "operators say why"})
        key = request.headers.get("Idempotency-Key", "")
        if not key or mark.method != "POST" or visitor.account is None:
            return _response(mark, request, await method(call))
        return await self._once(mark, method, request, call, visitor.account, key, body)

    async def _visitor(self, mark: EndpointMark, request: web.Request, source: str, now: float) -> Visitor:
        if mark.access is Access.ANYBODY:
            self._sources.take(source, now)
            return Visitor(None, "", None, None)
        authorization = request.headers.get("Authorization", "")
        if not authorization:
            self._sources.take(source, now)
            raise unauthenticated()
        try:
            account, family = await self._doorkeeper.who_calls(authorization)
        except Problem:
            self._sources.take(source, now)
            raise
        self._logins.take(family, now)
        return await self._doorkeeper.admit(mark, account, family, request.match_info)

    async def _once(
        self,
        mark: EndpointMark,
        method: Handler,
        request: web.Request,
        call: Call,
        owner: Account,
        key: str,
        body: bytes,
    ) -> web.Response:
        """A request that may be sent again, and is done once (Idempotency-Key)."""
        if len(key) > MAX_KEY_CHARS or not key.isprintable():
            raise Problem(400, "bad-request", "the Idempotency-Key is too long")
        kept = RepeatKey.of(f"{mark.method} {request.path}", key)
        match await self._repeats.begin(owner, kept, body):
            case Given() as given:
                media = "application/json" if given.status < 400 else problems.MEDIA_TYPE
                return web.Response(status=given.status, body=given.answer or None, content_type=media)
            case Seen.UNDER_WAY:
                raise Problem(
                    409, "under-way", "this request is being answered", headers={"Retry-After": "1"}
                )
            case Seen.ANOTHER_REQUEST:
                raise Problem(422, "key-used", "this Idempotency-Key was used for another request")
        try:
            response = _response(mark, request, await method(call))
        except Problem as problem:
            response = problems.response(problem)
        except BaseException:
            await self._repeats.forget(owner, kept)
            raise
        if response.status >= 500:
            await self._repeats.forget(owner, kept)
        else:
            await self._repeats.answered(owner, kept, response.status, _bytes(response))
        return response


def _must_explain(mark: EndpointMark, visitor: Visitor) -> bool:
    """Operators act where they are no members, and say why."""
    is_theirs = mark.access in (Access.COMPANY_ADMIN, Access.OPERATOR) and mark.method != "GET"
    return is_theirs and visitor.account is not None and visitor.account.role is Role.OPERATOR


def check_tag(call: Call, value: msgspec.Struct) -> None:
    """Raise Problem (412) when the caller wants to change something else than what is there now (RFC 9110 §13.1.1)."""
    wanted = call.headers.get("If-Match")
    if wanted is not None and wanted.strip() != "*" and tag_of(value) not in _tags(wanted):
        raise Problem(412, "changed-meanwhile")


def tag_of(value: msgspec.Struct) -> str:
    """The entity tag of a representation."""
    return f'"{hashlib.sha256(_JSON.encode(value)).hexdigest()[:20]}"'


def _tags(text: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in text.split(",")}


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Problem(413, "too-large") from None


def _query(mark: EndpointMark, request: web.Request) -> Any:
    if mark.query is None:
        return None
    if len(set(request.query)) != len(request.query):
        raise Problem(400, "bad-request", "a parameter stands there twice")
    return _converted(dict(request.query), mark.query, 400)


def _decoded(mark: EndpointMark, request: web.Request, body: bytes) -> Any:
    """The body as the endpoint wants it."""
    if mark.body is None:
        if body:
            raise Problem(400, "bad-request", "nothing is to be sent here")
        return None
    if request.content_type != "application/json" or request.headers.get("Content-Encoding"):
        raise Problem(415, "not-json")
    try:
        return msgspec.json.decode(body, type=mark.body)
    except msgspec.ValidationError as error:
        raise _invalid(error, 422) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "bad-request", "this is not JSON") from None


def _converted(values: Mapping[str, str], kind: type[T], status: int) -> T:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, status) from None


def _invalid(error: msgspec.ValidationError, status: int) -> Problem:
    """Which field is wrong, in msgspec's words: "Expected `int` >= 1 - at `$.n`"."""
    text, _, place = str(error).partition(" - at `$")
    field = place.rstrip("`").lstrip(".").removeprefix("...") or "body"
    return Problem(status, "invalid", errors={field: text})


def _response(mark: EndpointMark, request: web.Request, answered: Any) -> web.Response:
    reply = answered if isinstance(answered, Reply) else Reply(answered)
    headers = dict(reply.headers)
    if reply.etag:
        headers["ETag"] = reply.etag
        if mark.method == "GET" and reply.etag in _tags(request.headers.get("If-None-Match", "")):
            return web.Response(status=304, headers=headers)
    status = reply.status or mark.status
    if reply.body is None:
        return web.Response(status=status if status != 200 else 204, headers=headers)
    body = _JSON.encode(reply.body)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _bytes(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


def _fault(error: Exception) -> Problem:
    """What is no refusal of an endpoint's: what the store says, an outage, or a fault of ours."""
    match error:
        case BeingMoved():
            return Problem(503, "try-again", str(error), headers={"Retry-After": "5"})
        case NotFound():
            return Problem(404, "not-found")
        case AlreadyExists():
            return Problem(409, "taken", f"{error.field} is taken")
        case UnknownLevel():
            return Problem(422, "invalid", errors={"service_level": str(error)})
        case NotAllowed():
            return Problem(422, "not-allowed", str(error))
        case StoreError() if not is_outage(error):
            return Problem(422, "invalid", str(error))
    if is_outage(error):
        log.warning(
            "a request could not be answered: the database does not answer (%s)", type(error).__name__
        )
        return Problem(503, "try-again", headers={"Retry-After": "5"})
    log.error("a request could not be answered", exc_info=error)
    return Problem(500, "fault")
