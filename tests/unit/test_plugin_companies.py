"""Whom a plugin serves, in every kind of handler, and that nothing of it stays behind."""

import logging
from typing import Any

import pytest

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin import (
    BecameAvailable,
    Context,
    DiscoInfo,
    Passage,
    Payload,
    Plugin,
    PluginOptions,
    SessionEnded,
    Stage,
    attr,
    command,
    disco_info,
    every,
    hook,
    on,
    on_iq,
    on_message,
    on_presence,
    option,
    route,
)
from rainbow_xmpp.plugin.marks import DiscoMark
from rainbow_xmpp.router.passage import Outcome
from rainbow_xmpp.testing import TestServer, condition_of

NS = "urn:example:nudge:1"


class Nudge(Payload, ns=NS, tag="nudge"):
    level: int = attr(default=1, ge=1, le=5)


NUDGE = f"<nudge xmlns='{NS}'/>"


class Everything(
    Plugin, name="everything", features=("f",), account_features=("a",), audit={"some.thing": "It."}
):
    """Every kind of handler there is; keeps what it saw."""

    class Options(PluginOptions):
        pause_s: float = option(3600.0, "Between two runs.", reload="live")

    options: Options

    def __init__(self, services: Any, options: Any) -> None:
        super().__init__(services, options)
        self.seen: list[tuple[str, str]] = []

    def _saw(self, what: str, whom: str) -> None:
        self.seen.append((what, whom))

    @hook(Stage.ADMIT)
    def admit(self, p: Passage) -> None:
        self._saw("admit", p.sender.localpart)

    @hook(Stage.GATE)
    def gate(self, p: Passage) -> None:
        self._saw("gate", p.sender.localpart)

    @hook(Stage.REWRITE)
    def rewrite(self, p: Passage) -> Passage:
        self._saw("rewrite", p.sender.localpart)
        return p

    @hook(Stage.RECORD)
    async def record(self, p: Passage) -> None:
        self._saw("record", p.sender.localpart)

    @hook(Stage.PLACE)
    def place(self, p: Passage) -> bool:
        assert p.recipient is not None
        self._saw("place", p.recipient.localpart)
        return True

    @hook(Stage.OBSERVE)
    def observe(self, p: Passage, outcome: Outcome) -> None:
        self._saw("observe", p.sender.localpart)

    @on_iq("get", Nudge, to=("server", "account"))
    def nudge(self, ctx: Context, nudge: Nudge) -> Nudge:
        self._saw("iq", ctx.sender.localpart)
        return Nudge(nudge.level + 1)

    @on_message()
    def message(self, ctx: Context) -> None:
        self._saw("message", ctx.sender.localpart)

    @on_message(to="server")
    def to_server(self, ctx: Context) -> None:
        self._saw("to server", ctx.sender.localpart)

    @on_presence()
    def presence(self, ctx: Context) -> None:
        self._saw("presence", ctx.sender.localpart)

    @on(BecameAvailable)
    @on(SessionEnded)
    def event(self, event: BecameAvailable | SessionEnded) -> None:
        self._saw(type(event).__name__, event.session.account.localpart)

    @every(option="pause_s")
    async def job(self) -> None:
        self._saw("job", "")

    @route("GET", "/everything")
    async def show(self, request: Any) -> Any: ...

    @disco_info()
    def info(self, ctx: Context, node: str) -> DiscoInfo:
        return DiscoInfo.of(features=["more"])

    @command("everything", "Everything")
    async def run(self, ctx: Context, dialog: Any) -> Any: ...


async def test_what_a_plugin_registers_is_taken_back_everywhere(caplog):
    async with TestServer() as server:
        manager, services = server.node.plugins, server.node.services()
        await manager.start([Everything], {}, services)
        assert set(manager.registries.holds("everything")) == {
            "stages", "requests", "events", "presence", "messages to the server", "jobs", "routes",
            "contributions", "audit",
        }  # fmt: skip
        await manager.stop()
        assert manager.registries.holds("everything") == []
        assert not manager.features() and not list(manager.declared(DiscoMark))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# -- whom a plugin serves ------------------------------------------------------------------------------------------


async def _act(server: TestServer, name: str) -> list[str]:
    """Somebody does a bit of everything with a colleague who is away; the requests' outcomes."""
    person = await server.login(name)
    colleague = await server.person(f"{name.partition('@')[0]}2@{name.partition('@')[2]}")
    person.say("hello", to=colleague.bare)
    await server.settle()
    person.say("hello", to=server.domain)
    answers = [await person.ask("get", NUDGE, to=to) for to in (server.domain, "", colleague.bare)]
    await person.leave()
    return [str(condition_of(answer) or "answered") for answer in answers]


KINDS = {
    "admit", "gate", "rewrite", "record", "place", "observe", "iq", "message", "to server", "presence",
    "BecameAvailable", "SessionEnded",
}  # fmt: skip


async def test_a_plugin_serves_its_companies_and_no_others_in_every_kind_of_handler():
    async with TestServer({Everything: Everything.Options(companies=("acme",))}) as server:
        plugin = server.plugin(Everything)
        assert await _act(server, "ann@acme") == ["answered"] * 3
        assert {what for what, _ in plugin.seen} == KINDS
        plugin.seen.clear()
        assert await _act(server, "gus@globex") == ["service-unavailable"] * 3
        assert plugin.seen == []


async def test_whom_a_plugin_serves_changes_while_it_runs():
    async with TestServer([Everything]) as server:
        plugin = server.plugin(Everything)
        jobs = list(server.node.plugins.registries.jobs)
        ids = {name: (await server.company(name)).id for name in ("acme", "globex")}
        for companies, served in [((ids["globex"],), "gus"), (("acme",), "ann"), ((), "both")]:
            assert server.reconfigure({Everything: Everything.Options(companies=companies)}) == []
            for name in ("ann@acme", "gus@globex"):
                plugin.seen.clear()
                await _act(server, name)
                expected = KINDS if served in (name.partition("@")[0], "both") else set()
                assert {what for what, _ in plugin.seen} == expected
        assert list(server.node.plugins.registries.jobs) == jobs  # also one that is just running
        await server.node.plugins.stop()
        assert server.node.plugins.registries.holds("everything") == []


async def test_features_commands_and_discovery_are_for_those_who_are_served():
    async with TestServer({Everything: Everything.Options(companies=("acme",))}) as server:
        ann, gus = await server.person("ann@acme"), await server.person("gus@globex")
        services = server.plugin(Everything).services
        assert services.features(ann.account) == {"f"} and services.account_features(ann.account) == {"a"}
        assert not services.features(gus.account) and not services.account_features(gus.account)
        assert len(list(services.declared(DiscoMark, ann.account))) == 1
        assert not list(services.declared(DiscoMark, gus.account))


async def test_a_message_between_companies_is_seen_where_one_of_them_is_served():
    async with TestServer({Everything: Everything.Options(companies=("globex",))}) as server:
        ann, gus = await server.login("ann@acme"), await server.login("gus@globex")
        plugin = server.plugin(Everything)
        plugin.seen.clear()
        ann.say("hello", to=gus.bare)
        await gus.receive()
        assert {what for what, _ in plugin.seen} == {"gate", "rewrite", "record", "observe", "message"}


async def test_a_plugin_for_all_takes_no_companies():
    class Guard(Plugin, name="guard", for_all=True):
        """Is there for everybody."""

    with pytest.raises(LocalMisuse, match="plugin guard is there for every company"):
        async with TestServer({Guard: Guard.Options(companies=("acme",))}):
            pass
