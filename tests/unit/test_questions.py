"""Questions of the server's to clients: `services.ask` and whose answers count (RFC 6120 §8.2.3)."""

import asyncio

import pytest

from rainbow_xmpp.errors import LocalMisuse, StanzaError
from rainbow_xmpp.plugin import BecameAvailable, Context, Payload, Plugin, Session, attr, on, on_iq
from rainbow_xmpp.router.questions import MOST_AT_ONCE
from rainbow_xmpp.testing import TestServer


class Mood(Payload, ns="urn:example:mood", tag="mood"):
    is_: str = attr(name="is", default="")


class Asking(Plugin, name="asking"):
    """Asks for the mood of whoever comes."""

    def __init__(self, services, options):
        super().__init__(services, options)
        self.heard: list[str] = []

    @on(BecameAvailable)
    def come(self, event: BecameAvailable) -> None:
        self.services.spawn(self.ask(event.session))

    async def ask(self, session: Session, timeout_s: float = 10) -> None:
        try:
            answer = await self.services.ask(session, Mood(), Mood, timeout_s=timeout_s)
            self.heard.append(answer.is_)
        except StanzaError as error:
            self.heard.append(str(error.condition))


@pytest.fixture
async def server():
    async with TestServer([Asking]) as running:
        yield running


async def heard(server: TestServer) -> list[str]:
    await server.settle()
    return server.plugin(Asking).heard


async def test_an_answer_is_heard(server):
    ann = await server.login("ann@acme", available=False)
    ann.send("<presence/>")
    question = await ann.answer(Mood("good"))
    assert (question.get("type"), question.get("from")) == ("get", server.domain)
    assert question.get("to") == ann.jid
    assert await heard(server) == ["good"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<iq type='result' id='{id}'/>", "bad-request"),
        ("<iq type='result' id='{id}'><other xmlns='urn:other'/></iq>", "bad-request"),
        (
            "<iq type='error' id='{id}'><error type='cancel'>"
            "<not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
            "not-allowed",
        ),
        ("<iq type='error' id='{id}'/>", "undefined-condition"),
        ("<iq type='error' id='{id}'><error type='odd'><odd/></error></iq>", "undefined-condition"),
    ],
)
@pytest.mark.parametrize("to", ["", " to='rainbow.test'"])
async def test_whatever_a_client_answers_is_told(server, answer, expected, to):
    ann = await server.login("ann@acme", available=False)
    ann.send("<presence/>")
    question = await ann.asked()
    ann.send(answer.format(id=question.get("id")).replace("<iq", f"<iq{to}", 1))
    assert await heard(server) == [expected]


async def test_silence_is_told_and_a_late_answer_means_nothing(server):
    ann = await server.login("ann@acme", available=False)
    await server.plugin(Asking).ask(ann.session, timeout_s=0.005)
    assert await heard(server) == ["remote-server-timeout"]
    await ann.answer(Mood("late"))
    assert await heard(server) == ["remote-server-timeout"]
    assert len(server.node.questions) == 0


async def test_a_session_that_ends_will_not_answer_and_one_that_is_gone_is_not_asked(server):
    ann = await server.login("ann@acme", available=False)
    ann.send("<presence/>")
    await ann.asked()
    await ann.leave()
    assert await heard(server) == ["recipient-unavailable"]
    await server.plugin(Asking).ask(ann.session)
    assert await heard(server) == ["recipient-unavailable"] * 2
    assert len(server.node.questions) == 0


async def test_only_the_session_that_was_asked_can_answer(server):
    ann = await server.login("ann@acme", available=False)
    others = [await server.login(name, available=False) for name in ("ann@acme", "eve@acme", "gus@globex")]
    ann.send("<presence/>")
    question = await ann.asked()
    for other in others:
        for to in ("", f" to='{server.domain}'", f" to='{ann.bare}'"):
            other.send(
                f"<iq type='result' id='{question.get('id')}'{to}><mood xmlns='{Mood.NS}' is='forged'/></iq>"
            )
    await asyncio.gather(*(other.session.idle() for other in others))
    assert server.plugin(Asking).heard == []
    ann.send(f"<iq type='result' id='{question.get('id')}'><mood xmlns='{Mood.NS}' is='mine'/></iq>")
    ann.send(f"<iq type='result' id='{question.get('id')}'><mood xmlns='{Mood.NS}' is='again'/></iq>")
    assert await heard(server) == ["mine"]


async def test_an_answer_to_no_question_is_ignored(server):
    ann = await server.login("ann@acme", available=False)
    for id_ in ("ask-1", "x"):
        ann.send(f"<iq type='result' id='{id_}'/>")
        ann.send(f"<iq type='error' id='{id_}' to='{server.domain}'/>")
    assert await ann.rest() == []


async def test_a_client_is_asked_only_so_many_things_at_once(server):
    ann = await server.login("ann@acme", available=False)
    plugin = server.plugin(Asking)
    asking = [asyncio.create_task(plugin.ask(ann.session)) for _ in range(MOST_AT_ONCE + 1)]
    for _ in range(MOST_AT_ONCE):
        await ann.answer(Mood("fine"))
    await asyncio.gather(*asking)
    assert sorted(plugin.heard) == ["fine"] * MOST_AT_ONCE + ["resource-constraint"]


async def test_a_question_whose_answer_would_wait_for_itself_is_refused_with_the_way_out(caplog):
    told: list[str] = []

    class Eager(Plugin, name="eager"):
        @on_iq("get", Mood, to="server")
        async def back(self, ctx: Context, mood: Mood) -> None:
            assert ctx.session is not None
            try:
                await self.services.ask(ctx.session, Mood())
            except LocalMisuse as misuse:
                told.append(str(misuse))

    async with TestServer([Eager]) as server:
        ann = await server.login("ann@acme")
        await ann.ask("get", Mood(), to=server.domain)
    assert "ask in a task: services.spawn" in told[0]
