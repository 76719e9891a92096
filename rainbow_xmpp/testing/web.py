"""HTTP without a socket: a request goes into the server's own protocol, and its answer is taken apart."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from aiohttp import web

from rainbow_xmpp.http.handler import make_handler


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser or a program would get; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()
    """Every `Set-Cookie` header; `headers` has only the last of those that come more than once."""

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


async def exchange(
    app: web.Application, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    """One request to the web application, and its answer."""
    handler = await make_handler(app)
    transport = _Transport()
    protocol = handler()
    protocol.connection_made(transport)
    try:
        assert isinstance(protocol, asyncio.Protocol)
        protocol.data_received(_request(method, path, headers, body))
        await transport.closed.wait()
    finally:
        protocol.connection_lost(None)
        await handler.close(0.1)
    return _answer(method, bytes(transport.written))


def _request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    named = {"Host": "localhost", "Connection": "close", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _answer(method: str, data: bytes) -> Answer:
    response = HTTPResponse(_Wire(data), method=method)  # type: ignore[arg-type]  # it wants a socket's makefile
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    cookies = tuple(value for name, value in response.getheaders() if name.lower() == "set-cookie")
    return Answer(response.status, headers, response.read(), cookies)


class _Wire:
    """As much of a socket as `HTTPResponse` asks for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


class _Transport(asyncio.Transport):
    """The server's end of a connection that is not there; `closed` is set when the server closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data

    def close(self) -> None:
        self.closed.set()

    def abort(self) -> None:
        self.closed.set()

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        """All that comes is here already."""

    def resume_reading(self) -> None:
        """All that comes is here already."""
