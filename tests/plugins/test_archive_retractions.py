"""What is taken back (XEP-0424), corrected (XEP-0308), reacted to (XEP-0444), and what is not kept (XEP-0334)."""

from rainbow_xmpp.plugins.archive import Archive, retractions
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.xml import Element
from tests.plugins.test_archive_history import BODY, MESSAGE, Page, ask

RETRACTED = "{urn:xmpp:message-retract:1}retracted"
RETRACT = "{urn:xmpp:message-retract:1}retract"


async def send(server: TestServer, sender: Client, to: str, id: str, inside: str, type: str = "chat") -> None:
    server.clock.advance(1)
    sender.send(f"<message to='{to}' type='{type}' id='{id}'>{inside}</message>")
    await sender.rest()


def retract(of: str) -> str:
    return f"<retract xmlns='urn:xmpp:message-retract:1' id='{of}'/><body>taken back</body>"


def correct(of: str, text: str) -> str:
    return f"<body>{text}</body><replace xmlns='urn:xmpp:message-correct:0' id='{of}'/>"


def body(text: str) -> str:
    return f"<body>{text}</body>"


def messages(page: Page) -> list[Element]:
    return [result.find(f".//{MESSAGE}") for result in page.results]


def seen(page: Page) -> list[tuple[str, str]]:
    """The id of each message, and what it says; "-" for nothing."""
    return [(message.get("id", ""), message.findtext(BODY, "-")) for message in messages(page)]


async def test_what_its_sender_takes_back_is_wiped_out_in_both_logs():
    async with TestServer([Archive, Disco]) as server:
        ann, bob = await server.login("ann@acme", resource="a"), await server.login("bob@acme")
        more = "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>\n<x xmlns='urn:example'>secret</x>"
        await send(server, ann, bob.bare, "m1", f"<body xml:lang='de'>secret</body>{more}")
        await send(server, ann, bob.bare, "m2", body("stays"))
        await send(server, ann, bob.bare, "c1", correct("m1", "secret corrected"))
        before = await ask(bob)
        await send(server, ann, bob.bare, "r1", retract("m1"))
        for client in (ann, bob):
            page = await ask(client)
            assert seen(page) == [("m1", "-"), ("m2", "stays"), ("c1", "-"), ("r1", "taken back")]
            assert page.ids[:3] == before.ids
            assert page.stamps[:3] == before.stamps
            first, _, third, last = messages(page)
            for gone in (first, third):
                (mark,) = gone.findall(RETRACTED)
                assert (mark.get("id"), mark.get("stamp")) == ("r1", page.stamps[3])
                assert (gone.get("from"), gone.get("to"), gone.get("type")) == (ann.jid, bob.bare, "chat")
            assert [child.tag for child in first] == ["{urn:xmpp:sid:0}origin-id", RETRACTED]
            assert last.find(RETRACT) is not None
        await bob.rest()
        await send(server, ann, bob.bare, "m1", f"<body>secret</body>{more}")
        assert await bob.rest() == []  # it is still the same message
        info = await ann.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=ann.bare)
        features = {feature.get("var") for feature in info[0]}
        assert {"urn:xmpp:message-retract:1", "urn:xmpp:message-retract:1#tombstone"} <= features


async def test_nobody_takes_back_what_others_said(monkeypatch):
    monkeypatch.setattr(retractions, "LOOK_BACK", 3)
    async with TestServer([Archive]) as server:
        ann, bob, eve = [await server.login(name) for name in ("ann@acme", "bob@acme", "eve@acme")]
        await send(server, ann, bob.bare, "same", body("ann's"))
        await send(server, bob, ann.bare, "r1", retract("same"))
        await send(server, eve, bob.bare, "r2", retract("same"))
        await send(server, eve, ann.bare, "r3", retract("same"))
        await send(server, ann, eve.bare, "r4", retract("same"))
        await send(server, ann, bob.bare, "r5", retract("sam"))
        await send(server, ann, bob.bare, "", retract("same"))
        assert ("same", "ann's") in seen(await ask(ann))
        assert ("same", "ann's") in seen(await ask(bob))
        await send(server, ann, bob.bare, "r6", retract("same"))
        assert ("same", "ann's") in seen(await ask(bob))  # too far back
        await send(server, ann, bob.bare, "near", body("mistake"))
        await send(server, ann, bob.bare, "r7", retract("near"))
        assert ("near", "-") in seen(await ask(bob))


async def test_one_log_is_enough_and_talks_with_oneself_too():
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await ann.ask(
            "set",
            f"<prefs xmlns='urn:xmpp:mam:2' default='always'><never><jid>{bob.bare}</jid></never></prefs>",
        )
        await send(server, ann, bob.bare, "m1", body("to bob"))
        await send(server, ann, bob.bare, "r1", retract("m1"))
        await send(server, ann, ann.bare, "m2", body("a note"))
        await send(server, ann, ann.bare, "r2", retract("m2"))
        assert seen(await ask(bob)) == [("m1", "-"), ("r1", "taken back")]
        assert seen(await ask(ann)) == [("m2", "-"), ("r2", "taken back")]


async def test_who_comes_later_gets_the_tombstone_and_the_retraction():
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        await send(server, ann, bob.bare, "m1", body("secret"))
        await send(server, ann, bob.bare, "r1", retract("m1"))
        late = await (await server.login("bob@acme")).rest()
        assert [(message.get("id"), message.findtext(BODY, "-")) for message in late] == [
            ("m1", "-"),
            ("r1", "taken back"),
        ]


async def test_corrections_and_reactions_are_kept_and_what_asks_not_to_be_is_not():
    async with TestServer([Archive, Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        hint = "<{} xmlns='urn:xmpp:hints'/>".format
        reactions = "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>+</reaction></reactions>"
        typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        cases = [
            ("m1", body("helo"), True),
            ("c1", correct("m1", "hello"), True),
            ("e1", reactions, True),
            ("s1", typing + hint("store"), True),
            ("t1", typing, False),
            ("n1", body("x") + hint("no-store"), False),
            ("n2", body("x") + hint("no-permanent-store"), False),
            ("n3", body("x") + hint("no-copy"), True),
            ("n4", body("x") + hint("no-store") + hint("store"), False),
        ]
        for id, inside, _ in cases:
            await send(server, ann, bob.bare, id, inside)
        await send(server, ann, bob.bare, "h1", body("x"), type="headline")
        delivered = [stanza.get("id") for stanza in await bob.rest() if stanza.tag == MESSAGE]
        assert delivered == [id for id, _, _ in cases] + ["h1"]
        kept = [id for id, _, is_kept in cases if is_kept]
        for client in (ann, bob):
            assert [message.get("id") for message in messages(await ask(client))] == kept
