"""What two people do, whatever their clients: become friends, chat, lose the connection, come back."""

from tests.interop.client import IN_CHROMIUM, Client
from tests.interop.relay import Relay
from tests.process import Person

GREETING = "Grüße an <alle> & ein 🌈 dazu"
LATE_GREETING = "während Du weg warst"


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


async def lose_connection(client: Client, person: Person, line: Relay, peer: Client, friend: Person) -> None:
    """Cuts the client's line, shows that its friend sees it go and come back, and that no message is lost."""
    line.cut()
    await client.wait("offline")
    if client.kind.resumes:
        await resume(client, line, peer)
        return
    await peer.wait("presence", from_=client.jid, type="unavailable")
    await peer.do("message", to=person.jid, body=LATE_GREETING)
    await line.mend()
    await client.wait_online()
    await peer.wait("presence", from_=client.jid, type="available")
    await client.wait("presence", from_=peer.jid, type="available")
    await client.wait("roster", jid=friend.jid, subscription="both")
    await client.wait("message", body=LATE_GREETING)


async def resume(client: Client, line: Relay, peer: Client) -> None:
    """Shows that the same session goes on: what it was sent meanwhile is there, and its friend saw nothing."""
    await peer.do("message", to=client.jid, body=LATE_GREETING)
    await line.mend()
    await client.wait("message", body=LATE_GREETING)
    await peer.do("message", to=client.jid, body="Da bist Du ja")
    await client.wait("message", body="Da bist Du ja")
    assert not any(event.get("type") == "unavailable" for event in peer.history)


async def leave(client: Client, peer: Client) -> None:
    """Logs out in due form; the friend sees it.

    A browser now and then drops the connection before the end of the stream is on its way: then a session that can
    be resumed waits for its client, as it must, and nothing is seen.
    """
    await client.do("logout")
    if client.kind.resumes and client.kind in IN_CHROMIUM:
        return
    gone = await peer.wait("presence", from_=client.jid, type="unavailable")
    assert gone["from"] == client.jid
