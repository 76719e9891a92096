"""Registering and setting passwords from real clients, over the real port, with the letter read from the folder."""

import asyncio
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from tests import setup_clients
from tests.conformance.wire import ConnectionEnded, Over, Wire
from tests.doors import Door
from tests.interop.client import CONVERSE, SLIXMPP, Client, running
from tests.interop.page import serving
from tests.interop.test_converse import take_screenshot
from tests.process import Person, RainbowServer

NS = "urn:xmpp:register:0"
R = f"{{{NS}}}"
PASSWORD = "Purple-Kettle-93"
NEW = "Silver-Anchor-41"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory, page_origin: str) -> Iterator[RainbowServer]:
    """A server where people register."""
    settings = {"plugins": {"mfa_pin": {"registration": "open"}, "company_roster": {"enabled": False}}}
    folder = tmp_path_factory.mktemp("open-server")
    server = RainbowServer(folder, settings=settings, origins=[page_origin])
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def door(open_server: RainbowServer, over: Over) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        yield Door(open_server, over, stack)


def new_address() -> str:
    return f"zoe-{secrets.token_hex(4)}@new.example"


async def code_to(server: RainbowServer, address: str) -> str:
    """The code of the letter to an address, which is taken out of the folder; waits for it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for file in (server.folder / "data/mail/new").glob("*"):
                text = file.read_text()
                if f"To: {address}" in text and (found := re.search(r"^(\d{6})$", text, re.MULTILINE)):
                    file.unlink()
                    return found[1]
            await asyncio.sleep(0.05)


# Raw, over both transports (XEP-0389)


def respond(**values: str) -> str:
    fields = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in values.items())
    return f"<response xmlns='{NS}'><x xmlns='jabber:x:data' type='submit'>{fields}</x></response>"


async def take_steps(wire: Wire, server: RainbowServer, what: str, address: str, password: str) -> str:
    """Go through a flow; the name to log in by."""

    async def say(text: str) -> Element:
        await wire.send(text)
        return await wire.expect(lambda el: el.tag.startswith(R))

    assert (await say(f"<{what} xmlns='{NS}'><flow id='code'/></{what}>")).tag == f"{R}challenge"
    assert (await say(respond(email=address))).tag == f"{R}challenge"
    code = await code_to(server, address)
    success = await say(respond(pin=code, password=password))
    assert success.tag == f"{R}success"
    name = success.findtext(f"{R}username")
    assert name
    return name


async def test_somebody_registers_logs_in_and_recovers_while_an_old_session_ends(
    door: Door, open_server: RainbowServer
) -> None:
    address = new_address()
    wire = await door.opened()
    name = await take_steps(wire, open_server, "register", address, PASSWORD)
    await wire.authenticate(name, PASSWORD)
    await wire.open()
    assert (await wire.bind()).startswith(f"{name}@localhost/")
    other = await door.opened()
    assert await take_steps(other, open_server, "recovery", address, NEW) == name
    with pytest.raises(ConnectionEnded):
        await wire.expect("never")
    person = Person(name, address, "Rainbow", NEW, "localhost")
    assert (await door.log_in(person)).jid.startswith(f"{name}@localhost/")


async def test_a_stanza_that_nobody_answers_ends_the_stream_before_login(door: Door) -> None:
    wire = await door.opened()
    await wire.send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")
    error = await wire.expect("stream:error")
    assert error[0].tag == "{urn:ietf:params:xml:ns:xmpp-streams}not-authorized"


async def test_nothing_is_announced_or_answered_before_tls(open_server: RainbowServer) -> None:
    endpoint = open_server.endpoint
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.starttls_port)
    streams = "http://etherx.jabber.org/streams"
    writer.write(
        f"<stream:stream to='{endpoint.domain}' version='1.0' xmlns='jabber:client' xmlns:stream='{streams}'>"
        "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>".encode()
    )
    said = (await asyncio.wait_for(reader.read(), PATIENCE_S)).decode()
    writer.close()
    assert "starttls" in said
    assert "register" not in said
    assert said.index("not-authorized") > said.index("starttls")


# slixmpp (XEP-0077)


async def start(client: Client, server: RainbowServer, address: str, purpose: str) -> list[str]:
    endpoint = server.endpoint
    await client.do(
        "register",
        address=address,
        purpose=purpose,
        port=endpoint.port,
        ca_file=str(endpoint.ca_file),
        domain=endpoint.domain,
        resource="interop",
        mechanism="SCRAM-SHA-256",
    )
    fields: list[str] = (await client.wait("asked"))["fields"]
    return fields


async def test_slixmpp_registers_changes_the_password_and_sets_a_forgotten_one(
    open_server: RainbowServer, tmp_path: Path
) -> None:
    address = new_address()
    jids = []
    for purpose, password in (("register", PASSWORD), ("reset", NEW)):
        async with running(SLIXMPP, open_server.endpoint, tmp_path) as client:
            assert {"x-pin", "password"} <= set(await start(client, open_server, address, purpose))
            code = await code_to(open_server, address)
            await client.do("finish", code=code, password=password)
            jids.append((await client.wait("online"))["jid"].partition("/")[0])
            await client.do("change_password", old=password, new=f"{password}-again")
            await client.wait("changed")
            await client.do("logout")
        person = Person(jids[0].partition("@")[0], address, "Rainbow", f"{password}-again", "localhost")
        async with running(SLIXMPP, open_server.endpoint, tmp_path) as again:
            await again.login(person, open_server.endpoint)
            await again.do("logout")
    assert jids[0] == jids[1]


# Converse, in its own form


async def test_somebody_registers_in_converse_and_logs_in(
    open_server: RainbowServer, tmp_path: Path, page_listener: socket.socket, page_origin: str
) -> None:
    try:
        setup_clients.chromium_program()
    except setup_clients.SetupFailed as missing:
        pytest.skip(str(missing))
    address, endpoint = new_address(), open_server.endpoint
    with serving(page_listener):
        async with running(CONVERSE, endpoint, tmp_path) as browser:
            await browser.do(
                "register",
                timeout=60,
                page_url=f"{page_origin}/",
                url=f"wss://{endpoint.domain}:{endpoint.port}{endpoint.path}",
                domain=endpoint.domain,
                address=address,
            )
            assert "One step is left: a letter" in (await browser.wait("asked"))["text"]
            picture = await take_screenshot(browser, "converse-register")
            assert picture.read_bytes().startswith(b"\x89PNG")
            code = await code_to(open_server, address)
            await browser.do("finish", timeout=60, address=address, code=code, password=PASSWORD)
            assert re.match(r"[0-9a-f]{32}@localhost/", await browser.wait_online())
            await browser.do("logout")
