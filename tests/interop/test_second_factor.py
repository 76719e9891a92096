"""Second factors against the real server process: what clients without SASL2 do, and what those with it can do."""

import asyncio
import base64
import json
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from tests.conformance.sasl_client import Scram
from tests.conformance.wire import NAMESPACES, SaslFailure, Wire, connect
from tests.interop.client import SLIXMPP, ClientFailed, running
from tests.process import ChatServer, Person, RainbowServer

SASL2 = NAMESPACES["sasl2"]
MINE = "/users/me/second-factor"
AGENT = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>"
BIND = "<bind xmlns='urn:xmpp:bind:0'/>"
TOKEN = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"


@dataclass
class Careful:
    """Somebody with a second factor, an app password and a token of the API."""

    server: ChatServer
    person: Person
    totp: pyotp.TOTP
    recovery: list[str]
    app_password: str
    token: str

    def with_app_password(self) -> Person:
        return replace(self.person, password=self.app_password)

    def code(self) -> str:
        """Another one than that which confirmed the factor."""
        return self.totp.at(time.time() + 30)


async def api(server: ChatServer, method: str, path: str, authorization: str, body: object = None) -> Any:
    """The answer to a call."""
    endpoint = server.endpoint

    def ask() -> Any:
        trusting = ssl.create_default_context(cafile=str(endpoint.ca_file))
        url = f"https://localhost:{endpoint.port}/api/v1{path}"
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, context=trusting) as answer:
            return json.loads(answer.read() or b"null")

    return await asyncio.to_thread(ask)


@pytest.fixture
async def careful(server: ChatServer) -> AsyncIterator[Careful]:
    if not isinstance(server, RainbowServer):
        pytest.skip("second factors are this server's")
    person = server.new_person()
    basic = base64.b64encode(f"{person.localpart}:{person.password}".encode()).decode()
    token = (await api(server, "POST", "/auth/login", f"Basic {basic}"))["access_token"]
    begun = await api(server, "POST", f"{MINE}/enrolment", f"Bearer {token}", {"password": person.password})
    totp = pyotp.TOTP(parse_qs(urlsplit(begun["uri"]).query)["secret"][0])
    made = await api(server, "POST", f"{MINE}/confirmation", f"Bearer {token}", {"code": totp.now()})
    token = made["tokens"]["access_token"]
    app = await api(
        server,
        "POST",
        f"{MINE}/app-passwords",
        f"Bearer {token}",
        {"name": "a client", "password": person.password},
    )
    yield Careful(server, person, totp, made["recovery_codes"], app["password"], token)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
async def test_a_client_that_knows_no_codes_logs_in_by_an_app_password(
    careful: Careful, tmp_path: Path, mechanism: str
) -> None:
    server = careful.server
    async with running(SLIXMPP, server.endpoint, tmp_path) as client:
        jid = await client.login(careful.with_app_password(), server.endpoint, mechanism=mechanism)
        await client.do("message", to=jid, body="hello")
        assert (await client.wait("message", body="hello"))["from"] == jid
        await client.do("logout")


async def test_the_own_password_is_refused_as_a_wrong_one_is(careful: Careful, tmp_path: Path) -> None:
    refused = []
    for password in (careful.person.password, "Wrong-Horse-7"):
        folder = tmp_path / password
        folder.mkdir()
        async with running(SLIXMPP, careful.server.endpoint, folder) as client:
            with pytest.raises(ClientFailed) as failed:
                await client.login(
                    replace(careful.person, password=password),
                    careful.server.endpoint,
                    mechanism="SCRAM-SHA-256",
                )
        refused.append(failed.value.reason)
    assert refused[0] == refused[1]
    assert "not-authorized" in refused[0]


async def proven(careful: Careful, wire: Wire, inline: str) -> None:
    """The password is proven by SCRAM, the server to the client as well, and a code is asked for."""
    await wire.open()
    scram = Scram("SCRAM-SHA-256", careful.person.localpart, careful.person.password)
    await wire.send_authenticate("SCRAM-SHA-256", scram.first(), AGENT + inline)
    challenge = base64.b64decode((await wire.sasl2_reply("challenge")).text or "")
    await wire.send_sasl2("response", scram.final(challenge))
    more = await wire.sasl2_reply("continue")
    scram.verify(base64.b64decode(more.findtext(f"{{{SASL2}}}additional-data", "")))
    assert [task.text for task in more.iter(f"{{{SASL2}}}task")] == ["TOTP"]


async def show(wire: Wire, code: str) -> None:
    await wire.send(f"<next xmlns='{SASL2}' task='TOTP'><totp xmlns='urn:xmpp:mfa:0'>{code}</totp></next>")


async def test_a_code_binds_and_gives_a_token_for_the_next_time(careful: Careful) -> None:
    """XEP-0388, XEP-0400, XEP-0386, XEP-0484: what was asked for is done after all factors, and not before."""
    code = careful.code()
    async with await connect(careful.server.endpoint, "tls") as wire:
        await proven(careful, wire, BIND + TOKEN)
        await show(wire, code)
        success = await wire.sasl2_reply("success")
        assert "/" in success.findtext(f"{{{SASL2}}}authorization-identifier", "")
        assert success.find("{urn:xmpp:fast:0}token") is not None
    async with await connect(careful.server.endpoint, "tls") as wire:
        await proven(careful, wire, BIND)
        await show(wire, code)
        with pytest.raises(SaslFailure, match="not-authorized"):
            await wire.sasl2_reply("success")
    async with await connect(careful.server.endpoint, "tls") as wire:
        await proven(careful, wire, BIND)
        await show(wire, careful.recovery[0])
        await wire.sasl2_reply("success")


async def test_an_app_password_gives_no_token_that_outlives_it(careful: Careful) -> None:
    async with await connect(careful.server.endpoint, "tls") as wire:
        await wire.open()
        success = await wire.authenticate2(
            careful.person.localpart, careful.app_password, inline=AGENT + BIND + TOKEN
        )
        assert success.find("{urn:xmpp:fast:0}token") is None


async def test_a_token_of_a_whole_login_lets_its_owner_in(careful: Careful) -> None:
    message = f"n,,\x01auth=Bearer {careful.token}\x01\x01".encode()
    async with await connect(careful.server.endpoint, "tls") as wire:
        await wire.open()
        await wire.send_auth("OAUTHBEARER", message)
        await wire.sasl_reply()
        await wire.open()
        await wire.bind()
    basic = base64.b64encode(f"{careful.person.localpart}:{careful.person.password}".encode()).decode()
    waiting = (await api(careful.server, "POST", "/auth/login", f"Basic {basic}"))["token"]
    async with await connect(careful.server.endpoint, "tls") as wire:
        await wire.open()
        await wire.send_auth("OAUTHBEARER", f"n,,\x01auth=Bearer {waiting}\x01\x01".encode())
        assert json.loads(await wire.sasl_reply()) == {"status": "invalid_token"}
