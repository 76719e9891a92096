import asyncio

import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.offline import PAGE, Offline
from rainbow_xmpp.plugins.offline.store import OfflineMessages
from rainbow_xmpp.testing import Client, Person, TestServer, condition_of

BODY = "{jabber:client}body"
DELAY = "{urn:xmpp:delay}delay"
TYPING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>"
STORE = "<store xmlns='urn:xmpp:hints'/>"
RECEIPT = "<received xmlns='urn:xmpp:receipts' id='1'/>"


def say(sender: Client, to: str, *texts: str) -> None:
    for text in texts:
        sender.send(f"<message to='{to}' type='chat'><body>{text}</body></message>")


async def waiting(server: TestServer, whose: Person) -> int:
    return await OfflineMessages(server.store).count(whose.account.company.id, whose.account.id)


async def bodies(client: Client) -> list[str | None]:
    return [stanza.findtext(BODY) for stanza in await client.rest() if stanza.find(BODY) is not None]


async def test_messages_wait_and_come_in_their_order_with_the_time_they_came():
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "one")
        await server.settle()
        server.clock.advance(60)
        say(ann, bob.bare, "two")
        assert await ann.rest() == []
        one, two = await (await server.login("bob@acme")).rest()
        assert [one.findtext(BODY), two.findtext(BODY)] == ["one", "two"]
        assert one.get("from") == ann.jid
        assert one.find(DELAY).attrib == {"from": server.domain, "stamp": "2023-11-14T22:13:20Z"}
        assert two.find(DELAY).get("stamp") == "2023-11-14T22:14:20Z"


async def test_more_than_a_page_comes_too():
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        texts = [str(number) for number in range(2 * PAGE + 3)]
        say(ann, bob.bare, *texts)
        await server.settle()
        assert await bodies(await server.login("bob@acme")) == texts
        assert await waiting(server, bob) == 0


@pytest.mark.parametrize("presence", ["", "<presence><priority>-1</priority></presence>"])
async def test_a_session_that_takes_no_messages_gets_none(presence):
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "hello")
        await server.settle()
        client = await server.login("bob@acme", available=False)
        if presence:
            client.send(presence)
        assert await bodies(client) == []
        client.send("<presence><priority>1</priority></presence>")
        assert await bodies(client) == ["hello"]


@pytest.mark.parametrize(
    "message",
    [
        f"<message to='{{to}}' type='chat'>{TYPING}</message>",
        f"<message to='{{to}}' type='chat'>{TYPING}<thread>1</thread></message>",
        f"<message to='{{to}}' type='chat'><body>secret</body>{NO_STORE}</message>",
        "<message to='{to}' type='chat'/>",
        "<message to='{to}' type='groupchat'><body>all</body></message>",
    ],
)
async def test_what_is_not_kept_is_answered_as_though_nobody_were_there(message):
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        ann.send(message.format(to=bob.bare))
        (answer,) = await ann.rest()
        assert condition_of(answer) is Condition.SERVICE_UNAVAILABLE
        assert await waiting(server, bob) == 0


@pytest.mark.parametrize(
    "message",
    [
        "<message to='{to}'><body>no type</body></message>",
        "<message to='{to}' type='normal'><subject>only a subject</subject></message>",
        f"<message to='{{to}}' type='chat'>{RECEIPT}</message>",
        f"<message to='{{to}}' type='chat'>{TYPING}{STORE}</message>",
        f"<message to='{{to}}' type='chat'><body>and a state</body>{TYPING}</message>",
        "<message to='{to}/gone' type='chat'><body>to a resource that is gone</body></message>",
        "<message to='{to}' type='chat'><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>",
    ],
)
async def test_what_the_recipient_would_miss_is_kept(message):
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        ann.send(message.format(to=bob.bare))
        assert await ann.rest() == []
        assert await waiting(server, bob) == 1


async def test_a_full_box_refuses_and_keeps_what_it_has():
    async with TestServer({Offline: Offline.Options(messages_per_account=2)}) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "one", "two", "three")
        (answer,) = await ann.rest()
        assert condition_of(answer) is Condition.SERVICE_UNAVAILABLE
        assert await bodies(await server.login("bob@acme")) == ["one", "two"]


async def test_a_stamp_that_pretends_to_be_the_servers_is_taken_out_and_others_stay():
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        forged = f"<delay xmlns='urn:xmpp:delay' from='{server.domain}' stamp='1999-01-01T00:00:00Z'/>"
        shouted = forged.replace(server.domain, server.domain.upper())
        own = forged.replace(server.domain, ann.bare)
        ann.send(f"<message to='{bob.bare}'><body>late</body>{forged}{shouted}{own}{forged}</message>")
        await server.settle()
        (message,) = await (await server.login("bob@acme")).rest()
        stamps = [(delay.get("from"), delay.get("stamp")[:4]) for delay in message.iter(DELAY)]
        assert stamps == [(ann.bare, "1999"), (server.domain, "2023")]


async def test_two_sessions_that_come_at_once_share_them_out():
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        texts = [str(number) for number in range(3)]
        say(ann, bob.bare, *texts)
        await server.settle()
        clients = [await server.login("bob@acme", available=False) for _ in range(2)]
        for client in clients:
            client.send("<presence/>")
        assert sorted(await bodies(clients[0]) + await bodies(clients[1])) == texts


async def test_messages_stay_when_the_session_goes_before_it_got_them(monkeypatch):
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "hello")
        await server.settle()
        load, loading, gone = OfflineMessages.load, asyncio.Event(), asyncio.Event()

        async def slow(self, *args, **kwargs):
            loading.set()
            await gone.wait()
            return await load(self, *args, **kwargs)

        monkeypatch.setattr(OfflineMessages, "load", slow)
        first = await server.login("bob@acme", available=False)
        first.send("<presence/>")
        await loading.wait()
        first.wire.abort()
        await asyncio.sleep(0)
        gone.set()
        await server.settle()
        assert await waiting(server, bob) == 1
        assert await bodies(await server.login("bob@acme")) == ["hello"]


async def test_a_message_that_was_being_written_while_its_recipient_came_is_delivered(monkeypatch):
    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        keep, writing, here = OfflineMessages.keep, asyncio.Event(), asyncio.Event()

        async def slow(self, *args, **kwargs):
            writing.set()
            await here.wait()
            return await keep(self, *args, **kwargs)

        monkeypatch.setattr(OfflineMessages, "keep", slow)
        say(ann, bob.bare, "hello")
        await writing.wait()
        client = await server.login("bob@acme", available=False)
        client.send("<presence/>")
        await client.session.idle()
        here.set()
        assert await bodies(client) == ["hello"]
        assert await waiting(server, bob) == 0


async def test_a_storm_of_logins_asks_the_database_a_few_times(monkeypatch):
    questions = []
    ask = OfflineMessages._who_has_any

    async def counted(self, asked):
        questions.append(len(asked))
        return await ask(self, asked)

    monkeypatch.setattr(OfflineMessages, "_who_has_any", counted)
    async with TestServer([Offline]) as server:
        clients = [await server.login(f"p{number}@acme", available=False) for number in range(20)]
        for client in clients:
            client.send("<presence/>")
        await server.settle()
        assert sum(questions) == 20
        assert len(questions) <= 5


async def test_what_nobody_came_for_is_dropped_after_the_configured_days():
    async with TestServer({Offline: Offline.Options(keep_days=2)}) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "first")
        await server.settle()
        server.clock.advance(3 * 86_400)
        say(ann, bob.bare, "second")
        await server.settle()
        await server.plugin(Offline).expire()
        assert await bodies(await server.login("bob@acme")) == ["second"]


async def test_a_box_is_full_by_size_too():
    async with TestServer({Offline: Offline.Options(bytes_per_account=16_384)}) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await bob.leave()
        say(ann, bob.bare, "x" * 10_000, "y" * 10_000, "z" * 1000)
        (answer,) = await ann.rest()
        assert condition_of(answer) is Condition.SERVICE_UNAVAILABLE
        assert [len(body or "") for body in await bodies(await server.login("bob@acme"))] == [10_000, 1000]


BLOCK = "<block xmlns='urn:xmpp:blocking'><item jid='eve@rainbow.test'/></block>"


async def test_what_the_gate_closed_for_meanwhile_is_dropped_in_silence():
    async with TestServer([Offline, Blocking]) as server:
        eve, ann = await server.login("eve@acme"), await server.login("ann@acme")
        bob = await server.login("bob@acme", available=False)
        for number in range(PAGE):
            say(eve, bob.bare, f"spam {number}")
            say(ann, bob.bare, f"hello {number}")
        await server.settle()
        await server.plugin(Offline).services.notify(bob.account, body="from the server")
        await bob.ask("set", BLOCK)
        bob.send("<presence/>")
        expected = [f"hello {number}" for number in range(PAGE)] + ["from the server"]
        assert [body for body in await bodies(bob) if body] == expected
        assert await waiting(server, await server.person("bob@acme")) == 0
        assert await eve.rest() == []


async def test_messages_of_somebody_who_has_gone_for_good_are_delivered():
    async with TestServer([Offline, Blocking]) as server:
        eve, _ = await server.login("eve@acme"), await server.person("bob@acme")
        say(eve, f"bob@{server.domain}", "farewell")
        await server.settle()
        await server.store.accounts.remove(eve.account.company.id, eve.account.id)
        await server.node.watch.poll()
        assert await bodies(await server.login("bob@acme")) == ["farewell"]


async def test_messages_stay_while_the_gate_cannot_be_asked(monkeypatch):
    from rainbow_xmpp.plugin.keeping import LateGate as Gate

    async with TestServer([Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "hello")
        await server.settle()

        async def away(self, stanza):
            raise OSError("the database is away")

        monkeypatch.setattr(Gate, "lets", away)
        first = await server.login("bob@acme")
        assert await bodies(first) == []
        assert await waiting(server, bob) == 1
        monkeypatch.undo()
        await first.leave()
        assert await bodies(await server.login("bob@acme")) == ["hello"]
