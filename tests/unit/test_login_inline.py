"""What comes with a SASL2 login: tasks, what plugins do inline, sessions that are taken over (XEP-0388, XEP-0386)."""

import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from rainbow_xmpp.auth.authenticator import WRONG, Known, Refused
from rainbow_xmpp.company.desk import CompanyChange
from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.plugin import (
    Account,
    Attempt,
    Distrusted,
    Granted,
    Newcomer,
    Plugin,
    Session,
    TakenOver,
    Vouched,
    with_binding,
    with_login,
    with_mechanism,
    with_tasks,
)
from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.session.login import Login
from rainbow_xmpp.session.tasks import Ask, Done, Fail, TaskStep
from rainbow_xmpp.store.values import FactorRule
from rainbow_xmpp.stream import NO_AGENT, Open, WebSocketFraming
from rainbow_xmpp.testing import Person, TestServer
from rainbow_xmpp.testing.wire import MemoryWire
from rainbow_xmpp.xml import names, scan

SASL2 = names.SASL2
BIND = "<bind xmlns='urn:xmpp:bind:0'/>"


class AnyPassword:
    """Lets the account in that it is of, by the password "right"."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.app_password = ""
        self.outcomes: list[str] = []
        self.names: list[str] = []

    async def check_password(self, names: tuple[str, ...], password: str, source: str) -> Known | Refused:
        return Known(self.account, self.app_password) if password == "right" else WRONG

    def failed(self, name: str, source: str) -> None:
        self.outcomes.append("failed")
        self.names.append(name)

    def may_try(self, name: str, source: str) -> bool:
        return True

    def succeeded(self, name: str, source: str) -> None:
        self.outcomes.append("succeeded")


class Outdated:
    """An account that was changed since it was looked up."""

    generation = 0

    def change(self) -> None:
        self.generation += 1

    def is_frozen(self, account_id: str) -> bool:
        return False

    async def is_current(self, account: Account, family: str = "") -> bool:
        return False


class Link(MemoryWire):
    """One connection, seen from the client's end."""

    is_closing = False
    login: Login
    session: Session | None = None

    def become(self, session: Session) -> None:
        self.session = session

    def proceed(self) -> None: ...

    def restart_stream(self) -> None: ...

    def start_tls(self) -> None: ...

    def allow_time(self, seconds: int) -> None: ...

    def say(self, text: str) -> None:
        self.login.received(scan(text.encode()))

    def by_token(self, message: str, mechanism: str = "TOKEN", inline: str = "") -> None:
        data = (
            f"<initial-response>{b64encode(message.encode()).decode()}</initial-response>" if message else ""
        )
        self.say(
            f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>{data}"
            f"<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><token xmlns='urn:example:t'/>{inline}"
            "</authenticate>"
        )

    def authenticate(self, inline: str = "", password: str = "right") -> None:
        data = b64encode(f"\0ann\0{password}".encode()).decode()
        self.say(
            f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'><initial-response>{data}</initial-response>"
            f"{inline}</authenticate>"
        )

    async def reply(self) -> Element:
        while not self.unread:
            await self.arrival()
        return ET.fromstring(self.unread.pop(0))


Connect = Callable[..., Link]


class Inline(Plugin, name="inline"):
    """Does something of every kind."""

    failing = False
    taken_over: Session | None = None
    waiting: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.attempts: list[Attempt] = []

    @with_login("{urn:example:a}resume", announcement="<a xmlns='urn:example:a'/>")
    async def resume(self, newcomer: Newcomer, request: Element) -> Granted:
        if self.failing:
            raise RuntimeError("broken")
        self.waiting()
        if self.taken_over is not None:
            return Granted(take_over=self.carry_on)
        return Granted(f"<failed xmlns='urn:example:a' of='{newcomer.account.localpart}'/>".encode())

    def carry_on(self) -> TakenOver | bytes:
        if self.taken_over is None:
            return b"<failed xmlns='urn:example:a'/>"
        return TakenOver(self.taken_over, b"<resumed xmlns='urn:example:a'/>", (b"<message id='1'/>",))

    @with_mechanism(
        "TOKEN",
        "TOKEN-NONE",
        request="{urn:example:t}token",
        name_of=lambda message: message.decode().partition(" of ")[2],
    )
    async def judge(self, attempt: Attempt) -> Vouched | Distrusted | None:
        if self.failing:
            raise RuntimeError("broken")
        self.attempts.append(attempt)
        word = attempt.message.partition(b" of ")[0]
        if word not in (b"right", b"old"):
            return None
        account = (await self.services.store.accounts.by_localpart("ann")) if attempt.sender else None
        if word == b"old":
            return account and Distrusted(account)
        complete = attempt.mechanism == "TOKEN"
        return account and Vouched(account, b"last word", is_complete=complete, note="noted")

    @with_login("{urn:example:t}request", announcement="<t xmlns='urn:example:t'/>", always=True)
    async def rotate(self, newcomer: Newcomer, request: Element | None) -> Granted:
        asked = "no" if request is None else "yes"
        note = newcomer.vouched.note if newcomer.vouched is not None else ""
        told = f"by='{newcomer.mechanism}' asked='{asked}' note='{note}' lent='{newcomer.is_lent}'"
        return Granted(f"<t xmlns='urn:example:t' {told}/>".encode())

    @with_binding("{urn:example:b}enable", "{urn:example:b}other", feature="urn:example:b")
    async def prepare(self, newcomer: Newcomer, requests: Sequence[Element]) -> object:
        if self.failing:
            raise RuntimeError("broken")
        what = ",".join(element.tag for element in requests)
        return lambda session: f"<b xmlns='urn:example:b' at='{session.resource}'>{what}</b>".encode()


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer([Inline]) as server:
        yield server


@pytest.fixture
async def ann(server: TestServer) -> Person:
    return await server.person("ann@acme")


@pytest.fixture
def connect(server: TestServer, ann: Person) -> Connect:
    def connect(header_from: str = ann.bare, **changes: object) -> Link:
        entrance = replace(server.node.entrance(), **({"authenticator": AnyPassword(ann.account)} | changes))
        link = Link(lambda: None)
        link.login = Login(entrance, link, WebSocketFraming(), "", {})  # type: ignore[arg-type]
        link.login.opened(
            Open("open", names.FRAMING, {"to": server.domain, "version": "1.0", "from": header_from})
        )
        return link

    return connect


async def opened(connect: Connect, **changes: object) -> Link:
    """A link whose header and features have been read."""
    link = connect(**changes)
    await link.reply()
    await link.reply()
    return link


def jid_of(success: Element) -> str:
    return success.findtext(f"{{{SASL2}}}authorization-identifier", "")


# Inline features


async def test_what_plugins_do_with_logins_is_announced(connect: Connect) -> None:
    link = connect()
    await link.reply()
    inline = (await link.reply()).find(f"{{{SASL2}}}authentication/{{{SASL2}}}inline")
    assert inline is not None
    assert inline.find("{urn:example:a}a") is not None
    features = inline.iterfind("{urn:xmpp:bind:0}bind/{urn:xmpp:bind:0}inline/{urn:xmpp:bind:0}feature")
    assert {feature.get("var") for feature in features} == {"urn:xmpp:sm:3", "urn:example:b"}


async def test_what_was_asked_for_is_done_and_answered_in_its_place(connect: Connect) -> None:
    link = await opened(connect)
    link.authenticate(
        "<resume xmlns='urn:example:a'/>"
        "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:example:b'/><unknown xmlns='urn:x'/></bind>"
    )
    success = await link.reply()
    failed = success.find("{urn:example:a}failed")
    answer = success.find("{urn:xmpp:bind:0}bound/{urn:example:b}b")
    assert failed is not None
    assert failed.get("of") == "ann"
    assert answer is not None
    assert (answer.text, f"ann@rainbow.test/{answer.get('at')}") == ("{urn:example:b}enable", jid_of(success))
    assert (await link.reply()).tag.endswith("features")
    assert link.session is not None


async def test_what_was_not_asked_for_hears_of_the_binding_too(connect: Connect) -> None:
    link = await opened(connect)
    link.authenticate(BIND)
    success = await link.reply()
    answer = success.find("{urn:xmpp:bind:0}bound/{urn:example:b}b")
    assert answer is not None
    assert not answer.text
    assert success.find("{urn:example:a}failed") is None


async def test_nothing_is_done_for_whoever_has_the_wrong_password(connect: Connect) -> None:
    link = await opened(connect)
    link.authenticate("<resume xmlns='urn:example:a'/>" + BIND, password="wrong")
    assert (await link.reply()).tag == f"{{{SASL2}}}failure"
    assert link.session is None


async def test_a_session_that_is_taken_over_is_not_bound_again(server: TestServer, connect: Connect) -> None:
    client = await server.login("ann@acme", resource="old")
    server.plugin(Inline).taken_over = client.session
    link = await opened(connect)
    link.authenticate("<resume xmlns='urn:example:a'/>" + BIND)
    success = await link.reply()
    assert jid_of(success) == client.jid
    assert [part.tag for part in success][1:] == ["{urn:example:t}t", "{urn:example:a}resumed"]
    assert (await link.reply()).get("id") == "1"  # and no features (XEP-0198 §9.2)
    assert link.session is client.session
    assert client.session.wire is link
    assert len(server.node.sessions) == 1
    assert client.wire.violation is not None
    assert client.wire.violation.condition == "conflict"
    await server.settle()
    assert list(server.node.sessions) == [client.session]  # whatever becomes of the old connection


async def test_a_session_of_somebody_else_is_not_taken_over(server: TestServer, connect: Connect) -> None:
    client = await server.login("bob@acme")
    server.plugin(Inline).taken_over = client.session
    link = await opened(connect)
    link.authenticate("<resume xmlns='urn:example:a'/>" + BIND)
    await server.settle()
    assert (link.session, client.session.wire) == (None, client.wire)
    assert link.violation is not None


async def test_a_session_that_was_taken_over_belongs_to_the_login_that_did(
    server: TestServer, connect: Connect
) -> None:
    client = await server.login("ann@acme")
    client.session.family = "the login of an earlier token"
    server.plugin(Inline).taken_over = client.session
    link = await opened(connect)
    link.authenticate("<resume xmlns='urn:example:a'/>" + BIND)
    await link.reply()
    assert link.session is client.session
    assert link.session.family == ""


async def test_nobody_takes_over_a_session_when_the_account_was_changed_meanwhile(
    server: TestServer, ann: Person, connect: Connect
) -> None:
    client = await server.login("ann@acme")
    changes, plugin = Outdated(), server.plugin(Inline)
    plugin.taken_over = client.session
    plugin.waiting = changes.change
    link = await opened(connect, changes=changes)
    link.authenticate("<resume xmlns='urn:example:a'/>" + BIND)
    assert (await link.reply())[0].tag.endswith("}temporary-auth-failure")
    assert (link.session, client.session.wire) == (None, client.wire)


async def test_a_feature_that_fails_keeps_nobody_out(server: TestServer, connect: Connect) -> None:
    server.plugin(Inline).failing = True
    link = await opened(connect)
    link.authenticate("<resume xmlns='urn:example:a'/>" + BIND)
    success = await link.reply()
    assert success.find("{urn:xmpp:bind:0}bound") is not None
    assert jid_of(success).startswith("ann@rainbow.test/")


async def test_a_plugin_that_stopped_announces_nothing(server: TestServer) -> None:
    assert b"urn:example" in server.node.plugins.registries.inline.announcement()
    await server.node.plugins.stop()
    assert b"urn:example" not in server.node.plugins.registries.inline.announcement()


async def test_a_login_counts_once_it_is_complete(server: TestServer, ann: Person, connect: Connect) -> None:
    password, told = AnyPassword(ann.account), []
    link = await opened(
        connect,
        authenticator=password,
        tasks=Demanding(),
        succeeded=lambda account, mechanism, _through: told.append((account.id, mechanism)),
    )
    link.authenticate(password="wrong")
    await link.reply()
    link.authenticate()
    await link.reply()
    assert (password.outcomes, told) == (["failed"], [])
    for task in ("PIN-A", "PIN-C"):
        link.say(choosing(task, said("1")))
        await link.reply()
    assert (password.outcomes, told) == (["failed", "succeeded"], [(ann.account.id, "PLAIN")])
    assert server.node.counters.logins_ok == 1


# Mechanisms of plugins (such as XEP-0484's)


async def test_a_plugin_lets_somebody_in_by_its_own_mechanism(server: TestServer, connect: Connect) -> None:
    link = await opened(connect)
    link.by_token("right", inline=BIND)
    success = await link.reply()
    assert jid_of(success).startswith("ann@rainbow.test/")
    assert success.findtext(f"{{{SASL2}}}additional-data") == b64encode(b"last word").decode()
    assert link.session is not None
    (attempt,) = server.plugin(Inline).attempts
    assert (attempt.mechanism, attempt.sender) == ("TOKEN", "ann@rainbow.test")
    assert attempt.agent.id.startswith("d4565fa7")


@pytest.mark.parametrize(("message", "condition"), [("wrong", "not-authorized"), ("", "malformed-request")])
async def test_what_the_plugin_does_not_vouch_for_is_refused(
    connect: Connect, message: str, condition: str
) -> None:
    link = await opened(connect)
    link.by_token(message)
    assert (await link.reply())[0].tag.endswith("}" + condition)
    link.authenticate()
    assert (await link.reply()).tag == f"{{{SASL2}}}success"


async def test_failures_count_for_whom_the_message_is_of(ann: Person, connect: Connect) -> None:
    password = AnyPassword(ann.account)
    link = await opened(connect, authenticator=password)
    link.by_token("wrong of Bob")
    await link.reply()
    link.by_token("wrong")
    await link.reply()
    assert password.names == ["bob", "ann"]


async def test_whoever_is_distrusted_is_told_so_and_it_is_no_guess(ann: Person, connect: Connect) -> None:
    password = AnyPassword(ann.account)
    link = await opened(connect, authenticator=password)
    link.by_token("old")
    assert (await link.reply())[0].tag.endswith("}credentials-expired")
    assert password.names == []
    assert link.session is None


async def test_the_header_must_name_whom_the_plugin_vouches_for(connect: Connect) -> None:
    link = await opened(connect, header_from="bob@rainbow.test")
    link.by_token("right of ann")
    assert (await link.reply())[0].tag.endswith("}invalid-authzid")


async def test_a_judge_that_fails_lets_nobody_in(server: TestServer, connect: Connect) -> None:
    server.plugin(Inline).failing = True
    link = await opened(connect)
    link.by_token("right")
    assert (await link.reply())[0].tag.endswith("}temporary-auth-failure")


async def test_such_a_mechanism_counts_only_beside_its_element(connect: Connect) -> None:
    link = await opened(connect)
    link.say(
        f"<authenticate xmlns='{SASL2}' mechanism='TOKEN'><initial-response>cmlnaHQ=</initial-response>"
        "</authenticate>"
    )
    assert (await link.reply())[0].tag.endswith("}invalid-mechanism")
    link.by_token("right", "SCRAM-SHA-256")  # is judged by the server, whatever stands beside it
    assert (await link.reply())[0].tag.endswith("}malformed-request")


@pytest.mark.parametrize(("mechanism", "reply"), [("TOKEN", "success"), ("TOKEN-NONE", "continue")])
async def test_whoever_vouches_says_whether_tasks_remain(
    connect: Connect, mechanism: str, reply: str
) -> None:
    link = await opened(connect, tasks=Demanding())
    link.by_token("right", mechanism)
    assert (await link.reply()).tag == f"{{{SASL2}}}{reply}"


async def test_nobody_vouches_for_whoever_must_make_a_second_factor_first(
    server: TestServer, ann: Person, connect: Connect
) -> None:
    settings = replace(ann.account.company.settings, second_factor=FactorRule.REQUIRED)
    await server.node.companies.change(ann.account.company, CompanyChange(settings=settings), actor="test")
    link = await opened(connect)
    link.by_token("right", inline=BIND)
    assert (await link.reply())[0].tag.endswith("}mechanism-too-weak")
    assert link.session is None


@pytest.mark.parametrize(("inline", "asked"), [("", "no"), ("<request xmlns='urn:example:t'/>", "yes")])
async def test_what_is_always_asked_answers_at_every_login(connect: Connect, inline: str, asked: str) -> None:
    link = await opened(connect)
    link.authenticate(inline)
    told = (await link.reply()).find("{urn:example:t}t")
    assert told is not None
    assert (told.get("by"), told.get("asked"), told.get("note")) == ("PLAIN", asked, "")


async def test_what_a_judge_noted_is_told_with_the_newcomer(connect: Connect) -> None:
    link = await opened(connect)
    link.by_token("right")
    told = (await link.reply()).find("{urn:example:t}t")
    assert told is not None
    assert (told.get("by"), told.get("note"), told.get("lent")) == ("TOKEN", "noted", "False")


# Tasks (XEP-0388 §2.6.3)


class Pin:
    """Asks for a number; 0 is asked for again, 1 is right."""

    text = "Type 1."

    def __init__(self, name: str) -> None:
        self.name = name

    async def step(self, payload: Sequence[Element]) -> TaskStep:
        said = payload[0].text if payload else ""
        if said == "1":
            return Done(b"<done xmlns='urn:example:pin'/>")
        return Fail() if said else Ask(b"<ask xmlns='urn:example:pin'/>")


class Demanding:
    """Wants one of two things, and then a third."""

    async def remaining(self, newcomer: Newcomer, done: Sequence[str]) -> Sequence[Pin]:
        if not done:
            return (Pin("PIN-A"), Pin("PIN-B"))
        return (Pin("PIN-C"),) if "PIN-C" not in done else ()


def said(number: str) -> str:
    return f"<pin xmlns='urn:example:pin'>{number}</pin>"


def going_on(number: str) -> str:
    return f"<task-data xmlns='{SASL2}'>{said(number)}</task-data>"


def choosing(task: str, inner: str = "") -> str:
    return f"<next xmlns='{SASL2}' task='{task}'>{inner}</next>"


async def asked(connect: Connect) -> Link:
    """A link that has been told what there is to do."""
    link = await opened(connect, tasks=Demanding())
    link.authenticate(BIND)
    reply = await link.reply()
    assert reply.tag == f"{{{SASL2}}}continue"
    assert [task.text for task in reply.iter(f"{{{SASL2}}}task")] == ["PIN-A", "PIN-B"]
    assert reply.findtext(f"{{{SASL2}}}text") == "Type 1."
    return link


async def test_whoever_does_every_task_is_let_in(connect: Connect) -> None:
    link = await asked(connect)
    link.say(choosing("PIN-B"))
    assert (await link.reply())[0].tag == "{urn:example:pin}ask"
    assert link.session is None
    link.say(going_on("1"))
    assert [task.text for task in (await link.reply()).iter(f"{{{SASL2}}}task")] == ["PIN-C"]
    link.say(choosing("PIN-C", said("1")))
    success = await link.reply()
    assert success.find("{urn:example:pin}done") is not None
    assert jid_of(success).startswith("ann@rainbow.test/")
    assert link.session is not None


async def test_a_task_that_fails_ends_the_login_for_good(connect: Connect) -> None:
    link = await asked(connect)
    link.say(choosing("PIN-A", said("7")))
    failure = await link.reply()
    assert failure[0].tag.endswith(f"}}{FailureCondition.NOT_AUTHORIZED}")
    with pytest.raises(PeerViolation, match="GIVEN_UP"):
        link.authenticate()
    assert link.session is None


async def test_a_login_can_be_aborted_between_tasks(connect: Connect) -> None:
    link = await asked(connect)
    link.say(f"<abort xmlns='{SASL2}'/>")
    assert (await link.reply())[0].tag.endswith("}aborted")


@pytest.mark.parametrize(
    "element",
    [
        choosing("PIN-C"),
        choosing(""),
        going_on("1"),
        f"<response xmlns='{SASL2}'>YQ==</response>",
        f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'/>",
        "<presence xmlns='jabber:client'/>",
    ],
)
async def test_nothing_else_may_be_said_while_there_is_something_to_do(
    connect: Connect, element: str
) -> None:
    link = await asked(connect)
    with pytest.raises(PeerViolation, match=r"TASKS|out of turn"):
        link.say(element)


class Asking(Plugin, name="asking"):
    """Makes people do what `Demanding` does."""

    is_broken = False

    @with_tasks()
    async def remaining(self, newcomer: Newcomer, done: Sequence[str]) -> Sequence[Pin]:
        if self.is_broken:
            raise RuntimeError("broken")
        return await Demanding().remaining(newcomer, done)


async def test_a_plugin_makes_people_do_something(server: TestServer, connect: Connect) -> None:
    async with TestServer([Asking]) as other:
        account = (await other.person("ann@acme")).account
        asking = replace(other.node.entrance(), authenticator=AnyPassword(account))  # type: ignore[arg-type]
        link = await opened(connect, tasks=asking.tasks)
        link.authenticate()
        assert (await link.reply()).tag == f"{{{SASL2}}}continue"

        other.plugin(Asking).is_broken = True
        link = await opened(connect, tasks=asking.tasks)
        link.authenticate()
        while link.is_open:
            await link.arrival()
        assert link.session is None

        await other.node.plugins.stop()
        assert await asking.tasks.remaining(Newcomer(account, "PLAIN", NO_AGENT), ()) == ()
