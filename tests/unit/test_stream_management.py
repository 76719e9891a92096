"""Sessions that outlive their connection: who is kept, for how long, and where their messages go (XEP-0198)."""

import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element

import pytest
import sqlalchemy as sa

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.plugin import Plugin, SessionKept, SessionRestored, on, when_acknowledged
from rainbow_xmpp.plugins.offline import Offline
from rainbow_xmpp.session.inline import TakenOver
from rainbow_xmpp.session.session import ENDED_BY_ADMINISTRATOR
from rainbow_xmpp.store.tables import kept_sessions
from rainbow_xmpp.stream_management.managed import Managed
from rainbow_xmpp.testing import Client, TestServer
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import names

SM = names.SM
DELAY = "{urn:xmpp:delay}delay"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Offline, Notes]) as server:
        yield server


async def managed(
    server: TestServer, name: str = "ann@acme", *, resource: str = "", max_s: int = 0
) -> Client:
    """Somebody whose session may be resumed, with nothing unread or unacknowledged."""
    client = await server.login(name, resource=resource)
    await client.rest()
    client.send(f"<enable xmlns='{SM}' resume='true' max='{max_s or ''}'/>")
    assert (await client.receive()).tag == f"{{{SM}}}enabled"
    return client


def layer(client: Client) -> Managed:
    found = Managed.of(client.session)
    assert found is not None
    return found


async def lose(server: TestServer, client: Client) -> None:
    client.wire.lose()
    await server.settle()
    await server.settle()  # somebody else may have to end for it


async def resume(server: TestServer, client: Client, h: int = 0) -> TakenOver | bytes:
    """What a login by the same account gets, and the connection that it has then."""
    attrs = {"previd": layer(client).id, "h": str(h)}
    found = await server.node.streams.find(client.account, attrs)
    taken = found if isinstance(found, bytes) else found()
    if isinstance(taken, TakenOver):
        wire = MemoryWire(
            lambda: server.node.connection_over(client.session, wire, False),
            lambda: server.node.connection_over(client.session, wire, True),
        )
        client.session.move_to(wire, "en")
        client.wire = wire
    return taken


def pass_time(server: TestServer, seconds: int) -> None:
    for _ in range(seconds):
        server.clock.advance(1)
        server.node.streams.tick()


def bodies(stanzas: list[Element]) -> list[str]:
    return [stanza.findtext("{jabber:client}body", "") for stanza in stanzas if "message" in stanza.tag]


# -- kept, and given up


async def test_a_lost_connection_ends_nothing_until_the_time_is_over(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.send(f"<presence to='{ann.bare}'/>")
    ann.send(f"<presence to='{bob.jid}'/>")
    await bob.receive()
    await lose(server, ann)
    assert server.node.counters.sessions_kept == 1
    pass_time(server, 299)
    await server.settle()
    assert await bob.rest() == []
    assert server.node.sessions.by_full[ann.jid] is ann.session
    pass_time(server, 1)
    await server.settle()
    assert [stanza.get("type") for stanza in await bob.rest()] == ["unavailable"]
    assert (len(server.node.sessions), server.node.counters.sessions_kept) == (1, 0)


async def test_a_client_may_want_less_time(server: TestServer) -> None:
    ann = await managed(server, max_s=5)
    await lose(server, ann)
    pass_time(server, 5)
    await server.settle()
    assert len(server.node.sessions) == 0
    assert isinstance(await resume(server, ann), bytes)


async def test_the_time_begins_anew_with_each_loss(server: TestServer) -> None:
    ann = await managed(server, max_s=10)
    for _ in range(3):
        await lose(server, ann)
        pass_time(server, 9)
        await server.settle()
        assert isinstance(await resume(server, ann), TakenOver)
    pass_time(server, 30)
    assert ann.jid in server.node.sessions.by_full
    assert ann.wire.is_open


async def test_what_waits_is_bounded_for_each_and_for_all(server: TestServer) -> None:
    settings = server.node.streams.settings
    server.node.streams.settings = settings.__class__(kept_per_account=2, queue_bytes=65_536)
    devices = [await managed(server, resource=f"device{number}") for number in range(3)]
    for device in devices:
        await lose(server, device)
    assert [d.jid in server.node.sessions.by_full for d in devices] == [False, True, True]
    bob = await server.login("bob@acme")
    for _ in range(70):
        bob.say("x" * 1000, to=devices[1].jid, type="normal")
    await server.settle()
    assert [d.jid in server.node.sessions.by_full for d in devices] == [False, False, True]
    assert server.node.counters.limit_unacknowledged == 1
    server.node.streams.settings = settings.__class__(kept_bytes=1_048_576)
    kept = [await managed(server, f"kate{number}@acme") for number in range(3)]
    for client in kept:
        await lose(server, client)
    for client in kept:
        for _ in range(400):
            bob.say("x" * 1000, to=client.jid)
    await server.settle()
    assert [c.jid in server.node.sessions.by_full for c in kept] == [False, True, True]


async def test_a_client_that_acknowledges_nothing_is_cut_off(server: TestServer) -> None:
    server.node.streams.settings = server.node.streams.settings.__class__(queue_stanzas=100)
    ann, bob = await managed(server), await server.login("bob@acme")
    for number in range(101):
        bob.say(str(number), to=ann.jid)
    await server.settle()
    assert ann.wire.violation is not None
    assert ann.wire.violation.condition is StreamCondition.RESOURCE_CONSTRAINT
    again = await server.login("ann@acme")
    assert bodies(await again.rest()) == [str(number) for number in range(100)]  # all that offline keeps


async def test_resumption_may_be_switched_off(server: TestServer) -> None:
    server.node.streams.settings = server.node.streams.settings.__class__(resume_s=0)
    ann = await managed(server)
    assert layer(ann).id == ""
    await lose(server, ann)
    assert len(server.node.sessions) == 0


@pytest.mark.parametrize("is_lost", [True, False])
async def test_an_end_from_above_leaves_nothing_to_resume(server: TestServer, is_lost: bool) -> None:
    ann = await managed(server)
    resume_id = layer(ann).id
    if is_lost:
        await lose(server, ann)
    ann.session.wire.fail(ENDED_BY_ADMINISTRATOR)
    await server.settle()
    assert len(server.node.sessions) == 0
    answer = await server.node.streams.find(ann.account, {"previd": resume_id, "h": "0"})
    assert isinstance(answer, bytes)
    assert b"item-not-found" in answer


async def test_a_change_of_the_account_ends_what_could_be_resumed(server: TestServer) -> None:
    ann = await managed(server)
    await lose(server, ann)
    await server.node.people.end_sessions(ann.account, actor="user:admin")
    await server.node.watch.poll()
    await server.settle()
    assert len(server.node.sessions) == 0


# -- asking for acknowledgements


async def test_it_asks_a_moment_later_and_after_many_at_once_and_not_each_time(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.say("1", to=ann.jid)
    bob.say("2", to=ann.jid)
    await server.settle()
    assert [e.tag.rpartition("}")[2] for e in await ann.rest()] == ["message", "message"]
    pass_time(server, 2)
    assert [e.tag for e in await ann.rest()] == [f"{{{SM}}}r"]
    ann.send(f"<a xmlns='{SM}' h='2'/>")
    for number in range(120):
        bob.say(str(number), to=ann.jid)
    await server.settle()
    asked = [e.tag for e in await ann.rest()]
    assert asked.count(f"{{{SM}}}r") == 1  # for there was no answer
    assert asked.index(f"{{{SM}}}r") == server.node.streams.settings.ask_after_stanzas
    ann.send(f"<a xmlns='{SM}' h='52'/>")
    pass_time(server, 1)
    assert [e.tag for e in await ann.rest()] == [f"{{{SM}}}r"]
    assert len(layer(ann).queue) == 70


async def test_who_does_not_answer_is_taken_for_lost_and_may_come_back(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.say("1", to=ann.jid)
    await server.settle()
    pass_time(server, 1 + server.node.streams.answer_s)
    await server.settle()
    assert ann.wire.violation is not None
    assert ann.wire.violation.condition is StreamCondition.CONNECTION_TIMEOUT
    assert ann.session.is_adrift
    taken = await resume(server, ann)
    assert isinstance(taken, TakenOver)
    assert [bool(re.search(b"<body>1<", data)) for data in taken.unread] == [True, False]


async def test_who_speaks_but_does_not_answer_is_asked_again(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.say("1", to=ann.jid)
    await server.settle()
    pass_time(server, 2)
    await ann.rest()
    ann.session.last_heard += 1
    pass_time(server, server.node.streams.answer_s)
    assert ann.wire.violation is None
    assert [e.tag for e in await ann.rest()] == [f"{{{SM}}}r"]


async def test_the_silence_of_a_client_is_broken_by_a_request(server: TestServer) -> None:
    ann = await managed(server)
    ann.session.wire.ping()
    assert [e.tag for e in await ann.rest()] == [f"{{{SM}}}r"]
    assert ann.wire.pings == 0


# -- acknowledging


class Commit:
    """A commit of kept messages that is under way."""

    def __init__(self) -> None:
        self.is_settled = False
        self._calls: list[Callable[[], None]] = []

    def after(self, call: Callable[..., None], *arguments: object) -> None:
        self._calls.append(partial(call, *arguments))

    def settle(self) -> None:
        self.is_settled = True
        for call in self._calls:
            call()


async def test_only_what_is_kept_is_acknowledged(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    first, second = Commit(), Commit()
    ann.say("1", to=bob.jid)
    ann.session.unsettled = first
    ann.send(f"<r xmlns='{SM}'/>")
    ann.say("with the same commit", to=bob.jid)
    ann.send(f"<r xmlns='{SM}'/>")
    ann.say("2", to=bob.jid)
    ann.session.unsettled = second
    ann.send(f"<r xmlns='{SM}'/>")
    assert [e for e in await ann.rest() if e.tag == f"{{{SM}}}a"] == []
    second.settle()
    first.settle()
    assert [e.get("h") for e in await ann.rest() if e.tag == f"{{{SM}}}a"] == ["3", "1"]
    ann.send(f"<r xmlns='{SM}'/>")
    assert (await ann.receive()).get("h") == "3"


async def test_a_resumption_waits_for_what_is_not_kept_yet(server: TestServer) -> None:
    ann, commit = await managed(server), Commit()
    ann.say("1", to="bob@rainbow.test")
    ann.session.unsettled = commit
    await lose(server, ann)
    server.node.background.spawn(_settle_soon(commit))
    taken = await resume(server, ann)
    assert commit.is_settled
    assert isinstance(taken, TakenOver)
    assert b"h='1'" in taken.results


async def _settle_soon(commit: Commit) -> None:
    commit.settle()


async def test_whoever_sends_hears_when_it_arrived(server: TestServer) -> None:
    ann, bob, heard = await managed(server), await server.login("bob@acme"), list[str]()
    when_acknowledged(ann.session, lambda: heard.append("before"))
    for number in ("1", "2"):
        bob.say(number, to=ann.jid)
        await server.settle()
        when_acknowledged(ann.session, partial(heard.append, number))
    when_acknowledged(bob.session, lambda: heard.append("without"))
    assert heard == ["before", "without"]
    ann.send(f"<a xmlns='{SM}' h='1'/>")
    assert heard == ["before", "without", "1"]
    await lose(server, ann)
    assert isinstance(await resume(server, ann, h=2), TakenOver)
    assert heard == ["before", "without", "1", "2"]
    bob.say("3", to=ann.jid)
    await server.settle()
    when_acknowledged(ann.session, partial(heard.append, "3"))
    ann.session.wire.fail(ENDED_BY_ADMINISTRATOR)
    await server.settle()
    assert "3" not in heard


# -- handed back


async def test_what_was_not_acknowledged_is_kept_for_later_with_its_time(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.say("got", to=ann.jid)
    bob.say("not got", to=ann.jid)
    bob.say("to all", to=ann.bare)
    await server.settle()
    ann.send(f"<a xmlns='{SM}' h='1'/>")
    await lose(server, ann)
    bob.say("while away", to=ann.jid)
    await server.settle()
    pass_time(server, 300)
    await server.settle()
    again = await server.login("ann@acme")
    late = await again.rest()
    assert bodies(late) == ["not got", "to all", "while away"]
    assert all(len(stanza.findall(DELAY)) == 1 for stanza in late)
    assert await bob.rest() == []


async def test_other_devices_get_it_once(server: TestServer) -> None:
    phone, laptop = await managed(server, resource="phone"), await server.login("ann@acme", resource="laptop")
    bob = await server.login("bob@acme")
    await lose(server, phone)
    await laptop.rest()
    bob.say("to all", to=phone.bare)
    bob.say("to the phone", to=phone.jid)
    await server.settle()
    assert bodies(await laptop.rest()) == ["to all"]
    pass_time(server, 300)
    await server.settle()
    moved = [stanza for stanza in await laptop.rest() if "message" in stanza.tag]
    assert bodies(moved) == ["to the phone"]
    stamp = moved[0].find(DELAY)
    assert stamp is not None
    assert stamp.get("from") == server.domain


async def test_a_device_that_came_later_gets_what_was_said_before(server: TestServer) -> None:
    phone, bob = await managed(server, resource="phone"), await server.login("bob@acme")
    await lose(server, phone)
    bob.say("before", to=phone.bare)
    laptop = await server.login("ann@acme", resource="laptop")
    bob.say("after", to=phone.bare)
    await server.settle()
    await laptop.rest()
    pass_time(server, 300)
    await server.settle()
    assert bodies(await laptop.rest()) == ["before"]


async def test_questions_are_answered_with_an_error_and_the_rest_is_dropped(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    await lose(server, ann)
    bob.send(f"<iq type='get' id='1' to='{ann.jid}'><query xmlns='urn:example:x'/></iq>")
    bob.send(f"<iq type='result' id='2' to='{ann.jid}'/>")
    bob.send(f"<presence to='{ann.jid}'/>")
    bob.send(f"<message type='headline' to='{ann.jid}'><body>news</body></message>")
    bob.send(f"<message to='{ann.jid}'><body>normal</body></message>")
    await server.settle()
    pass_time(server, 300)
    await server.settle()
    answers = [(e.tag.rpartition("}")[2], e.get("type"), e.get("id")) for e in await bob.rest()]
    assert ("iq", "error", "1") in answers
    assert ("message", "error", None) in answers  # RFC 6121 §8.5.3.2.1: no chat, so the resource alone
    assert len([answer for answer in answers if answer[0] != "presence"]) == 2


async def test_a_stream_that_is_closed_hands_back_at_once(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.say("1", to=ann.jid)
    await server.settle()
    ann.wire.abort()
    await server.settle()
    assert bodies(await (await server.login("ann@acme")).rest()) == ["1"]


# -- over a restart


class Notes(Plugin, name="notes"):
    """Knows something of a session."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.found: dict[str, bytes] = {}

    @on(SessionKept)
    def keep(self, event: SessionKept) -> None:
        event.notes["notes"] = event.session.resource.encode()

    @on(SessionRestored)
    async def restored(self, event: SessionRestored) -> None:
        self.found[event.session.resource] = event.notes["notes"]


async def restarted(server: TestServer, seconds: int = 0) -> None:
    """What happens to sessions when the server stops and starts again; the rest of it goes on."""
    node = server.node
    for session in node.sessions:
        if not node.streams.keep_over_restart(session):
            session.wire.abort()
    await server.settle()
    await node.restart.save()
    for session in node.sessions:
        node.streams.ended(session)
        node.sessions.remove(session)
    server.clock.advance(seconds)
    await node.restart.load()
    await server.settle()
    await server.settle()


async def test_everything_of_a_session_is_there_after_a_restart(server: TestServer) -> None:
    ann, bob = await managed(server, resource="phone"), await server.login("bob@acme")
    ann.send("<presence xml:lang='de'><priority>7</priority></presence>")
    ann.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    ann.send(f"<presence to='{bob.jid}'/>")
    ann.session.family = ""
    await server.settle()
    sent = layer(ann).queue.sent
    bob.say("1", to=ann.jid)
    await server.settle()
    before = ann.session
    await restarted(server)
    after = server.node.sessions.by_full[ann.jid]
    assert after is not before
    for name in ("presence", "priority", "directed", "is_interested", "lang", "agent", "full", "bare"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.home.is_loaded
    assert server.plugin(Notes).found == {"phone": b"phone"}
    attrs = {"previd": layer(ann).id, "h": str(sent)}
    found = await server.node.streams.find(ann.account, attrs)
    assert callable(found)
    taken = found()
    assert isinstance(taken, TakenOver)
    assert b"h='3'" in taken.results
    assert b"<body>1<" in taken.unread[0]


async def test_a_time_that_passed_during_the_restart_has_passed(server: TestServer) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.say("1", to=ann.jid)
    await server.settle()
    await restarted(server, seconds=301)
    assert ann.jid not in server.node.sessions.by_full
    assert bodies(await (await server.login("ann@acme")).rest()) == ["1"]


async def test_what_was_kept_cannot_be_read_in_the_database_or_moved_to_somebody_else(
    server: TestServer,
) -> None:
    ann, bob = await managed(server), await server.login("bob@acme")
    bob.say("a secret word", to=ann.jid)
    await server.settle()
    assert server.node.streams.keep_over_restart(ann.session)
    await server.node.restart.save()
    async with server.store.write() as connection:
        (sealed,) = (await connection.execute(sa.select(kept_sessions.c.sealed))).scalars()
        assert b"secret" not in sealed
        assert ann.jid.encode() not in sealed
        await connection.execute(sa.update(kept_sessions).values(owner_id=bob.account.id))
    server.node.streams.ended(ann.session)
    server.node.sessions.remove(ann.session)
    await server.node.restart.load()
    assert len(server.node.sessions) == 1


# -- the shape of a session


async def test_a_session_without_it_pays_nothing_and_stanzas_of_layers_are_counted(
    server: TestServer,
) -> None:
    bob = await server.login("bob@acme")
    assert bob.session.wire is bob.wire
    assert bob.session.handler == server.node.inbound.handle
    assert not hasattr(bob.session, "__dict__")


async def test_of_two_logins_at_once_one_gets_the_session(server: TestServer) -> None:
    ann = await managed(server)
    await lose(server, ann)
    attrs = {"previd": layer(ann).id, "h": "0"}
    first, second = [await server.node.streams.find(ann.account, attrs) for _ in range(2)]
    assert callable(first)
    assert callable(second)
    assert isinstance(first(), TakenOver)
    refusal = second()
    assert isinstance(refusal, bytes)
    assert b"item-not-found" in refusal


async def test_silence_is_no_reason_to_end_what_waits(server: TestServer) -> None:
    ann = await managed(server)
    await lose(server, ann)
    ann.session.wire.fail(PeerViolation(StreamCondition.CONNECTION_TIMEOUT))
    await server.settle()
    assert ann.jid in server.node.sessions.by_full
