"""The log of messages: numbers, order, waiting, and messages that are said again."""

import re
import sqlite3

import pytest
import sqlalchemy as sa

from rainbow_xmpp.errors import StanzaError, StreamCondition
from rainbow_xmpp.plugin import Condition, Outcome, Passage, Plugin, Stage, hook
from rainbow_xmpp.plugins.archive import Archive, hand_over, tables
from rainbow_xmpp.plugins.archive.entries import Entry, Mark
from rainbow_xmpp.plugins.archive.hand_over import PAGE
from rainbow_xmpp.plugins.archive.log import Log, Logged
from rainbow_xmpp.plugins.archive.numbers import Numbers, first_at, time_of
from rainbow_xmpp.plugins.archive.owners import Rule
from rainbow_xmpp.plugins.blocking import Blocking
from rainbow_xmpp.plugins.forgery_guard import ForgeryGuard
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.plugins.stanza_metrics import StanzaMetrics
from rainbow_xmpp.testing import Client, TestServer, condition_of
from rainbow_xmpp.xml import Element

BODY = "{jabber:client}body"
DELAY = "{urn:xmpp:delay}delay"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
TYPING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


def say(sender: Client, to: str, *texts: str, more: str = "", kind: str = "chat") -> None:
    for text in texts:
        sender.send(f"<message to='{to}' type='{kind}'><body>{text}</body>{more}</message>")


def origin(value: str) -> str:
    return f"<origin-id xmlns='urn:xmpp:sid:0' id='{value}'/>"


def number_of(stanza: Element, by: str) -> int:
    """The id in the log of `by`; there is exactly one."""
    (mark,) = [mark for mark in stanza.findall(STANZA_ID) if mark.get("by") == by]
    return int(mark.get("id", ""))


async def rows(server: TestServer) -> list[tuple[int, str, str]]:
    """Every row of every log, in order: number, whose log, the body."""
    statement = (
        sa.select(tables.messages.c.key, tables.owners.c.account_id, tables.messages.c.stanza)
        .join(tables.owners, tables.owners.c.number == tables.messages.c.owner)
        .order_by(tables.messages.c.key)
    )
    async with server.store.read() as connection:
        found = list(await connection.execute(statement))
    names = {}
    for account in {row[1] for row in found}:
        async with server.store.read() as connection:
            name = sa.text("SELECT localpart FROM users WHERE id = :id")
            names[account] = (await connection.execute(name, {"id": account})).scalar_one()
    bodies = [re.search(rb"<body>(.*?)</body>", row[2]) for row in found]
    return [
        (row[0] >> 1, names[row[1]], body.group(1).decode() if body else "")
        for row, body in zip(found, bodies, strict=True)
    ]


async def waiting(server: TestServer) -> int:
    async with server.store.read() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(tables.waiting))).scalar_one()


async def bodies(client: Client) -> list[str | None]:
    return [stanza.findtext(BODY) for stanza in await client.rest() if stanza.find(BODY) is not None]


async def test_a_message_has_one_number_in_both_logs_and_its_receiver_learns_it() -> None:
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "one", "two")
        one, two = await bob.rest()
        first, second = number_of(one, bob.bare), number_of(two, bob.bare)
        assert first < second
        assert await rows(server) == [
            (first, "ann", "one"),
            (first, "bob", "one"),
            (second, "ann", "two"),
            (second, "bob", "two"),
        ]
        assert await ann.rest() == []


async def test_a_message_to_oneself_stands_in_the_log_once() -> None:
    async with TestServer([Archive]) as server:
        ann = await server.login("ann@acme")
        say(ann, ann.bare, "a note")
        (note,) = await ann.rest()
        assert await rows(server) == [(number_of(note, ann.bare), "ann", "a note")]


async def test_an_id_that_a_client_made_up_in_the_servers_name_is_not_passed_on() -> None:
    async with TestServer([Archive, ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        forged = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{bob.bare}' id='1'/>"
        say(ann, bob.bare, "hi", more=forged + forged)
        (got,) = await bob.rest()
        assert number_of(got, bob.bare) > 1


@pytest.mark.parametrize(
    "stanza",
    [
        "<message to='{to}' type='chat'>" + TYPING + "</message>",
        "<message to='{to}' type='chat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>",
        "<message to='{to}' type='chat'><body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>",
        "<message to='{to}' type='headline'><body>x</body></message>",
        "<message to='{to}' type='error'><body>x</body></message>",
    ],
)
async def test_what_is_not_kept_is_delivered_all_the_same(stanza: str) -> None:
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(stanza.format(to=bob.jid))
        (got,) = await bob.rest()
        assert got.find(STANZA_ID) is None
        assert await rows(server) == []


async def test_what_comes_behind_a_kept_message_stays_behind_it() -> None:
    """RFC 6120 §10.1: a chat state, a query and presence do not overtake what waits for the disk."""
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.jid, "one")
        ann.send(f"<message to='{bob.jid}' type='chat'>{TYPING}</message>")
        say(ann, bob.jid, "two")
        ann.send(f"<iq type='get' id='q' to='{bob.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
        say(ann, bob.jid, "three")
        ann.send(f"<presence to='{bob.jid}'><status>four</status></presence>")
        got = [stanza.tag.rpartition("}")[2] + (stanza.findtext(BODY) or "") for stanza in await bob.rest()]
        assert got == ["messageone", "message", "messagetwo", "iq", "messagethree", "presence"]


class Seen(Plugin, name="seen"):
    """What became of each message."""

    outcomes: list[Outcome]

    async def start(self) -> None:
        self.outcomes = []

    @hook(Stage.OBSERVE)
    def watch(self, p: Passage, outcome: Outcome) -> None:
        if p.kind == "message":
            self.outcomes.append(outcome)


@pytest.mark.parametrize("is_at_once", [True, False])
async def test_a_message_that_is_said_again_is_the_same_message(is_at_once: bool) -> None:
    async with TestServer([Archive, Seen]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "hello", more=origin("o1"))
        if not is_at_once:
            await server.settle()
            ann = await server.login("ann@acme")  # after a connection that was lost
        say(ann, bob.bare, "hello", more=origin("o1"))
        (got,) = await bob.rest()
        assert [name for _, name, _ in await rows(server)] == ["ann", "bob"]
        assert number_of(got, bob.bare) == (await rows(server))[0][0]
        assert await bodies(ann) == [], "it is no error"
        assert server.plugin(Seen).outcomes == [Outcome.DELIVERED, Outcome.REPEATED]


async def test_the_same_origin_id_to_or_of_somebody_else_is_another_message() -> None:
    async with TestServer([Archive]) as server:
        ann, bob, cy = [await server.login(f"{name}@acme") for name in ("ann", "bob", "cy")]
        say(ann, bob.bare, "to bob", more=origin("o1"))
        say(ann, cy.bare, "to cy", more=origin("o1"))
        say(bob, cy.bare, "of bob", more=origin("o1"))
        assert await bodies(bob) == ["to bob"]
        assert sorted(await bodies(cy)) == ["of bob", "to cy"]


async def test_two_messages_that_share_a_number_by_chance_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rainbow_xmpp.plugins.archive.origin_of", lambda *_: 7)
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "one", more=origin("o1"))
        await server.settle()
        say(ann, bob.bare, "two", more=origin("o2"))
        say(ann, bob.bare, "one", more=origin("o1"))
        assert await bodies(bob) == ["one", "two"]


@pytest.mark.parametrize("rule", [Rule.NEVER, Rule.ROSTER])
async def test_whoever_wants_nothing_kept_has_nothing_in_their_log(rule: Rule) -> None:
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        account = (await server.person("bob@acme")).account
        await server.plugin(Archive)._owners.want(account, rule, frozenset(), frozenset())
        say(ann, bob.bare, "hi", more=origin("o1"))
        say(ann, bob.bare, "hi", more=origin("o1"))
        (got,) = await bob.rest()
        assert got.find(STANZA_ID) is None
        assert [name for _, name, _ in await rows(server)] == ["ann"]


# -- messages for people who are not there -----------------------------------------------------------------


async def test_what_nobody_takes_waits_in_the_log_and_comes_once_with_its_time() -> None:
    async with TestServer([Archive, Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        texts = [str(n) for n in range(2 * PAGE + 1)]
        say(ann, bob.bare, *texts)
        await server.settle()
        assert await ann.rest() == []
        assert await waiting(server) == len(texts)
        server.clock.advance(60)
        device = await server.login("bob@acme")
        got = await device.rest()
        assert [stanza.findtext(BODY) for stanza in got] == texts
        assert got[0].find(DELAY).attrib == {"from": server.domain, "stamp": "2023-11-14T22:13:20Z"}
        assert number_of(got[0], bob.bare) < number_of(got[1], bob.bare)
        assert await waiting(server) == 0
        assert await bodies(await server.login("bob@acme")) == []
        assert len(await rows(server)) == 2 * len(texts), "the log keeps it"


async def test_newer_messages_do_not_overtake_those_that_waited() -> None:
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme", available=False)
        texts = [str(n) for n in range(2 * PAGE + 1)]
        say(ann, bob.bare, *texts)
        await server.settle()
        bob.send("<presence/>")
        say(ann, bob.bare, "new")
        say(ann, bob.jid, "newer")
        ann.send(f"<message to='{bob.jid}' type='chat'>{TYPING}</message>")
        got = [stanza.findtext(BODY) for stanza in await bob.rest() if stanza.tag == "{jabber:client}message"]
        assert got == [*texts, "new", "newer", None]
        assert await waiting(server) == 0


async def test_whoever_comes_while_it_is_written_gets_it_once() -> None:
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme", available=False)
        say(ann, bob.bare, "now")
        bob.send("<presence/>")
        assert await bodies(bob) == ["now"]
        assert await waiting(server) == 0


async def test_whoever_leaves_while_it_is_written_finds_it_later() -> None:
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "before")
        assert await bodies(bob) == ["before"]
        say(ann, bob.bare, "to whoever is there")
        say(ann, bob.jid, "to this device", kind="normal")
        await bob.leave()
        await server.settle()
        assert await ann.rest() == [], "it is in the log: that is no error"
        assert await bodies(await server.login("bob@acme")) == ["to whoever is there", "to this device"]


async def test_a_message_to_a_device_that_is_gone_is_refused_and_not_kept() -> None:
    """RFC 6121 §8.5.3.2.1: only chat goes to the others."""
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, f"{bob.bare}/gone", "hi", kind="normal")
        assert condition_of(await ann.receive()) is Condition.SERVICE_UNAVAILABLE
        assert await rows(server) == []


async def test_what_was_written_by_somebody_blocked_since_is_not_handed_over() -> None:
    async with TestServer([Archive, Blocking]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme", available=False)
        say(ann, bob.bare, "hi")
        await server.settle()
        bob.send(
            f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ann.bare}'/></block></iq>"
        )
        await bob.rest()
        bob.send("<presence/>")
        assert await bodies(bob) == []


async def test_what_a_device_did_not_acknowledge_waits_in_the_log_again() -> None:
    """XEP-0198 §4: once, under its id, and with the time it came."""
    async with TestServer([Archive, Offline, ForgeryGuard]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        bob.send("<enable xmlns='urn:xmpp:sm:3'/>")
        await bob.rest()
        say(ann, bob.bare, "arrived", "did not arrive")
        first, lost = [stanza for stanza in await bob.rest() if stanza.find(BODY) is not None]
        bob.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
        server.clock.advance(60)
        await bob.leave()
        await server.settle()
        assert await waiting(server) == 1
        (late,) = [
            stanza
            for stanza in await (await server.login("bob@acme")).rest()
            if stanza.find(BODY) is not None
        ]
        assert number_of(late, bob.bare) == number_of(lost, bob.bare) > number_of(first, bob.bare)
        assert late.find(DELAY).get("stamp") == "2023-11-14T22:13:20Z"
        assert await waiting(server) == 0


async def test_what_waited_is_forgotten_when_the_device_says_that_it_has_it() -> None:
    async with TestServer([Archive, Offline]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme", available=False)
        say(ann, bob.bare, "one", "two")
        await server.settle()
        bob.send("<enable xmlns='urn:xmpp:sm:3'/>")
        await bob.rest()
        bob.send("<presence/>")
        came = [stanza for stanza in await bob.rest() if stanza.tag.startswith("{jabber:client}")]
        assert [stanza.findtext(BODY) for stanza in came][-2:] == ["one", "two"]
        assert await waiting(server) == 2
        assert await bodies(await server.login("bob@acme")) == [], (
            "another device has nothing of it meanwhile"
        )
        seen = len(came) + 1  # the other device's presence
        bob.send(f"<a xmlns='urn:xmpp:sm:3' h='{len(came) - 1}'/>")
        await server.settle()
        assert await waiting(server) == 2
        bob.send(f"<a xmlns='urn:xmpp:sm:3' h='{seen}'/>")
        await server.settle()
        assert await waiting(server) == 0


async def test_an_id_of_somebody_elses_message_hands_over_nothing() -> None:
    """Only rows of one's own log are ever handed over, whatever is marked as waiting."""
    async with TestServer([Archive]) as server:
        ann, bob, eve = [await server.login(f"{name}@acme") for name in ("ann", "bob", "eve")]
        say(ann, bob.bare, "secret")
        (got,) = await bob.rest()
        await eve.leave()
        forged = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{eve.bare}' id='{number_of(got, bob.bare)}'/>"
        ann.send(f"<message to='{eve.bare}' type='chat'><no-store xmlns='urn:xmpp:hints'/>{forged}</message>")
        await server.settle()
        assert await bodies(await server.login("eve@acme")) == []


# -- a database that is away -------------------------------------------------------------------------------


async def test_while_the_disk_is_full_nothing_is_delivered_and_senders_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with TestServer([Archive, StanzaMetrics]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "before")
        assert await bodies(bob) == ["before"]
        commits = server.plugin(Archive)._commits
        commits._patience_s = 0.0
        write = commits._backend.write

        async def full(entries: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(commits._backend, "write", full)
        say(ann, bob.bare, "during")
        refusal = await ann.receive()
        assert condition_of(refusal) is Condition.RESOURCE_CONSTRAINT
        assert refusal.find("{jabber:client}error").get("type") == "wait"
        assert await bodies(bob) == []
        monkeypatch.setattr(commits._backend, "write", write)
        say(ann, bob.bare, "after")
        assert await bodies(bob) == ["after"]
        assert [body for _, name, body in await rows(server) if name == "bob"] == ["before", "after"]


async def test_what_is_in_the_log_has_not_failed_when_it_is_said_again_while_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its sender, whose connection broke, never heard that it was kept; a message that is new has failed."""
    async with TestServer([Archive, StanzaMetrics]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "before", more=origin("o1"))
        assert await bodies(bob) == ["before"]
        commits = server.plugin(Archive)._commits
        commits._patience_s = 0.0

        async def full(entries: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(commits._backend, "write", full)
        say(ann, bob.bare, "before", more=origin("o1"))
        assert await ann.rest() == []
        say(ann, bob.bare, "new", more=origin("o2"))
        assert condition_of(await ann.receive()) is Condition.RESOURCE_CONSTRAINT
        monkeypatch.setattr(server.store, "read", full)  # and now it cannot be read either
        for _ in range(2):
            say(ann, bob.bare, "before", more=origin("o1"))
            assert condition_of(await ann.receive()) is Condition.RESOURCE_CONSTRAINT
        assert await bodies(bob) == []


async def test_of_two_copies_in_one_batch_that_failed_none_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async with TestServer([Archive, StanzaMetrics]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        commits = server.plugin(Archive)._commits
        commits._patience_s = 0.0
        write = commits._backend.write

        async def fails_at_the_end(entries: list[Entry | Mark]) -> None:
            await write(entries[:1])
            for entry in entries[1:]:
                assert isinstance(entry, Entry)
                entry.was_known = True
            async with server.store.write() as connection:
                for table in (tables.messages, tables.origins):
                    await connection.execute(sa.delete(table))
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(commits._backend, "write", fails_at_the_end)
        say(ann, bob.bare, "once", "once", more=origin("o1"))
        assert [condition_of(each) for each in await ann.rest()] == [Condition.RESOURCE_CONSTRAINT] * 2
        assert await bodies(bob) == []


async def test_what_waits_is_handed_over_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "RETRY_S", 0.0)
    async with TestServer([Archive, StanzaMetrics]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, *"123456789abc")
        await server.settle()
        outages = iter((False, True, True, False, True, False, False, False, False))
        waiting_of = Log.waiting

        async def away_now_and_then(log: Log, owner: int, *, after: int = 0, most: int) -> list[Logged]:
            if next(outages):
                raise OSError("connection refused")
            return await waiting_of(log, owner, after=after, most=most)

        monkeypatch.setattr(Log, "waiting", away_now_and_then)
        late = await server.login("bob@acme")
        assert "".join(filter(None, await bodies(late))) == "123456789abc"
        assert late.wire.is_open
        assert await waiting(server) == 0


async def test_a_device_that_cannot_be_given_what_waits_comes_back_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: object, **__: object) -> list[Logged]:
        raise OSError("connection refused")

    monkeypatch.setattr(hand_over, "PATIENCE_S", -1.0)
    async with TestServer([Archive, StanzaMetrics]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "1")
        await server.settle()
        with monkeypatch.context() as outage:
            outage.setattr(Log, "waiting", away)
            late = await server.login("bob@acme")
            await server.settle()
            assert late.wire.violation is not None
            assert late.wire.violation.condition is StreamCondition.RESOURCE_CONSTRAINT
        assert await bodies(await server.login("bob@acme")) == ["1"]
    assert "Traceback" not in caplog.text


async def test_a_gate_that_cannot_tell_now_costs_nobody_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    is_slow = False

    class Slow(Plugin, name="slow"):
        @hook(Stage.GATE)
        def judge(self, p: Passage) -> None:
            if is_slow:
                raise StanzaError(Condition.RESOURCE_CONSTRAINT)

    monkeypatch.setattr(hand_over, "PATIENCE_S", -1.0)
    async with TestServer([Archive, StanzaMetrics, Slow]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "1")
        await server.settle()
        is_slow = True
        late = await server.login("bob@acme")
        await server.settle()
        assert not late.wire.is_open
        is_slow = False
        assert await bodies(await server.login("bob@acme")) == ["1"]


async def test_that_a_message_waits_is_written_however_long_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with TestServer([Archive, Offline, StanzaMetrics]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        bob.send("<enable xmlns='urn:xmpp:sm:3'/>")
        say(ann, bob.bare, "did not arrive")
        await server.settle()
        commits = server.plugin(Archive)._commits
        commits._patience_s = 0.0
        write, tries = commits._backend.write, 0

        async def away_at_first(entries: list[Entry | Mark]) -> None:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise OSError("connection refused")
            await write(entries)

        monkeypatch.setattr(commits._backend, "write", away_at_first)
        await bob.leave()
        await server.settle()
        assert tries == 4
        assert await bodies(await server.login("bob@acme")) == ["did not arrive"]


# -- numbers -----------------------------------------------------------------------------------------------


def test_numbers_rise_whatever_the_clock_does() -> None:
    times = iter([1_800_000_000.0, 1_800_000_000.0, 1_700_000_000.0, 1_800_000_000.001])
    numbers = Numbers(lambda: next(times), node=3)
    drawn = [numbers.next() for _ in range(4)]
    assert drawn == sorted(set(drawn))
    assert {number % 256 for number in drawn} == {3}
    assert time_of(drawn[0]) == 1_800_000_000.0
    assert first_at(1_800_000_000.0) <= drawn[0] < first_at(1_800_000_000.001) <= drawn[3]


def test_numbers_go_on_above_what_was_drawn_before_a_restart() -> None:
    before = Numbers(lambda: 1_800_000_000.0).next()
    assert Numbers(lambda: 1_700_000_000.0, node=5, last=before).next() > before
