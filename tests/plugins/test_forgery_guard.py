import pytest

from rainbow_xmpp.plugin import Passage, Plugin, Stage, hook
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.testing import Client, TestServer

SERVER, BOB = "rainbow.test", "bob@rainbow.test"
BODY = "<body>hello</body>"

FORGED = {
    "stanza-id of the recipient": f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{BOB}'/>",
    "stanza-id of the server": f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{SERVER}'/>",
    "stanza-id of anybody here": f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='eve@{SERVER}'/>",
    "in capitals": f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{BOB.upper()}'/>",
    "with an escaped namespace": f"<stanza-id xmlns='urn:xmpp:sid&#x3a;0' id='1' by='{BOB}'/>",
    "with an escaped address": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='bob&#64;rainbow.test'/>",
    "with a prefix": f"<x:stanza-id xmlns:x='urn:xmpp:sid:0' id='1' by='{BOB}'/>",
    "with content": f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{BOB}'><a/>text</stanza-id>",
    "delay of the server": f"<delay xmlns='urn:xmpp:delay' from='{SERVER}' stamp='2000-01-01T00:00:00Z'/>",
    "sent carbon": "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
    "received carbon": "<received xmlns='urn:xmpp:carbons:2'/>",
    "archive result": "<result xmlns='urn:xmpp:mam:2' queryid='q' id='1'/>",
}

HONEST = {
    "plain": "",
    "id of the sender's": "<origin-id xmlns='urn:xmpp:sid:0' id='1'/>",
    "id of another server": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example'/>",
    "id of nobody": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='@'/>",
    "id without an author": "<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>",
    "delay of the sender's": f"<delay xmlns='urn:xmpp:delay' from='ann@{SERVER}' stamp='2000-01-01T00:00:00Z'/>",
    "no copies": "<private xmlns='urn:xmpp:carbons:2'/>",
    "receipt": "<received xmlns='urn:xmpp:receipts' id='1'/>",
    "forwarded": f"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' from='{SERVER}'/></forwarded>",
    "words": "<subject>stanza-id xmlns=urn:xmpp:sid:0 delay result sent received</subject>",
}


async def what_arrives(sender: Client, receiver: Client, content: str, head: str = "") -> str:
    sender.send(f"<message to='{BOB}' type='chat'{head}>{content}</message>")
    stanza = (await receiver.receive_bytes()).decode()
    return stanza[stanza.index(">") + 1 : -len("</message>")]


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_what_only_the_server_may_say_is_taken_out(forged):
    async with TestServer([ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        assert await what_arrives(ann, bob, forged + BODY) == BODY
        assert await what_arrives(ann, bob, f"{forged}{BODY}{forged}{forged}") == BODY


async def test_all_of_them_together_are_taken_out():
    async with TestServer([ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        assert await what_arrives(ann, bob, "".join(FORGED.values()) + BODY) == BODY


@pytest.mark.parametrize(
    "head",
    [" xmlns='jabber:client'", " xmlns:x='urn:xmpp:sid:0' xmlns='jabber:client'"],
    ids=["late", "prefix"],
)
async def test_a_namespace_declared_on_the_stanza_hides_nothing(head):
    name = "x:stanza-id" if "xmlns:x" in head else "stanza-id xmlns='urn:xmpp:sid:0'"
    async with TestServer([ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        arrived = await what_arrives(ann, bob, f"<{name} id='1' by='{BOB}'/>{BODY}", head)
        assert arrived == BODY


@pytest.mark.parametrize("honest", HONEST.values(), ids=HONEST)
async def test_everything_else_arrives_byte_for_byte(honest):
    async with TestServer([ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        assert await what_arrives(ann, bob, honest + BODY) == honest + BODY


async def test_presence_is_cleaned_for_subscribers_too():
    async with TestServer([ForgeryGuard]) as server:
        ann, bob = await server.person("ann@acme"), await server.login("bob@acme")
        await server.subscribe(bob.bare, to=ann)
        client = await server.login("ann@acme", available=False)
        client.send(f"<presence><show>away</show>{FORGED['delay of the server']}</presence>")
        (seen,) = await bob.rest()
        assert [child.tag for child in seen] == ["{jabber:client}show"]


class Stamper(Plugin, name="a_stamper"):
    """Stands before the guard by its name, and behind it by its word."""

    @hook(Stage.REWRITE, after="forgery_guard")
    def stamp(self, p: Passage) -> Passage:
        genuine = f"<stanza-id xmlns='urn:xmpp:sid:0' id='ours' by='{BOB}'/>"
        return p._replace(data=p.data.replace(b"</message>", genuine.encode() + b"</message>"))


async def test_what_the_server_adds_afterwards_stays():
    async with TestServer([Stamper, ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        arrived = await what_arrives(ann, bob, BODY + FORGED["stanza-id of the recipient"])
        assert arrived == f"{BODY}<stanza-id xmlns='urn:xmpp:sid:0' id='ours' by='{BOB}'/>"
