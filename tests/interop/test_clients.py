"""Real XMPP libraries against the real server process, over the real port."""

import asyncio
import itertools
import re
import urllib.request
from pathlib import Path

import pytest

from tests.interop.client import KINDS, RESUMING, STROPHE, XMPP_CLIENT, Client, ClientFailed, Kind, running
from tests.interop.relay import Relay
from tests.interop.scenario import GREETING, become_friends, chat, leave, lose_connection
from tests.process import ChatServer, Person, RainbowServer

NAMES = ("email", "localpart")
EVERY_LOGIN = [
    pytest.param(kind, mechanism, name, id=f"{kind}-{mechanism or 'own choice'}-{name}")
    for kind in KINDS
    for mechanism, name in ((None, "localpart"), *zip(kind.mechanisms, itertools.cycle(NAMES), strict=False))
]
"""Each mechanism once, by turns with either name: what the server makes of names and of mechanisms is no one's business
but its own, and tests/conformance/test_sasl.py has every pair."""
FRIENDS = [(kind, "SCRAM") for kind in KINDS] + [(STROPHE, "PLAIN"), *((kind, "SCRAM") for kind in RESUMING)]


@pytest.mark.parametrize(("kind", "mechanism", "name"), EVERY_LOGIN)
async def test_a_client_logs_in_and_writes_to_itself(
    server: ChatServer, tmp_path: Path, kind: Kind, mechanism: str | None, name: str
) -> None:
    if name == "email" and not server.offers_email_login:
        pytest.skip("this server has no log in by e-mail")
    if not server.offers(mechanism):
        pytest.skip(f"this server has no {mechanism}")
    person = server.new_person()
    async with running(kind, server.endpoint, tmp_path) as client:
        username = getattr(person, name)
        jid = await client.login(person, server.endpoint, username=username, mechanism=mechanism)
        await client.do("message", to=jid, body=GREETING)
        message = await client.wait("message", body=GREETING)
        await client.do("logout")
    assert jid.startswith(f"{person.jid}/")
    assert message["from"] == jid


async def test_a_client_that_knows_sasl2_binds_with_its_login(server: ChatServer, tmp_path: Path) -> None:
    """XEP-0388 and XEP-0386: xmpp.js takes them wherever they are offered."""
    if not isinstance(server, RainbowServer):
        pytest.skip("this server has no SASL2")
    person = server.new_person()
    resources = []
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        folder.mkdir()
        async with running(XMPP_CLIENT, server.endpoint, folder) as client:
            resources.append((await client.login(person, server.endpoint)).partition("/")[2])
            await client.do("logout")
    assert all(resource.startswith("interop/") for resource in resources)
    assert resources[0] != resources[1]  # each process is an installation of its own


async def test_a_client_that_knows_fast_comes_back_by_a_token(
    server: ChatServer, line: Relay, tmp_path: Path
) -> None:
    """XEP-0484: xmpp.js asks for a token where it is offered, and checks the server's proof."""
    if not isinstance(server, RainbowServer):
        pytest.skip("this server has no FAST")
    person, before = server.new_person(), await tokens_used(server)
    async with running(XMPP_CLIENT, server.endpoint, tmp_path) as client:
        await client.login(person, server.endpoint, port=line.port)
        line.cut()
        await client.wait("offline")
        await line.mend()
        async with asyncio.timeout(20):
            while await tokens_used(server) == before:
                await asyncio.sleep(0.1)
        await client.do("logout")


async def tokens_used(server: RainbowServer) -> float:
    """How many logins by a token there were on this server."""
    url = f"http://{server.endpoint.host}:{server.metrics_port}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    (value,) = re.findall(r"^rainbow_fast_logins_total (\S+)$", text, re.MULTILINE)
    return float(value)


@pytest.mark.parametrize("mechanism", ["SCRAM", "PLAIN"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_client_is_told_that_its_password_is_wrong(
    server: ChatServer, tmp_path: Path, kind: Kind, mechanism: str
) -> None:
    chosen = next(m for m in kind.mechanisms if m.startswith(mechanism) and server.offers(m))
    person = server.new_person()
    wrong = Person(person.localpart, person.email, person.company, f"{person.password}x", person.domain)
    async with running(kind, server.endpoint, tmp_path) as client:
        with pytest.raises(ClientFailed) as refused:
            await client.login(wrong, server.endpoint, mechanism=chosen)
    assert "not-authorized" in refused.value.reason


@pytest.mark.parametrize(("kind", "mechanism"), FRIENDS, ids=str)
async def test_friends_chat_across_a_lost_connection(
    server: ChatServer,
    people: tuple[Person, Person],
    peer: Client,
    line: Relay,
    tmp_path: Path,
    kind: Kind,
    mechanism: str,
) -> None:
    chosen = next(m for m in kind.mechanisms if m.startswith(mechanism) and server.offers(m))
    person, friend = people
    async with running(kind, server.endpoint, tmp_path) as client:
        await client.login(person, server.endpoint, port=line.port, mechanism=chosen)
        await become_friends(client, person, peer, friend)
        await chat(client, peer)
        await lose_connection(client, person, line, peer, friend)
        await chat(client, peer)
        await leave(client, peer)
