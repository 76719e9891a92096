"""What a failing, slow or refusing handler does to a stanza, and to nobody else's."""

import asyncio
import tracemalloc

import pytest

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin import (
    BecameAvailable,
    Condition,
    Outcome,
    Passage,
    Plugin,
    SessionEnded,
    SessionStarted,
    Stage,
    StanzaError,
    Unheard,
    hook,
    on,
    on_iq,
)
from rainbow_xmpp.testing import Client, TestServer, condition_of

BODY = "{jabber:client}body"


def say(sender: Client, to: str, *texts: str) -> None:
    for text in texts:
        sender.send(f"<message to='{to}' type='chat'><body>{text}</body></message>")


async def bodies(client: Client) -> list[str | None]:
    return [stanza.findtext(BODY) for stanza in await client.rest()]


class Outcomes(Plugin, name="outcomes"):
    """Remembers what became of everything."""

    def __init__(self, services, options):
        super().__init__(services, options)
        self.seen: list[Outcome] = []

    @hook(Stage.OBSERVE)
    def remember(self, p: Passage, outcome: Outcome) -> None:
        if p.kind == "message":
            self.seen.append(outcome)


# -- admit and gate ----------------------------------------------------------------------------------------


class Doorman(Plugin, name="doorman"):
    @hook(Stage.ADMIT)
    def admit(self, p: Passage) -> None:
        if b"spam" in p.data:
            raise StanzaError(Condition.POLICY_VIOLATION, "no spam")


async def test_who_is_not_admitted_is_told_why():
    async with TestServer([Doorman, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "spam", "ham")
        assert condition_of(await ann.receive()) is Condition.POLICY_VIOLATION
        assert await bodies(bob) == ["ham"]
        assert server.plugin(Outcomes).seen == [Outcome.REFUSED, Outcome.DELIVERED]


class Chatty(Plugin, name="chatty"):
    @hook(Stage.GATE)
    def gate(self, p: Passage) -> None:
        raise StanzaError(Condition.FORBIDDEN, "Bob does not like you")


class Broken(Plugin, name="broken"):
    @hook(Stage.GATE)
    def gate(self, p: Passage) -> None:
        raise RuntimeError("a bug")


@pytest.mark.parametrize("gate", [Chatty, Broken])
async def test_whatever_a_gate_raises_looks_like_an_address_that_nobody_has(gate):
    async with TestServer([gate, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        answers = []
        for to in (bob.bare, f"nob@{server.domain}"):
            say(ann, to, "hello")
            answers.append((await ann.receive_bytes()).replace(to.encode(), b"WHO"))
        assert answers[0] == answers[1]
        assert b"service-unavailable" in answers[0]
        assert await bob.rest() == []
        assert server.plugin(Outcomes).seen == [Outcome.REFUSED] * 2


async def test_plugins_can_ask_the_gate_themselves():
    async with TestServer([Chatty, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        passage = await _passage(ann, bob)
        with pytest.raises(StanzaError):
            await server.plugin(Outcomes).services.may_pass(passage)


class Acquaintances(Plugin, name="acquaintances"):
    """Lets pass whom the recipient knows; who that is has to be looked up."""

    def __init__(self, services, options):
        super().__init__(services, options)
        self.known: dict[str, set[str]] = {}
        self.written: dict[str, set[str]] = {}
        self.may_look = asyncio.Event()
        self.may_look.set()

    @hook(Stage.GATE)
    def gate(self, p: Passage):
        known = self.known.get(p.recipient.localpart)
        if known is None:
            return self._look(p.recipient.localpart)
        if p.sender.localpart not in known:
            raise StanzaError(Condition.FORBIDDEN)
        return None

    async def _look(self, localpart: str) -> None:
        await self.may_look.wait()
        self.known[localpart] = self.written.get(localpart, set())


async def test_a_gate_that_lacks_something_is_asked_again_when_it_is_there():
    async with TestServer([Acquaintances, Outcomes]) as server:
        ann, bob, eve = [await server.login(f"{name}@acme") for name in ("ann", "bob", "eve")]
        server.plugin(Acquaintances).written["bob"] = {"ann"}
        say(ann, bob.bare, "one", "two")
        say(eve, bob.bare, "three")
        assert await bodies(bob) == ["one", "two"]
        assert condition_of(await eve.receive()) is Condition.SERVICE_UNAVAILABLE
        outcomes = server.plugin(Outcomes).seen
        assert sorted(outcomes, key=str) == [Outcome.DELIVERED] * 2 + [Outcome.REFUSED]


async def test_who_comes_while_a_gate_looks_something_up_gets_the_message():
    async with TestServer([Acquaintances]) as server:
        ann, _ = await server.login("ann@acme"), await server.person("bob@acme")
        gate = server.plugin(Acquaintances)
        gate.written["bob"] = {"ann"}
        gate.may_look.clear()
        say(ann, f"bob@{server.domain}", "hello")
        bob = await server.login("bob@acme", available=False)
        bob.send("<presence/>")
        await bob.session.idle()
        gate.may_look.set()
        assert [body for body in await bodies(bob) if body] == ["hello"]


class Forgetful(Plugin, name="forgetful"):
    @hook(Stage.GATE)
    def gate(self, p: Passage):
        return asyncio.sleep(0)


class Away(Plugin, name="away"):
    @hook(Stage.GATE)
    def gate(self, p: Passage):
        return self._look()

    async def _look(self) -> None:
        raise OSError("the database is away")


@pytest.mark.parametrize("gate", [Forgetful, Away])
async def test_a_gate_that_never_gets_what_it_lacks_stays_closed(gate):
    async with TestServer([gate, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "hello")
        assert [condition_of(stanza) for stanza in await ann.rest()] == [Condition.SERVICE_UNAVAILABLE]
        assert await bodies(bob) == []
        assert server.plugin(Outcomes).seen == [Outcome.REFUSED]
        passage = await _passage(ann, bob)
        with pytest.raises((LocalMisuse, OSError)):
            await server.plugin(Outcomes).services.may_pass(passage)


class Register(Plugin, name="register"):
    """Admits those whose number it has found."""

    def __init__(self, services, options):
        super().__init__(services, options)
        self.numbers: dict[str, int] = {}

    @hook(Stage.ADMIT)
    def admit(self, p: Passage):
        if p.sender.localpart not in self.numbers:
            return self._look(p.sender.localpart)
        if self.numbers[p.sender.localpart] > 3:
            raise StanzaError(Condition.POLICY_VIOLATION)
        return None

    async def _look(self, localpart: str) -> None:
        await asyncio.sleep(0)
        self.numbers[localpart] = len(localpart)


async def test_admission_may_need_a_look_as_well():
    async with TestServer([Register]) as server:
        ann, anton = await server.login("ann@acme"), await server.login("anton@acme")
        say(ann, anton.bare, "one", "two")
        say(anton, ann.bare, "three")
        assert await bodies(anton) == ["one", "two", None]
        assert await bodies(ann) == []


class Silent(Plugin, name="silent"):
    @hook(Stage.GATE)
    def gate(self, p: Passage) -> None:
        raise Unheard


async def test_a_gate_can_keep_silent_about_presence_only():
    async with TestServer([Silent, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(f"<presence type='probe' to='{bob.bare}'/>")
        assert await ann.rest() == []
        say(ann, bob.bare, "hello")
        assert [condition_of(stanza) for stanza in await ann.rest()] == [Condition.SERVICE_UNAVAILABLE]
        assert server.plugin(Outcomes).seen == [Outcome.REFUSED]


class Greeter(Plugin, name="greeter"):
    """Has to look somebody up when they come."""

    def __init__(self, services, options):
        super().__init__(services, options)
        self.may_look = asyncio.Event()
        self.known: list[str] = []

    @on(SessionStarted)
    async def look(self, event: SessionStarted) -> None:
        await self.may_look.wait()
        self.known.append(event.session.account.localpart)

    @hook(Stage.ADMIT)
    def admit(self, p: Passage) -> None:
        assert p.sender.localpart in self.known


async def test_a_sessions_first_stanza_waits_for_who_is_told_of_its_start():
    async with TestServer([Greeter]) as server:
        ann = await server.login("ann@acme", available=False)
        say(ann, ann.bare, "hello")
        ann.send("<presence/>")
        await asyncio.sleep(0)
        assert ann.wire.unread == []
        server.plugin(Greeter).may_look.set()
        assert [condition_of(stanza) for stanza in await ann.rest()] == [Condition.SERVICE_UNAVAILABLE, None]


async def _passage(sender: Client, to: Client) -> Passage:
    from rainbow_xmpp.xml import scan

    view = scan(f"<message xmlns='jabber:client' to='{to.bare}'/>".encode())
    return Passage(
        "message",
        "normal",
        view,
        view.data,
        sender.jid,
        sender.account,
        sender.session,
        to.bare,
        to.account,
        to.session.home,
        None,
    )


# -- rewrite -----------------------------------------------------------------------------------------------


class AddsOne(Plugin, name="adds_one"):
    @hook(Stage.REWRITE)
    def rewrite(self, p: Passage) -> Passage:
        return p._replace(data=p.data.replace(b"</body>", b"1</body>"))


class Fails(Plugin, name="fails"):
    @hook(Stage.REWRITE, after="adds_one", before="adds_two")
    def rewrite(self, p: Passage) -> Passage:
        raise RuntimeError("a bug")


class AddsTwo(Plugin, name="adds_two"):
    @hook(Stage.REWRITE, after="adds_one")
    def rewrite(self, p: Passage) -> Passage:
        return p._replace(data=p.data.replace(b"</body>", b"2</body>"))


async def test_rewriters_work_on_what_the_one_before_made_and_a_broken_one_is_skipped():
    async with TestServer([AddsTwo, Fails, AddsOne]) as server:
        assert server.node.pipeline.stages()[Stage.REWRITE] == ["adds_one", "fails", "adds_two"]
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "0")
        assert await bodies(bob) == ["012"]
        assert await ann.rest() == []


# -- record ------------------------------------------------------------------------------------------------


class Archive(Plugin, name="archive"):
    """Writes as slowly as the test wants."""

    def __init__(self, services, options):
        super().__init__(services, options)
        self.may_go_on = asyncio.Event()
        self.recorded: list[bytes] = []

    @hook(Stage.RECORD)
    def record(self, p: Passage):
        self.recorded.append(p.data)
        return self._write() if b"slow" in p.data else None

    async def _write(self) -> None:
        await self.may_go_on.wait()
        if not self.recorded:
            raise RuntimeError("the archive is broken")


async def test_a_stanza_that_waits_keeps_the_next_ones_of_its_sender_behind_it():
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        carol = await server.login("carol@acme")
        say(ann, bob.bare, "slow", "quick", "quicker")
        say(carol, bob.bare, "of somebody else")
        assert (await bob.receive()).findtext(BODY) == "of somebody else"
        assert len(server.plugin(Archive).recorded) == 2
        server.plugin(Archive).may_go_on.set()
        assert await bodies(bob) == ["slow", "quick", "quicker"]


async def test_a_lane_that_is_full_is_not_read_from():
    async with TestServer([Archive]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        texts = ["slow", *map(str, range(100))]
        say(ann, bob.bare, *texts)
        assert ann.wire.is_paused
        server.plugin(Archive).may_go_on.set()
        assert await bodies(bob) == texts
        assert not ann.wire.is_paused


async def test_what_cannot_be_recorded_is_not_delivered():
    async with TestServer([Archive, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "slow", "quick")
        server.plugin(Archive).recorded.clear()
        server.plugin(Archive).may_go_on.set()
        assert condition_of(await ann.receive()) is Condition.INTERNAL_SERVER_ERROR
        assert await bodies(bob) == ["quick"]
        assert server.plugin(Outcomes).seen == [Outcome.FAILED, Outcome.DELIVERED]


# -- place -------------------------------------------------------------------------------------------------


class Refuses(Plugin, name="a_refuses"):
    @hook(Stage.PLACE)
    def place(self, p: Passage) -> bool:
        return False


class Keeps(Plugin, name="b_keeps"):
    def __init__(self, services, options):
        super().__init__(services, options)
        self.kept: list[Passage] = []

    @hook(Stage.PLACE)
    async def place(self, p: Passage) -> bool:
        self.kept.append(p)
        return b"keep" in p.data


async def test_what_nobody_takes_is_placed_by_the_first_who_takes_it():
    async with TestServer([Refuses, Keeps, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        say(ann, bob.bare, "keep", "drop")
        (answer,) = await ann.rest()
        assert condition_of(answer) is Condition.SERVICE_UNAVAILABLE
        assert [p.recipient for p in server.plugin(Keeps).kept] == [bob.account] * 2
        assert server.plugin(Outcomes).seen == [Outcome.STORED, Outcome.REFUSED]


async def test_nobody_is_asked_to_place_what_was_delivered():
    async with TestServer([Keeps]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "keep")
        assert await bodies(bob) == ["keep"]
        assert server.plugin(Keeps).kept == []


# -- observe -----------------------------------------------------------------------------------------------


class Blind(Plugin, name="blind"):
    @hook(Stage.OBSERVE, before="outcomes")
    def observe(self, p: Passage, outcome: Outcome) -> None:
        raise RuntimeError("a bug")


async def test_an_observer_that_fails_is_ignored():
    async with TestServer([Blind, Outcomes]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        say(ann, bob.bare, "hello")
        assert await bodies(bob) == ["hello"]
        assert await ann.rest() == []
        assert server.plugin(Outcomes).seen == [Outcome.DELIVERED]


# -- requests ----------------------------------------------------------------------------------------------


class Answers(Plugin, name="answers"):
    @on_iq("get", "{urn:example:a}nothing", to=("server", "self", "contact"))
    def nothing(self, ctx, payload):
        return None

    @on_iq("get", "{urn:example:a}bytes", to="server")
    def as_bytes(self, ctx, payload):
        return b"<bytes xmlns='urn:example:a'/>"

    @on_iq("get", "{urn:example:a}later", to=("server", "contact"))
    async def later(self, ctx, payload):
        await asyncio.sleep(0)
        return payload

    @on_iq("set", "{urn:example:a}refused", to=("server", "contact"))
    async def refused(self, ctx, payload):
        raise StanzaError(Condition.NOT_ALLOWED, "not today")

    @on_iq("set", "{urn:example:a}bug", to=("server", "contact"))
    def bug(self, ctx, payload):
        raise RuntimeError("a bug")


@pytest.mark.parametrize("target", ["server", "contact"])
@pytest.mark.parametrize(
    ("type_", "name", "condition", "payload"),
    [
        ("get", "nothing", None, []),
        ("get", "later", None, ["{urn:example:a}later"]),
        ("set", "refused", Condition.NOT_ALLOWED, None),
        ("set", "bug", Condition.INTERNAL_SERVER_ERROR, None),
        ("set", "nothing", Condition.SERVICE_UNAVAILABLE, None),
        ("get", "unknown", Condition.SERVICE_UNAVAILABLE, None),
    ],
)
async def test_what_a_handler_returns_or_raises_is_the_answer(target, type_, name, condition, payload):
    async with TestServer([Answers]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        to = server.domain if target == "server" else bob.bare
        answer = await ann.ask(type_, f"<{name} xmlns='urn:example:a'/>", to=to)
        assert condition_of(answer) is condition
        assert answer.get("from") == to
        if payload is not None:
            assert [child.tag for child in answer] == payload


async def test_a_handler_may_return_bytes():
    async with TestServer([Answers]) as server:
        ann = await server.login("ann@acme")
        answer = await ann.ask("get", "<bytes xmlns='urn:example:a'/>", to=server.domain)
        assert [child.tag for child in answer] == ["{urn:example:a}bytes"]


# -- loading and stopping ----------------------------------------------------------------------------------


class WrongGate(Plugin, name="wrong_gate"):
    @hook(Stage.GATE)
    async def gate(self, p: Passage) -> None: ...


class WrongIq(Plugin, name="wrong_iq"):
    @on_iq("get", "{urn:example:b}b", to="server")
    def answer(self): ...


class WrongName(Plugin, name="wrong_name"):
    @on_iq("get", "no namespace", to="server")
    def answer(self, ctx, payload): ...


class WrongEvent(Plugin, name="wrong_event"):
    @on(BecameAvailable)
    def hear(self): ...


class SameAnswer(Plugin, name="same_answer"):
    @on_iq("get", "{urn:example:a}nothing", to="self")
    def nothing(self, ctx, payload): ...


class CannotStart(Plugin, name="cannot_start"):
    async def start(self) -> None:
        raise LocalMisuse("expected: something else")


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        (WrongGate, "expected: def handler"),
        (WrongIq, "expected: def or async def handler"),
        (WrongName, "on_iq expects"),
        (WrongEvent, "expected: def or async def handler"),
        (SameAnswer, "answered by answers already"),
        (CannotStart, "expected: something else"),
    ],
)
async def test_a_plugin_that_does_not_fit_is_refused_and_takes_the_others_back(plugin, text):
    async with TestServer() as server:
        node = server.node
        before = node.pipeline.stages(), dict(node.iqs._handlers)
        with pytest.raises(LocalMisuse, match=text):
            await node.plugins.start([Answers, Outcomes, plugin], {}, node.services())
        assert (node.pipeline.stages(), dict(node.iqs._handlers)) == before
        assert list(node.plugins) == []


@pytest.mark.parametrize(
    "declare",
    [
        lambda: on_iq("get", "{a}b", to="everybody"),
        lambda: on(int),
        lambda: type("Bad", (Plugin,), {}, name="Not A Name"),
    ],
)
def test_a_wrong_declaration_fails_where_it_is_written(declare):
    with pytest.raises(LocalMisuse):
        declare()


async def test_a_stopped_plugin_hears_and_answers_nothing():
    async with TestServer([Answers, Outcomes, Doorman]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        outcomes = server.plugin(Outcomes)
        await server.node.plugins.stop()
        say(ann, bob.bare, "spam")
        assert await bodies(bob) == ["spam"]
        answer = await ann.ask("get", "<nothing xmlns='urn:example:a'/>")
        assert condition_of(answer) is Condition.SERVICE_UNAVAILABLE
        assert outcomes.seen == []


# -- events ------------------------------------------------------------------------------------------------


class Events(Plugin, name="events"):
    def __init__(self, services, options):
        super().__init__(services, options)
        self.seen: list[str] = []
        self.may_go_on = asyncio.Event()

    @on(BecameAvailable)
    async def came(self, event: BecameAvailable) -> None:
        await self.may_go_on.wait()
        self.seen.append(f"came {event.is_initial}")

    @on(SessionEnded)
    def gone(self, event: SessionEnded) -> None:
        self.seen.append("gone")


class BrokenListener(Plugin, name="broken_listener"):
    @on(BecameAvailable)
    def came(self, event: BecameAvailable) -> None:
        raise RuntimeError("a bug")


async def test_what_a_client_asks_next_waits_until_its_coming_was_handled():
    async with TestServer([BrokenListener, Events]) as server:
        events = server.plugin(Events)
        ann = await server.login("ann@acme", available=False)
        ann.send("<presence/>")
        say(ann, ann.bare, "note")
        await ann.receive()  # its own presence
        assert ann.wire.unread == []
        events.may_go_on.set()
        assert await bodies(ann) == ["note"]
        ann.send("<presence><priority>-1</priority></presence>")
        ann.send("<presence/>")
        await ann.leave()
        assert events.seen == ["came True", "came False", "gone"]


async def test_refusals_leave_nothing_behind():
    """What one refusal needed, such as the stanza, is not kept for the next ones."""
    async with TestServer() as server:
        ann = await server.login("ann@acme")
        tracemalloc.start()
        try:
            for _ in range(2):  # the first fills the caches
                before = tracemalloc.get_traced_memory()[0]
                for _ in range(300):
                    say(ann, "nobody@rainbow.test", "x" * 1000)
                await ann.rest()
                grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 200_000
