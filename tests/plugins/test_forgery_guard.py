import pytest

from rainbow_xmpp.plugin import Passage, Plugin, Stage, hook
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.plugins.offline import Offline
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
    "delay of the recipient": f"<delay xmlns='urn:xmpp:delay' from='{BOB}' stamp='2000-01-01T00:00:00Z'/>",
    "delay of a colleague": f"<delay xmlns='urn:xmpp:delay' from='eve@{SERVER}/x' stamp='2000-01-01T00:00:00Z'/>",
    "delay of the server's resource": f"<delay xmlns='urn:xmpp:delay' from='{SERVER}/x' stamp='2000-01-01T00:00:00Z'/>",
    "sent carbon": "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
    "received carbon": "<received xmlns='urn:xmpp:carbons:2'/>",
    "event": "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:bookmarks:1'/></event>",
    "archive result": "<result xmlns='urn:xmpp:mam:2' queryid='q' id='1'/>",
}

HONEST = {
    "plain": "",
    "id of the sender's": "<origin-id xmlns='urn:xmpp:sid:0' id='1'/>",
    "id of another server": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.example'/>",
    "id of nobody": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='@'/>",
    "id without an author": "<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>",
    "capitals in the name": f"<Stanza-Id xmlns='urn:xmpp:sid:0' id='1' by='{BOB}'/>",
    "capitals in the namespace": f"<stanza-id xmlns='URN:XMPP:SID:0' id='1' by='{BOB}'/>",
    "attribute of another namespace": (
        f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' xmlns:x='urn:x' x:by='{BOB}'/>"
    ),
    "delay of the sender's device": (
        f"<delay xmlns='urn:xmpp:delay' from='ANN@{SERVER}/phone' stamp='2000-01-01T00:00:00Z'/>"
    ),
    "deep inside": (
        f"<x xmlns='urn:x'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{BOB}'/>"
        "<sent xmlns='urn:xmpp:carbons:2'/></x>"
    ),
    "delay of the sender's": f"<delay xmlns='urn:xmpp:delay' from='ann@{SERVER}' stamp='2000-01-01T00:00:00Z'/>",
    "another event": "<event xmlns='urn:example:events'/>",
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


async def test_text_around_a_forgery_cannot_keep_it_from_being_taken_out():
    """Without what stands between, this would be the end of a CDATA section, and no XML any more."""
    async with TestServer([ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        forged = FORGED["stanza-id of the recipient"]
        ann.send(f"<message to='{BOB}' type='chat'>]{forged}]{forged}>]]{forged}>{BODY}</message>")
        (message,) = await bob.rest()
        assert [child.tag for child in message] == ["{jabber:client}body"]
        assert message.text == "]]>]]>"


WAYS = {
    "to the account": ("<message to='{bob}' type='chat'>{content}</message>", "bob"),
    "to the device": ("<message to='{device}' type='chat'>{content}</message>", "bob"),
    "of another kind": ("<message to='{device}' type='headline'>{content}</message>", "bob"),
    "as an error": ("<message to='{device}' type='error'>{content}</message>", "bob"),
    "to oneself": ("<message to='{ann}' type='chat'>{content}</message>", "ann"),
    "to nobody in particular": ("<message type='chat'>{content}</message>", "ann"),
    "presence to somebody": ("<presence to='{bob}'>{content}</presence>", "bob"),
    "presence to a device": ("<presence to='{device}'>{content}</presence>", "bob"),
    "a request to be seen": ("<presence to='{bob}' type='subscribe'>{content}</presence>", "bob"),
    "a request": ("<iq to='{device}' type='get' id='1'>{forged}</iq>", "bob"),
    "an answer": ("<iq to='{device}' type='result' id='1'>{forged}</iq>", "bob"),
}


@pytest.mark.parametrize(("stanza", "receiver"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("forged", ["stanza-id of the recipient", "delay of the server", "archive result"])
async def test_it_is_taken_out_whichever_way_it_takes(stanza, receiver, forged):
    async with TestServer([ForgeryGuard]) as server:
        people = {"ann": await server.login("ann@acme"), "bob": await server.login("bob@acme")}
        addresses = {"ann": people["ann"].bare, "bob": BOB, "device": people["bob"].jid}
        forgery = FORGED[forged]
        people["ann"].send(stanza.format(content=f"{forgery}{BODY}{forgery}", forged=forgery, **addresses))
        arrived = [data for data in await people[receiver].rest_bytes() if b"from='" in data]
        assert arrived
        name = forgery.partition(" ")[0].encode()
        assert not any(name in data for data in arrived)


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_it_is_taken_out_of_what_waits_for_somebody_who_is_away(forged):
    async with TestServer([ForgeryGuard, Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        ann.send(f"<message to='{bob.bare}' type='chat'>{forged}{BODY}{forged}</message>")
        await server.settle()
        client = await server.login("bob@acme", available=False)
        client.send("<presence/>")
        (message,) = [stanza for stanza in await client.rest() if stanza.tag.endswith("}message")]
        assert [child.tag for child in message] == ["{jabber:client}body", "{urn:xmpp:delay}delay"]
        assert message[1].get("from") == SERVER
        assert message[1].get("stamp") > "2001"


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
