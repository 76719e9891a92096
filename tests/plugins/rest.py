"""What tests of the API share: a server with a key, people with tokens, calls without a socket."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from rainbow_xmpp.testing import Person, TestServer
from rainbow_xmpp.testing.web import Answer

PASSWORD = "Correct-Horse-7"


@dataclass
class Caller:
    """Somebody with a token."""

    server: TestServer
    person: Person
    token: str
    refresh: str

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        return await call(self.server, method, path, body, Authorization=f"Bearer {self.token}", **headers)

    async def get(self, path: str) -> Any:
        answer = await self.call("GET", path)
        assert answer.status == 200, (path, answer.status, answer.text)
        return answer.json()


async def call(server: TestServer, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """A request to the API; `If_Match` is the header If-Match."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = b""
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named.setdefault("Content-Type", "application/json")
    return await server.http(method, f"/api/v1{path}", headers=named, body=data)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def with_password(server: TestServer, name: str) -> Person:
    """The person "localpart@company" with `PASSWORD`."""
    person = await server.person(name)
    await server.node.people.set_password(person.account, PASSWORD, actor="system")
    return person


async def logged_in(server: TestServer, name: str) -> Caller:
    person = await with_password(server, name)
    localpart = person.account.localpart
    answer = await call(server, "POST", "/auth/login", Authorization=basic(localpart, PASSWORD))
    assert answer.status == 200, answer.text
    pair = answer.json()
    return Caller(server, person, pair["access_token"], pair["refresh_token"])
