"""The server of tests is a server, and what is beside it works as it does there."""

import asyncio

import pytest
from aiohttp import web

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.plugin import Payload, Plugin, PluginOptions, every, option, route
from rainbow_xmpp.testing import TestServer, condition_of


class Hello(Payload, ns="urn:example:hello", tag="hello"):
    """`<hello/>`."""


class Clerk(Plugin, name="clerk", audit={"clerk.worked": "The clerk did its work."}):
    """Does a little of everything."""

    class Options(PluginOptions):
        greeting: str = option("hello", "What is said.", reload="live")
        floor: int = option(1, "Where it sits.")

    options: Options

    @every(hours=1)
    async def work(self) -> None:
        await self.services.audit("clerk.worked", company_id="", actor="system", at=self.options.floor)

    @every(hours=1)
    async def rest(self) -> None:
        raise ValueError("never")

    @route("GET", "/greeting/{name}")
    async def greet(self, request: web.Request) -> web.Response:
        return web.json_response({"says": f"{self.options.greeting} {request.match_info['name']}"})

    @route("POST", "/echo")
    async def echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"X-Agent": request.headers["X-Agent"]})


async def test_a_message_goes_from_one_person_to_the_other():
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.say("h<llo", Hello(), to=bob.bare)
        message = await bob.receive()
        assert message.get("from") == ann.jid
        assert message.findtext("{jabber:client}body") == "h<llo"
        assert message.find(Hello.TAG) is not None
        assert await ann.rest() == []


async def test_without_plugins_nobody_keeps_a_message():
    async with TestServer() as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        ann.say("hello", to=bob.bare)
        assert condition_of(await ann.receive()) is Condition.SERVICE_UNAVAILABLE


async def test_a_client_answers_what_the_server_asks():
    async with TestServer([Clerk]) as server:
        ann = await server.login("ann@acme")
        services = server.plugin(Clerk).services
        asking = asyncio.create_task(services.ask(ann.session, Hello()))
        question = await ann.answer("<well xmlns='urn:example:hello'/>")
        assert question[0].tag == Hello.TAG
        answer = await asking
        assert answer is not None
        assert answer.tag == "{urn:example:hello}well"
        asking = asyncio.create_task(services.ask(ann.session, Hello(), type="set"))
        assert (await ann.refuse(Condition.NOT_ALLOWED)).get("type") == "set"
        with pytest.raises(StanzaError) as refused:
            await asking
        assert refused.value.condition is Condition.NOT_ALLOWED


async def test_a_path_is_asked_without_a_socket():
    async with TestServer([Clerk]) as server:
        answer = await server.http("GET", "/greeting/ann")
        assert (answer.status, answer.json()) == (200, {"says": "hello ann"})
        assert answer.headers["strict-transport-security"]
        answer = await server.http("POST", "/echo", headers={"X-Agent": "7"}, body=b"\x00" * 5000)
        assert (answer.body, answer.headers["x-agent"]) == (b"\x00" * 5000, "7")
        assert (await server.http("GET", "/nowhere")).status == 404
        assert (await server.http("HEAD", "/healthz")).body == b""


async def test_a_job_runs_when_the_test_says_and_what_it_recorded_is_read():
    async with TestServer([Clerk]) as server:
        assert await server.audit() == []
        await server.run_job(Clerk.work)
        (record,) = await server.audit("clerk.worked")
        assert (record.entry.actor, record.facts) == ("system", {"at": 1})
        with pytest.raises(ValueError, match="never"):
            await server.run_job(Clerk.rest)
        with pytest.raises(LocalMisuse, match="greet is no job"):
            await server.run_job(Clerk.greet)


async def test_options_change_as_a_reload_changes_them():
    async with TestServer([Clerk]) as server:
        waiting = server.reconfigure({Clerk: Clerk.Options(greeting="good day", floor=2)})
        assert waiting == ["plugins.clerk.floor"]
        assert (await server.http("GET", "/greeting/ann")).json() == {"says": "good day ann"}
        assert server.plugin(Clerk).options == Clerk.Options(greeting="good day", floor=1)
