"""A browser without scripts, for tests of pages."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.web import Answer


class Browser:
    """Keeps cookies, follows redirects, fills in forms."""

    def __init__(self, server: TestServer, **headers: str) -> None:
        self._server = server
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.cookies: dict[str, str] = {}
        self.path = ""
        self.page = ""
        self.answer: Answer | None = None
        self.hops: list[int] = []
        """Every status, redirects too."""

    async def get(self, path: str) -> int:
        self.path = path.partition("?")[0]
        return await self._go("GET", path, b"")

    async def submit(self, to: str = "", **fields: str) -> int:
        """Send the page's form with these fields; what is hidden goes along. `to`: that of another path."""
        wanted = to or self.path
        forms = re.findall(r'<form method="post" action="([^"]*)">(.*?)</form>', self.page, re.DOTALL)
        inside = next((inside for action, inside in forms if unescape(action) == wanted), self.page)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', inside))
        return await self.post(wanted, {name: unescape(value) for name, value in hidden.items()} | fields)

    async def post(self, path: str, fields: dict[str, str]) -> int:
        self.path = path
        return await self._go("POST", path, urlencode(fields).encode())

    async def _go(self, method: str, path: str, body: bytes) -> int:
        headers = dict(self._headers)
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.answer = await self._server.http(method, path, headers=headers, body=body)
        self.hops.append(self.answer.status)
        for cookie in self.answer.set_cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not self.cookies[name] or "Max-Age=0" in cookie:
                del self.cookies[name]
        if self.answer.status == 303:
            return await self.get(self.answer.headers["location"])
        self.page = self.answer.text
        return self.answer.status

    @property
    def text(self) -> str:
        """What a person reads."""
        return unescape(" ".join(re.sub(r"<[^>]*>", " ", self.page).split()))
