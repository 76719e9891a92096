"""Copies for the other devices (XEP-0280)."""

import pytest

from rainbow_xmpp.plugins.archive import Archive
from rainbow_xmpp.plugins.carbons import Carbons
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.xml import Element

CARBONS = "urn:xmpp:carbons:2"
INNER = "{urn:xmpp:forward:0}forwarded/{jabber:client}message"
BODY = "{jabber:client}body"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"


async def device(server: TestServer, name: str, *, wants: bool = True, priority: int = 0) -> Client:
    client = await server.login(name, available=False)
    if wants:
        client.send(f"<iq type='set' id='c'><enable xmlns='{CARBONS}'/></iq>")
    client.send(f"<presence><priority>{priority}</priority></presence>")
    await client.rest()
    return client


async def messages(client: Client) -> list[Element]:
    return [stanza for stanza in await client.rest() if stanza.tag == "{jabber:client}message"]


async def copies(client: Client, kind: str) -> list[str | None]:
    """The bodies in the copies; anything else that came is a mistake."""
    found = []
    for stanza in await messages(client):
        assert stanza.get("from") == client.bare
        assert stanza.get("to") == client.jid
        (wrapper,) = stanza
        assert wrapper.tag == f"{{{CARBONS}}}{kind}"
        found.append(wrapper.find(INNER).findtext(BODY))
    return found


def say(sender: Client, to: str, text: str, *, kind: str = "chat", more: str = "") -> None:
    sender.send(f"<message to='{to}' type='{kind}'><body>{text}</body>{more}</message>")


@pytest.mark.parametrize("plugins", [[Carbons], [Carbons, Archive]], ids=["alone", "with the log"])
async def test_each_device_sees_both_sides_once(plugins: list[type[Carbons]]) -> None:
    async with TestServer(plugins) as server:
        phone, laptop = await device(server, "ann@acme"), await device(server, "ann@acme")
        mute, bob = await device(server, "ann@acme", wants=False), await device(server, "bob@acme")
        await phone.rest(), await laptop.rest(), await mute.rest()
        say(bob, phone.jid, "to the phone")
        (got,) = await messages(phone)
        assert got.findtext(BODY) == "to the phone"
        assert await copies(laptop, "received") == ["to the phone"]
        say(laptop, bob.jid, "from the laptop")
        assert await copies(phone, "sent") == ["from the laptop"]
        assert [message.findtext(BODY) for message in await messages(bob)] == ["from the laptop"]
        assert await messages(laptop) == []
        assert await messages(mute) == []


async def test_a_message_to_everybody_is_no_copy_for_anybody_but_who_takes_none() -> None:
    async with TestServer([Carbons]) as server:
        phone, silent = await device(server, "ann@acme"), await device(server, "ann@acme", priority=-1)
        bob = await device(server, "bob@acme")
        say(bob, phone.bare, "to ann")
        (got,) = await messages(phone)
        assert got.findtext(BODY) == "to ann"
        assert await copies(silent, "received") == ["to ann"]


async def test_a_note_to_oneself_comes_once_to_each_device() -> None:
    async with TestServer([Carbons, Archive]) as server:
        phone, laptop = await device(server, "ann@acme"), await device(server, "ann@acme")
        silent = await device(server, "ann@acme", priority=-1)
        say(phone, phone.bare, "note")
        assert [message.findtext(BODY) for message in await messages(phone)] == ["note"]
        assert [message.findtext(BODY) for message in await messages(laptop)] == ["note"]
        assert await copies(silent, "sent") == ["note"]


async def test_a_copy_has_the_id_of_its_own_log() -> None:
    async with TestServer([Carbons, Archive]) as server:
        phone, laptop = await device(server, "ann@acme"), await device(server, "ann@acme")
        bob = await device(server, "bob@acme")
        say(phone, bob.jid, "hi")
        (copy,) = await messages(laptop)
        (got,) = await messages(bob)
        (mark,) = copy.iter(STANZA_ID)
        assert mark.get("by") == laptop.bare
        assert mark.get("id") == got.find(STANZA_ID).get("id")


@pytest.mark.parametrize(
    "stanza",
    [
        "<message to='{to}' type='chat'><body>x</body><private xmlns='urn:xmpp:carbons:2'/></message>",
        "<message to='{to}' type='chat'><body>x</body><no-copy xmlns='urn:xmpp:hints'/></message>",
        "<message to='{to}' type='headline'><body>x</body></message>",
        "<message to='{to}' type='error'><body>x</body></message>",
        "<message to='{to}'><event xmlns='urn:example:else'/></message>",
    ],
)
async def test_what_is_not_copied(stanza: str) -> None:
    async with TestServer([Carbons]) as server:
        phone, laptop = await device(server, "ann@acme"), await device(server, "ann@acme")
        bob, tablet = await device(server, "bob@acme"), await device(server, "bob@acme")
        phone.send(stanza.format(to=bob.jid))
        assert len(await messages(bob)) == 1
        assert await messages(laptop) == await messages(tablet) == []


@pytest.mark.parametrize("inside", ["<received xmlns='urn:xmpp:receipts' id='1'/>", "<body>x</body>"])
async def test_normal_messages_of_a_conversation_are_copied(inside: str) -> None:
    async with TestServer([Carbons]) as server:
        phone, laptop = await device(server, "ann@acme"), await device(server, "ann@acme")
        bob = await device(server, "bob@acme")
        phone.send(f"<message to='{bob.jid}'>{inside}</message>")
        assert len(await copies(laptop, "sent")) == 1


async def test_nobody_gets_copies_who_does_not_want_them_any_more() -> None:
    async with TestServer([Carbons]) as server:
        phone, laptop = await device(server, "ann@acme"), await device(server, "ann@acme")
        bob = await device(server, "bob@acme")
        laptop.send(f"<iq type='set' id='d'><disable xmlns='{CARBONS}'/></iq>")
        laptop.send(f"<iq type='set' id='d'><disable xmlns='{CARBONS}'/></iq>")
        assert {answer.get("type") for answer in await laptop.rest()} == {"result"}
        await phone.leave()
        say(bob, f"{phone.bare}/{phone.jid.partition('/')[2]}", "to nobody's copy")
        assert [message.findtext(BODY) for message in await messages(laptop)] == ["to nobody's copy"]
        assert server.plugin(Carbons)._wanted == {bob.bare: server.plugin(Carbons)._wanted[bob.bare]}


@pytest.mark.parametrize("kind", ["sent", "received"])
async def test_clients_cannot_send_what_looks_like_a_copy(kind: str) -> None:
    """CVE-2017-5589 and its kin: not to others, and not in the name of one's own account to its devices."""
    async with TestServer([Carbons, ForgeryGuard]) as server:
        ann, other = await device(server, "ann@acme"), await device(server, "ann@acme")
        bob = await device(server, "bob@acme")
        forged = (
            f"<{kind} xmlns='{CARBONS}'><forwarded xmlns='urn:xmpp:forward:0'>"
            f"<message xmlns='jabber:client' from='boss@acme'><body>pay</body></message></forwarded></{kind}>"
        )
        for to in (bob.jid, other.jid):
            ann.send(f"<message to='{to}' type='chat'>{forged}<body>x</body>{forged}</message>")
        for reader in (bob, other):
            for message in await messages(reader):
                assert "pay" not in "".join(message.itertext())
