"""Handlers that fail: what that means for everybody else, by stage and kind."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from rainbow_xmpp.errors import Condition, StanzaError, StreamCondition
from rainbow_xmpp.plugin import (
    BecameAvailable,
    BecameUnavailable,
    Changed,
    Context,
    DiscoInfo,
    Event,
    InitialPresence,
    Passage,
    Payload,
    Plugin,
    SessionStarted,
    Stage,
    ToldByNode,
    disco_info,
    hook,
    on,
    on_message,
    on_presence,
)
from rainbow_xmpp.plugins.disco import Disco
from rainbow_xmpp.session.watch import MOST_TELLINGS
from rainbow_xmpp.testing import TestServer, condition_of

SOON_S = 0.005
"""A deadline that no test waits long for."""


class Hello(Payload, ns="urn:example:hello", tag="hello"):
    """`<hello/>`."""


async def never() -> None:
    await asyncio.Event().wait()


async def said(plugin: type[Plugin], *, to: str = "bob") -> tuple[Condition | None, bool]:
    """What Ann hears of a message to Bob, who is online, or to Cid, who is not; and whether Bob got it."""
    async with TestServer([plugin]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await server.person("cid@acme")
        ann.say("hello", to=f"{to}@{server.domain}")
        got = [stanza for stanza in await bob.rest() if stanza.tag.endswith("message")]
        errors = [condition_of(stanza) for stanza in await ann.rest()]
        assert len(errors) <= 1
        return (errors[0] if errors else None), bool(got)


# -- failure, by stage (DESIGN §3) ---------------------------------------------------------------------------------


def failing(stage: Stage, error: Callable[[], Exception], **how: Any) -> type[Plugin]:
    class Failing(Plugin, name="failing"):
        if stage is Stage.OBSERVE:

            @hook(stage, **how)
            def handle(self, p: Passage, outcome: object) -> None:
                raise error()

        else:

            @hook(stage, **how)
            def handle(self, p: Passage) -> None:
                raise error()

    return Failing


def failing_later(stage: Stage, error: Callable[[], Exception], **how: Any) -> type[Plugin]:
    class Failing(Plugin, name="failing"):
        @hook(stage, **how)
        async def handle(self, p: Passage) -> None:
            await asyncio.sleep(0)
            raise error()

    return Failing


def refused() -> Exception:
    return StanzaError(Condition.NOT_ACCEPTABLE, "no")


def broken() -> Exception:
    return ValueError("broken")


@pytest.mark.parametrize(
    ("plugin", "to", "heard", "arrived"),
    [
        (failing(Stage.ADMIT, refused), "bob", Condition.NOT_ACCEPTABLE, False),
        (failing(Stage.ADMIT, broken), "bob", Condition.INTERNAL_SERVER_ERROR, False),
        (failing(Stage.GATE, refused), "bob", Condition.SERVICE_UNAVAILABLE, False),
        (failing(Stage.GATE, broken), "bob", Condition.SERVICE_UNAVAILABLE, False),
        (failing(Stage.REWRITE, refused), "bob", None, True),
        (failing(Stage.REWRITE, broken), "bob", None, True),
        (failing(Stage.RECORD, refused), "bob", Condition.NOT_ACCEPTABLE, False),
        (failing(Stage.RECORD, broken), "bob", Condition.INTERNAL_SERVER_ERROR, False),
        (failing_later(Stage.RECORD, broken), "bob", Condition.INTERNAL_SERVER_ERROR, False),
        (failing(Stage.RECORD, broken, needed=False), "bob", None, True),
        (failing_later(Stage.RECORD, broken, needed=False), "bob", None, True),
        (failing(Stage.PLACE, broken), "cid", Condition.INTERNAL_SERVER_ERROR, False),
        (failing_later(Stage.PLACE, refused), "cid", Condition.NOT_ACCEPTABLE, False),
        (failing(Stage.OBSERVE, broken), "bob", None, True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_what_a_failure_means_belongs_to_the_stage(plugin, to, heard, arrived):
    assert await said(plugin, to=to) == (heard, arrived)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handler_of_messages_that_fails_stops_the_message(is_async):
    class Failing(Plugin, name="failing"):
        @on_message(Hello)
        def see(self, ctx: Context, hello: Hello) -> Awaitable[None]:
            if is_async:
                return self.fail()
            raise refused()

        async def fail(self) -> None:
            raise broken()

    async with TestServer([Failing]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.say("hello", Hello(), to=bob.bare)
        expected = Condition.INTERNAL_SERVER_ERROR if is_async else Condition.NOT_ACCEPTABLE
        assert condition_of(await ann.receive()) is expected
        ann.say("without", to=bob.bare)
        assert (await bob.receive()).findtext("{jabber:client}body") == "without"
        assert await bob.rest() == []


async def test_a_handler_of_presence_may_refuse_it_and_a_broken_one_is_ours():
    class Failing(Plugin, name="failing"):
        @on_presence(type="subscribe")
        def see(self, ctx: Context) -> None:
            raise refused()

        @on_presence(Hello)
        def read(self, ctx: Context, hello: Hello) -> None:
            raise broken()

    async with TestServer([Failing]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.send(f"<presence type='subscribe' to='{bob.bare}'/>")
        assert condition_of(await ann.receive()) is Condition.NOT_ACCEPTABLE
        ann.send("<presence><hello xmlns='urn:example:hello'/></presence>")
        assert condition_of(await ann.receive()) is Condition.INTERNAL_SERVER_ERROR
        assert await bob.rest() == []


async def test_one_listener_that_fails_keeps_no_other_from_hearing(caplog):
    heard: list[str] = []

    class Broken(Plugin, name="broken"):
        @on(BecameAvailable)
        def now(self, event: BecameAvailable) -> None:
            raise broken()

        @on(BecameAvailable)
        async def later(self, event: BecameAvailable) -> None:
            raise broken()

    class Well(Plugin, name="well"):
        @on(BecameAvailable)
        async def hear(self, event: BecameAvailable) -> None:
            heard.append(event.session.account.localpart)

    async with TestServer([Broken, Well]) as server:
        await server.login("ann@acme")
        assert heard == ["ann"]
    assert caplog.text.count("a plugin failed on BecameAvailable") == 2


def starting_up() -> Exception:
    return asyncpg.CannotConnectNowError("the database system is starting up")


@pytest.mark.parametrize("event", [SessionStarted, InitialPresence, BecameAvailable])
async def test_a_session_of_which_plugins_could_not_hear_in_an_outage_ends_to_be_begun_anew(event, caplog):
    heard: list[Event] = []

    class Away(Plugin, name="away"):
        @on(event)
        async def fetch(self, event: Event) -> None:
            raise starting_up()

    class Well(Plugin, name="well"):
        @on(event)
        async def hear(self, event: Event) -> None:
            heard.append(event)

    async with TestServer([Away, Well]) as server:
        ann = await server.login("ann@acme")
        await server.settle()
        assert ann.wire.violation.condition is StreamCondition.RESOURCE_CONSTRAINT
        assert len(heard) == 1
    assert f"no {event.__name__} for a plugin: the database does not answer" in caplog.text
    assert "Traceback" not in caplog.text


async def test_what_plugins_need_not_hear_of_ends_nothing_in_an_outage(caplog):
    class Away(Plugin, name="away"):
        @on(BecameUnavailable)
        async def remember(self, event: BecameUnavailable) -> None:
            raise starting_up()

    async with TestServer([Away]) as server:
        ann = await server.login("ann@acme")
        ann.send("<presence type='unavailable'/>")
        await server.settle()
        assert ann.wire.is_open
    assert "no BecameUnavailable for a plugin: the database does not answer" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(("failures", "told"), [(0, 1), (2, 3), (99, MOST_TELLINGS)])
async def test_a_change_is_told_again_after_an_outage_but_keeps_no_other_waiting_for_ever(
    failures, told, caplog
):
    heard: list[str | None] = []
    failing: list[str | None] = []

    class Away(Plugin, name="away"):
        @on(Changed)
        async def apply(self, event: Changed) -> None:
            who = event.change.account_id
            heard.append(who)
            if who in failing and heard.count(who) <= failures:
                raise starting_up()

    async with TestServer([Away]) as server:
        ann, bob = [(await server.person(name)).account for name in ("ann@acme", "bob@acme")]
        heard.clear()
        failing.append(ann.id)
        for one in (ann, bob):
            await server.node.people.disable(one, actor="test")
        for _ in range(MOST_TELLINGS):
            await server.node.watch.catch_up()
    assert heard.count(ann.id) == told
    assert heard.count(bob.id) == 1
    assert "Traceback" not in caplog.text


@pytest.mark.filterwarnings("always")
async def test_listeners_behind_one_that_is_cancelled_are_not_begun(recwarn):
    begun: list[str] = []

    class Slow(Plugin, name="slow"):
        @on(ToldByNode)
        async def wait(self, event: ToldByNode) -> None:
            begun.append("slow")
            await never()

    class Behind(Plugin, name="behind"):
        @on(ToldByNode)
        async def hear(self, event: ToldByNode) -> None:
            begun.append("behind")

    async with TestServer([Slow, Behind]) as server:
        telling = server.node.events.tell(ToldByNode("topic", ""))
        task = asyncio.ensure_future(telling)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del telling, task
        gc.collect()
    assert begun == ["slow"]
    assert not [str(one.message) for one in recwarn if "never awaited" in str(one.message)]


async def test_one_plugin_that_cannot_say_what_it_can_leaves_the_others_words_standing(caplog):
    class Broken(Plugin, name="broken"):
        @disco_info()
        def info(self, ctx: Context, node: str) -> DiscoInfo:
            raise broken()

        @disco_info(deadline_s=SOON_S)
        async def late(self, ctx: Context, node: str) -> None:
            await never()

    class Well(Plugin, name="well"):
        @disco_info()
        async def info(self, ctx: Context, node: str) -> DiscoInfo:
            return DiscoInfo.of(features=["urn:example:well"])

    async with TestServer([Disco, Broken, Well]) as server:
        ann = await server.login("ann@acme")
        answer = await ann.ask("get", DiscoInfo(), to=server.domain)
        assert "urn:example:well" in DiscoInfo.from_xml(answer[0]).names
    assert "Broken.late took longer than 0.005 s" in caplog.text
