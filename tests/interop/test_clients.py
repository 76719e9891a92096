"""Real XMPP libraries against the real server process, over the real port."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.interop.client import KINDS, SLIXMPP, Client, ClientFailed, Kind, running
from tests.interop.relay import Relay, relay
from tests.process import ChatServer, Person

GREETING = "Grüße an <alle> & ein 🌈 dazu"


@pytest.fixture
def people(server: ChatServer) -> tuple[Person, Person]:
    """The account of the client under test and that of its peer."""
    return server.new_person(), server.new_person()


@pytest.fixture
async def peer(server: ChatServer, people: tuple[Person, Person], tmp_path: Path) -> AsyncIterator[Client]:
    """slixmpp, online, for the client under test to talk to."""
    async with running(SLIXMPP, server.endpoint, tmp_path) as client:
        await client.login(people[1], server.endpoint)
        yield client


@pytest.fixture
async def line(server: ChatServer) -> AsyncIterator[Relay]:
    """The network between the client under test and the server."""
    async with relay(server.endpoint.host, server.endpoint.port) as made:
        yield made


EVERY_LOGIN = [
    pytest.param(
        kind,
        mechanism,
        by_email,
        id=f"{kind}-{mechanism or 'own choice'}-{'e-mail' if by_email else 'localpart'}",
    )
    for kind in KINDS
    for mechanism in (None, *kind.mechanisms)
    for by_email in (False, True)
]


@pytest.mark.parametrize(("kind", "mechanism", "by_email"), EVERY_LOGIN)
async def test_a_client_logs_in_and_writes_to_itself(
    server: ChatServer, tmp_path: Path, kind: Kind, mechanism: str | None, by_email: bool
) -> None:
    if by_email and not server.offers_email_login:
        pytest.skip("this server has no log in by e-mail")
    if not server.offers(mechanism):
        pytest.skip(f"this server has no {mechanism}")
    person = server.new_person()
    username = person.email if by_email else person.localpart
    async with running(kind, server.endpoint, tmp_path) as client:
        jid = await client.login(person, server.endpoint, username=username, mechanism=mechanism)
        await client.do("message", to=jid, body=GREETING)
        message = await client.wait("message", body=GREETING)
        await client.do("logout")
    assert jid.startswith(f"{person.jid}/")
    assert message["from"] == jid


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_client_is_told_that_its_password_is_wrong(
    server: ChatServer, tmp_path: Path, kind: Kind
) -> None:
    person = server.new_person()
    wrong = Person(person.localpart, person.email, person.company, f"{person.password}x", person.domain)
    async with running(kind, server.endpoint, tmp_path) as client:
        with pytest.raises(ClientFailed) as refused:
            await client.login(wrong, server.endpoint, mechanism="PLAIN")
    assert "not-authorized" in refused.value.reason


@pytest.mark.parametrize("mechanism", ["SCRAM", "PLAIN"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
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
    async with running(kind, server.endpoint, tmp_path) as client:
        await client.login(people[0], server.endpoint, port=line.port, mechanism=chosen)
        await become_friends(client, people[0], peer, people[1])
        await chat(client, peer)

        line.cut()
        await client.wait("offline")
        await peer.wait("presence", from_=client.jid, type="unavailable")
        await peer.do("message", to=people[0].jid, body="while you were away")
        await line.mend()
        await client.wait_online()
        await peer.wait("presence", from_=client.jid, type="available")
        await client.wait("presence", from_=peer.jid, type="available")
        await client.wait("roster", jid=people[1].jid, subscription="both")
        await client.wait("message", body="while you were away")
        await chat(client, peer)

        await client.do("logout")
        gone = await peer.wait("presence", from_=client.jid, type="unavailable")
    assert gone["from"].startswith(f"{people[0].jid}/")


async def become_friends(client: Client, person: Person, peer: Client, friend: Person) -> None:
    """Subscribes each to the other's presence, and waits until both have seen it."""
    await client.do("subscribe", to=friend.jid)
    await peer.wait("subscription-request", from_=person.jid)
    await peer.do("approve", to=person.jid)
    await client.wait("presence", from_=peer.jid, type="available")
    await peer.do("subscribe", to=person.jid)
    await client.wait("subscription-request", from_=friend.jid)
    await client.do("approve", to=friend.jid)
    await peer.wait("presence", from_=client.jid, type="available")
    await client.wait("roster", jid=friend.jid, subscription="both")
    await peer.wait("roster", jid=person.jid, subscription="both")


async def chat(client: Client, peer: Client) -> None:
    """Sends a message each way and checks what arrives and from whom."""
    for sender, receiver in ((client, peer), (peer, client)):
        text = f"{GREETING}, {sender.kind}"
        await sender.do("message", to=receiver.jid, body=text)
        message = await receiver.wait("message", body=text)
        assert message["from"] == sender.jid
