"""Searching one's history for words (XEP-0431)."""

import pytest
import sqlalchemy as sa

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.archive import Archive, keeping, texts
from rainbow_xmpp.plugins.archive.words import has_words, words_asked, words_in
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.testing import TestServer
from tests.plugins.test_archive_history import ask, refused, talk

WORDS = "{urn:xmpp:fulltext:0}fulltext"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"


@pytest.mark.parametrize(
    ("asked", "text", "is_found"),
    [
        ("hello", "Oh, HELLO there!", True),
        ("there hello", "Hello there", True),
        ("hell", "hello", False),
        ("muller strasse", "Müller, Straße", True),
        ("MÜLLER", "muller", True),
        ("e\u0301te\u0301", "\u00e9t\u00e9", True),
        ("x_y", "y and x", True),
        ("世界", "你好世界", True),
        ("好", "你好", True),
        ("你", "你好", True),
        ("好你", "你好", False),
        ("Python编程", "我喜欢python编程", True),
        ("привет", "Привет, мир", True),
        ("한국", "한국 사람", True),
        ('a" OR "b', "b", False),
        ("near", "NEAR/2", True),
        ("😀", "😀", False),
    ],
)
def test_words_are_found_however_they_are_written(asked, text, is_found):
    words = words_asked(asked)
    assert (bool(words) and has_words(words, words_in(text))) is is_found


@pytest.mark.parametrize("is_entered", [False, True, None], ids=["behind the index", "in it", "half"])
async def test_a_search_finds_ones_own_messages_and_no_others(monkeypatch, is_entered):
    monkeypatch.setattr(keeping, "PAUSE_S", 0)
    monkeypatch.setattr(texts, "AT_ONCE", 5)
    async with TestServer([Archive, Disco]) as server:
        ann, bob, cid = [await server.login(name) for name in ("ann@acme", "bob@acme", "cid@acme")]
        enter = server.plugin(Archive).keeping.enter_words
        await talk(server, ann, bob.bare, "blue sky", "red sky", 'say "blue"')
        await talk(server, bob, cid.bare, "blue secret")
        await talk(server, ann, ann.bare, "blue note")
        if is_entered is None:
            server.clock.advance(60)
            await enter()
        await talk(server, cid, ann.bare, "Blue moon", "天空很蓝")
        server.clock.advance(60)
        if is_entered:
            await enter()
        for words, bodies in (
            ("blue", ["blue sky", 'say "blue"', "blue note", "Blue moon"]),
            ("SKY blue", ["blue sky"]),
            ("secret", []),
            ("@1", []),
            ("天空", ["天空很蓝"]),
            ("蓝", ["天空很蓝"]),
            ('blue" OR "red', []),
            ("!", []),
        ):
            assert (words, (await ask(ann, (WORDS, words))).bodies) == (words, bodies)
        assert (await ask(ann, (WORDS, "blue"), ("with", bob.bare))).bodies == ["blue sky", 'say "blue"']
        assert (await ask(ann, (WORDS, "blue"), ("with", ann.bare))).bodies == ["blue note"]
        assert (await ask(ann, (WORDS, "blue"), ("with", cid.jid))).bodies == ["Blue moon"]
        assert len((await ask(ann, (WORDS, ""))).bodies) == 6
        last = await ask(ann, (WORDS, "blue"), rsm="<max>2</max><before/>")
        assert (last.bodies, last.is_complete) == (["blue note", "Blue moon"], False)
        first = await ask(ann, (WORDS, "blue"), rsm=f"<max>2</max><before>{last.ids[0]}</before>")
        assert (first.bodies, first.is_complete) == (["blue sky", 'say "blue"'], True)
        onward = await ask(ann, (WORDS, "blue"), rsm=f"<max>2</max><after>{first.ids[0]}</after>")
        assert onward.bodies == ['say "blue"', "blue note"]
        assert (await ask(ann, (WORDS, "sky"), ("ids", first.ids[0]))).bodies == ["blue sky"]
        info = await ann.ask("get", INFO, to=ann.bare)
        assert "urn:xmpp:fulltext:0" in {feature.get("var") for feature in info[0]}


async def test_what_is_gone_is_not_found_any_more():
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await talk(server, ann, bob.bare, "blue sky")
        ann.send(f"<message to='{bob.bare}' type='chat' id='m1'><body>blue secret</body></message>")
        server.clock.advance(60)
        await ann.rest()
        kept = server.plugin(Archive).keeping
        await kept.enter_words()

        async def entered() -> list[str]:
            async with server.store.read() as connection:
                found = await connection.execute(sa.text("SELECT words FROM archive_texts ORDER BY rowid"))
                return [" ".join(word for word in row[0].split() if word[0] != "@") for row in found]

        assert await entered() == ["blue sky", "blue secret"]
        retract = "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>"
        ann.send(f"<message to='{bob.bare}' type='chat' id='r1'>{retract}</message>")
        await ann.rest()
        assert await entered() == ["blue sky"]
        assert (await ask(ann, (WORDS, "blue"))).bodies == ["blue sky"]
        assert (await ask(ann, (WORDS, "secret"))).bodies == []
        await server.node.people.remove(ann.account, actor="test")
        await kept.erase()
        assert await entered() == ["blue sky"]
        assert (await ask(bob, (WORDS, "blue"))).bodies == ["blue sky"]
        await server.node.people.remove(bob.account, actor="test")
        await kept.erase()
        assert await entered() == []


async def test_it_can_be_switched_off():
    async with TestServer({Archive: Archive.Options(full_text=False), Disco: Disco.Options()}) as server:
        ann = await server.login("ann@acme")
        await talk(server, ann, ann.bare, "blue")
        server.clock.advance(60)
        await server.plugin(Archive).keeping.enter_words()
        assert await refused(ann, (WORDS, "blue")) is Condition.FEATURE_NOT_IMPLEMENTED
        info = await ann.ask("get", INFO, to=ann.bare)
        assert "urn:xmpp:fulltext:0" not in {feature.get("var") for feature in info[0]}
        form = await ann.ask("get", "<query xmlns='urn:xmpp:mam:2'/>")
        assert WORDS not in {field.get("var") for field in form.iter("{jabber:x:data}field")}
        assert await server.plugin(Archive).keeping._texts.known() == 0


async def test_words_wait_while_people_write_much_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(keeping, "MUCH", 2)
    async with TestServer([Archive]) as server:
        ann, kept = await server.login("ann@acme"), server.plugin(Archive).keeping
        said: list[int] = []
        for advance in (60, 60, keeping.BUSY_FOR_S):
            await talk(server, ann, ann.bare, "1", "2", "3")
            server.clock.advance(advance)
            await kept.enter_words()
            said.append(await kept._texts.known())
        assert said[0] == said[1] == 0 < said[2]
        await talk(server, ann, ann.bare, "4")
        server.clock.advance(60)
        await kept.enter_words()
        assert await kept._texts.known() > said[2]
