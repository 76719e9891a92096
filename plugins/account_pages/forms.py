"""Forms that only our own pages send: a random cookie, and the same signed in the form; nothing is kept here."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping

from aiohttp import web

from rainbow_xmpp.http.headers import origin_allowed

COOKIE = "__Host-form"
"""The prefix lets no other host and no plain-text answer set it (RFC 6265bis §4.1.3.2)."""
FIELD = "form"
CURRENT = "current"
"""The field for the password that the account has."""
MOST_FIELD = 1024
_VALUE = re.compile(r"[A-Za-z0-9_-]{32}")


class Forged(Exception):
    """A form that none of our pages sent."""


class Form(dict[str, str]):
    """The fields of a form of ours; `too_long` names one that is left out since it is longer than any may be."""

    too_long: str = ""


class Forms:
    """`key` signs; `public_url` is the origin that browsers must name."""

    def __init__(self, key: bytes, public_url: str) -> None:
        self._key = key
        self._host = public_url.removeprefix("https://")

    def cookie_of(self, cookies: Mapping[str, str]) -> str:
        """The browser's own random value, or a new one."""
        known = cookies.get(COOKIE, "")
        return known if _VALUE.fullmatch(known) else secrets.token_urlsafe(24)

    def signature(self, cookie: str, login: str = "") -> str:
        """What the form of a page has that was made for this browser and, behind a login, for that login."""
        return hmac.digest(self._key, f"{cookie} {login}".encode(), "sha256").hex()

    def keep(self, response: web.Response, cookie: str) -> None:
        """Let the browser keep it for as long as it is open."""
        response.set_cookie(COOKIE, cookie, path="/", secure=True, httponly=True, samesite="Strict")

    async def read(self, request: web.Request, login: str = "") -> Form:
        """The fields of a form of ours, made for this login if there is one. Raises Forged."""
        self._judge_origin(request)
        sent = Form()
        for name, value in (await request.post()).items():
            if not isinstance(value, str):
                continue  # a file, which no page asks for
            if len(value) <= MOST_FIELD:
                sent[name] = value
            else:
                sent.too_long = name
        cookie = request.cookies.get(COOKIE, "")
        is_ours = bool(_VALUE.fullmatch(cookie))
        if (
            not hmac.compare_digest(self.signature(cookie, login).encode(), sent.get(FIELD, "").encode())
            or not is_ours
        ):
            raise Forged
        return sent

    def _judge_origin(self, request: web.Request) -> None:
        """What browsers say of where a form was, if they say it (RFC 6454 §7, Fetch Metadata)."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None and site not in ("same-origin", "none"):
            raise Forged
        if not origin_allowed(request.headers.get("Origin"), self._host, ()):
            raise Forged
