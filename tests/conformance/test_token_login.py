"""Logging in to XMPP with a token of the API (OAUTHBEARER, RFC 7628), over both transports."""

import asyncio
import base64
import json
import ssl
import urllib.request
from typing import Any

import pytest

from tests.conformance.wire import SaslFailure
from tests.doors import Door
from tests.process import Person, RainbowServer


async def api(door: Door, path: str, authorization: str) -> Any:
    """The answer to a POST."""
    endpoint = door.server.endpoint

    def ask() -> Any:
        trusting = ssl.create_default_context(cafile=str(endpoint.ca_file))
        url = f"https://localhost:{endpoint.port}/api/v1{path}"
        request = urllib.request.Request(url, method="POST", headers={"Authorization": authorization})
        with urllib.request.urlopen(request, context=trusting) as answer:
            return json.loads(answer.read() or b"null")

    return await asyncio.to_thread(ask)


async def token_of(door: Door, person: Person) -> str:
    basic = base64.b64encode(f"{person.localpart}:{person.password}".encode()).decode()
    return str((await api(door, "/auth/login", f"Basic {basic}"))["access_token"])


def message(token: str, authzid: str = "") -> bytes:
    return f"n,{f'a={authzid}' if authzid else ''},\x01auth=Bearer {token}\x01\x01".encode()


@pytest.fixture(autouse=True)
def only_ours(door: Door) -> None:
    if not isinstance(door.server, RainbowServer):
        pytest.skip("tokens are of this server's API")


async def test_a_token_lets_its_owner_in_until_they_log_out(door: Door) -> None:
    person = door.server.new_person()
    token = await token_of(door, person)
    wire = await door.opened()
    await wire.send_auth("OAUTHBEARER", message(token, person.jid))
    await wire.sasl_reply()
    await wire.open()
    await wire.bind()
    assert wire.jid.partition("/")[0] == person.jid
    await api(door, "/auth/logout", f"Bearer {token}")
    await wire.expect_stream_error("policy-violation")
    again = await door.opened()
    await again.send_auth("OAUTHBEARER", message(token))
    assert json.loads(await again.sasl_reply()) == {"status": "invalid_token"}
    await again.send_response(b"\x01")
    with pytest.raises(SaslFailure, match="not-authorized"):
        await again.sasl_reply()


async def test_nobody_acts_as_somebody_else_by_a_token(door: Door) -> None:
    ann, bob = door.server.new_person(), door.server.new_person()
    wire = await door.opened()
    await wire.send_auth("OAUTHBEARER", message(await token_of(door, ann), bob.jid))
    with pytest.raises(SaslFailure, match="invalid-authzid"):
        await wire.sasl_reply()
