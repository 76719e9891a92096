"""Handlers, jobs and paths that take too long or fail on their own: nobody waits for ever."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from rainbow_xmpp.errors import Condition
from rainbow_xmpp.plugin import (
    BecameAvailable,
    Context,
    Passage,
    Payload,
    Plugin,
    PluginOptions,
    Stage,
    every,
    hook,
    on,
    on_iq,
    on_message,
    option,
    route,
)
from rainbow_xmpp.store.errors import DatabaseUnreachable
from rainbow_xmpp.testing import Client, TestServer, condition_of

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


# -- deadlines -----------------------------------------------------------------------------------------------------


async def test_what_must_be_recorded_and_takes_too_long_is_refused_for_now(caplog):
    class Slow(Plugin, name="slow"):
        @hook(Stage.RECORD, deadline_s=SOON_S)
        async def keep(self, p: Passage) -> None:
            await never()

    assert await said(Slow) == (Condition.RESOURCE_CONSTRAINT, False)
    assert "Slow.keep took longer than 0.005 s" in caplog.text
    assert [record.plugin for record in caplog.records] == ["slow"]


async def test_a_deadline_counts_for_what_a_plain_method_returns_too():
    class Slow(Plugin, name="slow"):
        @hook(Stage.PLACE, deadline_s=SOON_S)
        def keep(self, p: Passage) -> Awaitable[bool]:
            return self._keep()

        async def _keep(self) -> bool:
            await never()
            return True

    assert await said(Slow, to="cid") == (Condition.RESOURCE_CONSTRAINT, False)


async def test_what_need_not_be_recorded_holds_a_message_up_to_its_deadline_only():
    class Slow(Plugin, name="slow"):
        @hook(Stage.RECORD, needed=False, deadline_s=SOON_S)
        async def keep(self, p: Passage) -> None:
            await never()

    assert await said(Slow) == (None, True)


async def in_vain(
    ann: Client, server: TestServer, do: Callable[[Client, TestServer], None]
) -> Condition | None:
    do(ann, server)
    return condition_of(await ann.receive())


async def test_requests_and_messages_that_take_too_long_are_answered():
    class Slow(Plugin, name="slow"):
        @on_iq("get", Hello, to=("server", "account"), deadline_s=SOON_S)
        async def answer(self, ctx: Context, hello: Hello) -> None:
            await never()

        @on_message(Hello, deadline_s=SOON_S)
        async def see(self, ctx: Context, hello: Hello) -> None:
            await never()

        @on_message(to="server", deadline_s=SOON_S)
        async def take(self, ctx: Context) -> None:
            await never()

    async with TestServer([Slow]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        for to in (server.domain, "", bob.bare):
            assert condition_of(await ann.ask("get", Hello(), to=to)) is Condition.RESOURCE_CONSTRAINT
        for to in (server.domain, bob.bare):
            ann.say("hello", Hello(), to=to)
            assert condition_of(await ann.receive()) is Condition.RESOURCE_CONSTRAINT


async def test_a_listener_that_takes_too_long_lets_the_session_go_on(caplog):
    class Slow(Plugin, name="slow"):
        @on(BecameAvailable, deadline_s=SOON_S)
        async def hear(self, event: BecameAvailable) -> None:
            await never()

    async with TestServer([Slow]) as server:
        await server.login("ann@acme")
    assert "Slow.hear took longer than 0.005 s" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_time_out_of_the_handlers_own_is_none_of_its_deadline(caplog):
    class Impatient(Plugin, name="impatient"):
        @on_iq("get", Hello, to="server")
        async def answer(self, ctx: Context, hello: Hello) -> None:
            async with asyncio.timeout(0):
                await never()

    async with TestServer([Impatient]) as server:
        ann = await server.login("ann@acme")
        answer = await ann.ask("get", Hello(), to=server.domain)
        assert condition_of(answer) is Condition.RESOURCE_CONSTRAINT
    assert "took longer" not in caplog.text


# -- jobs and paths ------------------------------------------------------------------------------------------------


async def test_a_job_runs_again_after_a_run_that_failed_or_took_too_long(caplog):
    runs: list[int] = []
    third = asyncio.Event()

    class Busy(Plugin, name="busy"):
        class Options(PluginOptions):
            pause_s: float = option(0.001, "Between two runs.", reload="live")

        @every(option="pause_s", deadline_s=SOON_S)
        async def work(self) -> None:
            runs.append(len(runs))
            if len(runs) == 1:
                raise ValueError("broken")
            if len(runs) == 2:
                await never()
            third.set()

    async with TestServer([Busy]), asyncio.timeout(10):
        await third.wait()
    assert "the job work failed" in caplog.text
    assert "Busy.work took longer than 0.005 s" in caplog.text


async def test_a_job_that_the_database_fails_leaves_no_traceback(caplog):
    runs: list[int] = []
    second = asyncio.Event()

    class Busy(Plugin, name="busy"):
        class Options(PluginOptions):
            pause_s: float = option(0.001, "Between two runs.", reload="live")

        @every(option="pause_s")
        async def work(self) -> None:
            runs.append(len(runs))
            if len(runs) == 1:
                raise DatabaseUnreachable("the words of the database")
            second.set()

    async with TestServer([Busy]), asyncio.timeout(10):
        await second.wait()
    (record,) = [record for record in caplog.records if "the job work" in record.getMessage()]
    assert "the database does not answer (DatabaseUnreachable)" in record.getMessage()
    assert record.exc_info is None


async def test_a_job_ends_with_its_plugin():
    began, ended = asyncio.Event(), asyncio.Event()

    class Busy(Plugin, name="busy"):
        @every(seconds=0.001)
        async def work(self) -> None:
            began.set()
            try:
                await never()
            finally:
                ended.set()

    async with TestServer([Busy]), asyncio.timeout(10):
        await began.wait()
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_path_that_fails_or_takes_too_long_is_answered_in_plain_words(caplog):
    class Odd(Plugin, name="odd"):
        @route("GET", "/late", deadline_s=SOON_S)
        async def late(self, request: web.Request) -> web.Response:
            await never()
            raise AssertionError

        @route("GET", "/broken")
        async def broken(self, request: web.Request) -> web.Response:
            raise ValueError("broken")

        @route("GET", "/gone")
        async def gone(self, request: web.Request) -> web.Response:
            raise web.HTTPGone

    async with TestServer([Odd]) as server:
        assert [(await server.http("GET", f"/{path}")).status for path in ("late", "broken", "gone")] == [
            503,
            500,
            410,
        ]
        assert "broken" not in (await server.http("GET", "/broken")).text
