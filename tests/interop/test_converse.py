"""Converse in headless Chromium, on a page of another origin, chats with slixmpp."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import setup_clients
from tests.interop.client import CONVERSE, CONVERSE_ANEW, SLIXMPP, Client, ClientFailed, Kind, running
from tests.interop.page import serving
from tests.interop.relay import Relay
from tests.interop.scenario import become_friends, chat, leave, lose_connection
from tests.interop.test_after_a_cut import talk
from tests.process import ChatServer, Person, RainbowServer

SCREENSHOTS = setup_clients.CACHE / "screenshots"


@pytest.fixture(scope="session")
def converse_page(page_listener: socket.socket, page_origin: str) -> Iterator[str]:
    """The address of the page with Converse."""
    with serving(page_listener):
        yield f"{page_origin}/"


@pytest.fixture
def kind() -> Kind:
    """Converse as it is shipped, unless a test says otherwise."""
    return CONVERSE


@pytest.fixture
async def browser(server: ChatServer, tmp_path: Path, kind: Kind) -> AsyncIterator[Client]:
    """Converse, not logged in yet."""
    try:
        setup_clients.chromium_program()
    except setup_clients.SetupFailed as missing:
        pytest.skip(str(missing))
    async with running(kind, server.endpoint, tmp_path) as client:
        yield client


async def take_screenshot(browser: Client, name: str) -> Path:
    """Saves what the browser shows as tests/.cache/screenshots/<name>.png."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    file = SCREENSHOTS / f"{name}.png"
    file.unlink(missing_ok=True)
    await browser.do("screenshot", path=str(file))
    return file


@pytest.mark.parametrize("mechanism", CONVERSE.mechanisms)
async def test_friends_chat_across_a_lost_connection(
    server: ChatServer,
    people: tuple[Person, Person],
    peer: Client,
    browser: Client,
    line: Relay,
    converse_page: str,
    mechanism: str,
) -> None:
    person, friend = people
    await browser.login(person, server.endpoint, port=line.port, mechanism=mechanism, page_url=converse_page)
    await become_friends(browser, person, peer, friend)
    await chat(browser, peer)
    await lose_connection(browser, person, line, peer, friend)
    await chat(browser, peer)
    picture = await take_screenshot(browser, f"converse-{mechanism.lower()}")
    await leave(browser, peer)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", [CONVERSE, CONVERSE_ANEW], ids=str)
async def test_what_the_other_device_heard_and_said_is_read_once(
    server: ChatServer,
    people: tuple[Person, Person],
    peer: Client,
    browser: Client,
    line: Relay,
    converse_page: str,
    tmp_path: Path,
) -> None:
    """XEP-0280, and after the cut XEP-0198 §5 or, with a new session, XEP-0313."""
    if not isinstance(server, RainbowServer):
        pytest.skip("these are our defaults")
    person, friend = people
    await browser.login(person, server.endpoint, port=line.port, page_url=converse_page)
    await become_friends(browser, person, peer, friend)
    await browser.do("message", to=friend.jid, body="first")
    await peer.wait("message", body="first")
    async with running(SLIXMPP, server.endpoint, tmp_path) as desk:
        await desk.login(person, server.endpoint, resource="desk")
        said = ["first", *await talk(peer, desk, "before")]
        await browser.do("read", of=friend.jid, until=said[-1])
        assert (await browser.wait("read"))["texts"] == said
        line.cut()
        await browser.wait("offline")
        said += await talk(peer, desk, "meanwhile")
        await line.mend()
        await browser.do("read", of=friend.jid, until=said[-1])
        said += await talk(peer, desk, "after")
        await browser.do("read", of=friend.jid, until=said[-1])
        await browser.wait("read")
        assert (await browser.wait("read"))["texts"] == said
        went = [e for e in peer.history if (e.get("from"), e.get("type")) == (browser.jid, "unavailable")]
        assert bool(went) is not browser.kind.resumes
    await leave(browser, peer)


async def test_a_request_is_accepted_by_pressing_a_button(
    server: ChatServer, people: tuple[Person, Person], peer: Client, browser: Client, converse_page: str
) -> None:
    person, friend = people
    await browser.login(person, server.endpoint, page_url=converse_page)
    await peer.do("subscribe", to=person.jid)
    await browser.wait("subscription-request", from_=friend.jid)
    await browser.do("accept", to=friend.jid)
    await peer.wait("presence", from_=browser.jid, type="available")
    item = await peer.wait("roster", jid=person.jid, subscription="to")
    await leave(browser, peer)
    assert item["jid"] == person.jid


async def test_a_person_logs_in_with_an_email_address(
    server: ChatServer, people: tuple[Person, Person], browser: Client, converse_page: str
) -> None:
    if not server.offers_email_login:
        pytest.skip("this server has no log in by e-mail")
    person = people[0]
    jid = await browser.login(person, server.endpoint, username=person.email, page_url=converse_page)
    picture = await take_screenshot(browser, "converse-email")
    assert jid.startswith(f"{person.jid}/")
    assert picture.read_bytes().startswith(b"\x89PNG")


async def test_a_wrong_password_is_shown_at_the_form(
    server: ChatServer, people: tuple[Person, Person], browser: Client, converse_page: str
) -> None:
    person = people[0]
    wrong = Person(person.localpart, person.email, person.company, f"{person.password}x", person.domain)
    with pytest.raises(ClientFailed, match="incorrect"):
        await browser.login(wrong, server.endpoint, page_url=converse_page)
