"""Refusals as RFC 9457 wants them: JSON with a stable type, and nothing about why that would help an attacker."""

from __future__ import annotations

import msgspec
from aiohttp import web

from rainbow_xmpp.plugin import Problem

MEDIA_TYPE = "application/problem+json"

TITLES = {
    400: "The request cannot be understood",
    401: "Log in first",
    403: "Not yours to do",
    404: "There is nothing here",
    405: "Not done this way here",
    409: "In conflict with what is there",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Not JSON",
    422: "Not acceptable",
    429: "Too many requests",
    500: "Our fault",
    503: "Not now",
}


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refusal (RFC 9457). `type` is stable; `errors` names what is wrong with which field."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: dict[str, str] = {}


def response(problem: Problem) -> web.Response:
    """The answer for a refusal."""
    errors = problem.more.get("errors", {})
    document = ProblemDocument(
        type=f"urn:rainbow:problem:{problem.kind}",
        title=TITLES[problem.status],
        status=problem.status,
        detail=problem.detail,
        errors=errors if isinstance(errors, dict) else {},
    )
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(document),
        content_type=MEDIA_TYPE,
        headers=problem.headers,
    )
