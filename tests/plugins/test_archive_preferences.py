"""What people want kept (XEP-0441)."""

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.archive import Archive, preferences
from rainbow_xmpp.testing import Client, TestServer, condition_of
from tests.plugins.test_archive_history import ask, talk

MAM = "{urn:xmpp:mam:2}"
GET = "<prefs xmlns='urn:xmpp:mam:2'/>"


def prefs(default: str, *, always: tuple[str, ...] = (), never: tuple[str, ...] = ()) -> str:
    lists = "".join(
        f"<{name}>{''.join(f'<jid>{jid}</jid>' for jid in jids)}</{name}>"
        for name, jids in (("always", always), ("never", never))
    )
    return f"<prefs xmlns='urn:xmpp:mam:2' default='{default}'>{lists}</prefs>"


async def told(
    client: Client, type_: str, asked: str
) -> tuple[str | None, list[str | None], list[str | None]]:
    answer = (await client.ask(type_, asked))[0]
    assert answer.tag == f"{MAM}prefs"
    assert [child.tag for child in answer] == [f"{MAM}always", f"{MAM}never"]
    always, never = ([jid.text for jid in part] for part in answer)
    return answer.get("default"), always, never


async def test_wishes_are_told_and_count_from_the_next_message_on():
    async with TestServer([Archive]) as server:
        ann, bob, cid = [
            await server.login(name, resource="phone") for name in ("ann@acme", "bob@acme", "cid@acme")
        ]
        assert await told(ann, "get", GET) == ("always", [], [])
        await talk(server, bob, ann.bare, "0")
        wishes = prefs("always", never=(bob.bare, "CID@rainbow.test/phone"))
        assert await told(ann, "set", wishes) == ("always", [], [bob.bare, cid.jid])
        await talk(server, bob, ann.bare, "1")
        await talk(server, ann, bob.jid, "2")
        await talk(server, cid, ann.bare, "3")
        await talk(server, ann, cid.bare, "4")
        assert (await ask(ann)).bodies == ["0", "4"]
        assert (await ask(bob)).bodies == ["0", "1", "2"]
        assert await told(ann, "set", prefs("never", always=(cid.bare,))) == ("never", [cid.bare], [])
        await talk(server, bob, ann.bare, "5")
        await talk(server, cid, ann.bare, "6")
        assert (await ask(ann)).bodies == ["0", "4", "6"]
        await server.subscribe(bob.bare, to=await server.person("ann@acme"))
        await ann.leave()
        ann = await server.login("ann@acme")
        assert await told(ann, "set", prefs("roster")) == ("roster", [], [])
        await talk(server, bob, ann.bare, "7")
        await talk(server, cid, ann.bare, "8")
        assert (await ask(ann)).bodies == ["0", "4", "6", "7"]
        assert await told(bob, "get", GET) == ("always", [], [])


async def test_wishes_that_are_none_are_refused_and_others_have_none(monkeypatch):
    monkeypatch.setattr(preferences, "MOST_JIDS", 2)
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        many = ("a@x", "b@x", "c@x")
        refusals = [
            (GET, Condition.BAD_REQUEST),
            (prefs("sometimes"), Condition.BAD_REQUEST),
            (prefs("always", never=("a@@b",)), Condition.JID_MALFORMED),
            (prefs("always", never=("",)), Condition.JID_MALFORMED),
            (prefs("always", always=many), Condition.RESOURCE_CONSTRAINT),
        ]
        for asked, condition in refusals:
            assert (asked, condition_of(await ann.ask("set", asked))) == (asked, condition)
        assert await told(ann, "get", GET) == ("always", [], [])
        for type_, asked in (("get", GET), ("set", prefs("never"))):
            for to in (bob.bare, "nobody@rainbow.test"):
                assert condition_of(await ann.ask(type_, asked, to=to)) is Condition.SERVICE_UNAVAILABLE
        assert await told(bob, "get", GET) == ("always", [], [])
