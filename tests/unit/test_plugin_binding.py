"""What plugins declare: what is refused at load, and what handlers are called with."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

from rainbow_xmpp.errors import Condition, LocalMisuse
from rainbow_xmpp.plugin import (
    Context,
    Event,
    Passage,
    Payload,
    Plugin,
    SessionEnded,
    Stage,
    access,
    attr,
    command,
    disco_info,
    disco_items,
    every,
    hook,
    on,
    on_iq,
    on_message,
    on_presence,
    route,
    with_binding,
    with_login,
    with_mechanism,
)
from rainbow_xmpp.testing import TestServer, condition_of

NS = "urn:example:nudge:1"


class Nudge(Payload, ns=NS, tag="nudge"):
    level: int = attr(default=1, ge=1, le=5)


class Unreadable(Payload, ns=NS, tag="unreadable"):
    what: list[int] = attr()


def plugin_with(mark: Callable[[Any], Any], method: Callable[..., Any]) -> type[Plugin]:
    """A plugin with this one handler, which has no other mark."""

    class Odd(Plugin, name="odd"):
        handler = mark(FunctionType(method.__code__, method.__globals__, method.__name__))

    return Odd


async def start(*plugins: type[Plugin]) -> None:
    async with TestServer(plugins):
        pass


# -- refused at load ---------------------------------------------------------------------------------------------


def no_arguments(self): ...
def one_argument(self, one): ...
def two_arguments(self, one, two): ...
async def async_none(self): ...
async def async_one(self, one): ...


@pytest.mark.parametrize(
    ("mark", "method", "expected"),
    [
        (hook(Stage.ADMIT), no_arguments, "the stage 'admit'; expected: def handler(self, passage)"),
        (hook(Stage.GATE), async_one, "the stage 'gate'; expected: def handler(self, passage)"),
        (hook(Stage.REWRITE), two_arguments, "the stage 'rewrite'; expected: def handler(self, passage)"),
        (
            hook(Stage.RECORD),
            two_arguments,
            "the stage 'record'; expected: def or async def handler(self, passage)",
        ),
        (
            hook(Stage.PLACE),
            no_arguments,
            "the stage 'place'; expected: def or async def handler(self, passage)",
        ),
        (
            hook(Stage.OBSERVE),
            one_argument,
            "the stage 'observe'; expected: def handler(self, passage, outcome)",
        ),
        (
            on_iq("get", Nudge, to="server"),
            one_argument,
            "on_iq('get', Nudge); expected: def or async def handler(self, ctx, payload)",
        ),
        (
            on_iq("set", f"{{{NS}}}x", to="self"),
            no_arguments,
            f"on_iq('set', '{{{NS}}}x'); expected: def or async def handler(self, ctx, payload)",
        ),
        (
            on_message(Nudge),
            one_argument,
            "on_message(Nudge); expected: def or async def handler(self, ctx, payload)",
        ),
        (on_message(), two_arguments, "on_message(); expected: def or async def handler(self, ctx)"),
        (on_presence(), async_one, "on_presence(); expected: def handler(self, ctx)"),
        (on_presence(Nudge), one_argument, "on_presence(Nudge); expected: def handler(self, ctx, payload)"),
        (on(SessionEnded), no_arguments, "on(SessionEnded); expected: def or async def handler(self, event)"),
        (every(hours=1), no_arguments, "every(…); expected: async def handler(self)"),
        (every(hours=1), async_one, "every(…); expected: async def handler(self)"),
        (route("GET", "/x"), one_argument, "route('GET', '/x'); expected: async def handler(self, request)"),
        (disco_info(), one_argument, "disco_info; expected: def or async def handler(self, ctx, node)"),
        (disco_items(), no_arguments, "disco_items; expected: def or async def handler(self, ctx, node)"),
        (access(), one_argument, "access; expected: async def handler(self, action, actor, target)"),
        (
            with_login("{urn:x}x", announcement="<x/>"),
            one_argument,
            "with_login; expected: async def handler(self, newcomer, request)",
        ),
        (
            with_binding("{urn:x}x"),
            one_argument,
            "with_binding; expected: async def handler(self, newcomer, requests)",
        ),
        (
            with_mechanism("X", request="{urn:x}x"),
            one_argument,
            "with_mechanism; expected: async def handler(self, attempt)",
        ),
        (command("x", "X"), two_arguments, "command('x'); expected: async def handler(self, ctx, dialog)"),
    ],
)
async def test_a_handler_of_the_wrong_shape_is_refused_at_load_with_the_right_one(mark, method, expected):
    with pytest.raises(LocalMisuse) as refused:
        await start(plugin_with(mark, method))
    assert str(refused.value) == f"plugin odd: {method.__qualname__} does not fit {expected}"


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (
            lambda: on_iq("get", Nudge, to="everybody"),
            "'server', 'self', 'contact', 'account', not 'everybody'",
        ),
        (lambda: on_iq("get", Nudge, to=()), "not ()"),
        (lambda: on_message(Nudge, to="contact"), "'account' and 'server', not 'contact'"),  # type: ignore[arg-type]
        (lambda: hook(Stage.GATE, needed=False), "needed=False is for Stage.RECORD"),
        (lambda: on(Nudge), "on() takes an event class"),  # type: ignore[arg-type]
        (lambda: every(), "every() takes an interval"),
        (lambda: every(hours=1, option="x"), "every() takes an interval"),
        (lambda: every(hours=-1), "every() takes an interval"),
        (lambda: route("FETCH", "/x"), "not 'FETCH', '/x'"),
        (lambda: route("GET", "x"), "not 'GET', 'x'"),
        (lambda: disco_info(to="self"), "'server' or 'account', not 'self'"),  # type: ignore[arg-type]
        (lambda: hook(Stage.RECORD, deadline_s=0), "a deadline is a number of seconds above 0, not 0"),
        (
            lambda: every(hours=1, deadline_s=float("inf")),
            "a deadline is a number of seconds above 0, not inf",
        ),
    ],
)
def test_a_decorator_says_what_it_takes(declare, words):
    with pytest.raises(LocalMisuse) as refused:
        declare()
    assert words in str(refused.value)


async def test_a_request_of_no_known_kind_and_a_payload_that_cannot_be_read_are_refused_at_load():
    with pytest.raises(LocalMisuse, match=r"'get' or 'set' and '\{namespace\}name', got 'result'"):
        await start(plugin_with(on_iq("result", Nudge, to="server"), two_arguments))
    with pytest.raises(LocalMisuse, match="got 'get', 'ping'"):
        await start(plugin_with(on_iq("get", "ping", to="server"), two_arguments))
    for mark in (on_iq("get", Unreadable, to="server"), on_message(Unreadable), on_presence(Unreadable)):
        with pytest.raises(LocalMisuse, match=r"Unreadable\.what: .* cannot stand in an attribute"):
            await start(plugin_with(mark, two_arguments))


async def test_a_job_names_an_option_with_a_number():
    with pytest.raises(LocalMisuse, match="names no option with a number"):
        await start(plugin_with(every(option="how_often"), async_none))


async def test_two_plugins_cannot_answer_the_same():
    class One(Plugin, name="one"):
        @on_iq("get", Nudge, to="account")
        def answer(self, ctx: Context, nudge: Nudge) -> None: ...

        @route("GET", "/nudges")
        async def show(self, request: Any) -> Any: ...

    class Other(Plugin, name="other"):
        @on_iq("get", Nudge, to="self")
        def answer(self, ctx: Context, nudge: Nudge) -> None: ...

    class Third(Plugin, name="third"):
        @route("GET", "/nudges")
        async def show(self, request: Any) -> Any: ...

    with pytest.raises(LocalMisuse, match=rf"plugin other: \{{{NS}\}}nudge is answered by one already"):
        await start(One, Other)
    with pytest.raises(LocalMisuse, match="plugin third: GET /nudges is answered by one already"):
        await start(One, Third)


async def test_a_path_of_the_servers_own_is_refused_with_the_plugins_name():
    async def show(self, request: Any) -> Any: ...

    async with TestServer([plugin_with(route("GET", "/healthz"), show)]) as server:
        with pytest.raises(LocalMisuse, match="plugin odd: GET /healthz: this path is the server's own"):
            await server.http("GET", "/healthz")


def test_a_plugin_has_a_name_and_options_of_the_right_kind():
    for name in ("", "My-Plugin", "Nudge"):
        with pytest.raises(LocalMisuse, match="a plugin's name is a lower-case identifier"):
            type("Odd", (Plugin,), {}, name=name)
    with pytest.raises(LocalMisuse, match="plugin odd: Options must derive from PluginOptions"):
        type("Odd", (Plugin,), {"Options": dict}, name="odd")


# -- start and stop ----------------------------------------------------------------------------------------------


async def test_a_plugin_that_cannot_be_registered_leaves_nothing_and_stops_those_before_it():
    class Last(Plugin, name="last", audit={"some.thing": "It."}):
        @hook(Stage.ADMIT)
        def admit(self, p: Passage) -> None: ...

        @every(hours=1)
        async def job(self) -> None: ...

        @on_iq("get", "{urn:x}x", to="server")
        def wrong(self) -> None: ...

    async with TestServer() as server:
        manager, services = server.node.plugins, server.node.services()
        with pytest.raises(LocalMisuse):
            await manager.start([Last], {}, services)
        assert manager.registries.holds("last") == []
        assert list(manager) == []


async def test_what_a_plugin_leaves_behind_is_logged(caplog):
    class Sloppy(Plugin, name="sloppy"):
        async def start(self) -> None:
            registries.events.add(self.name, SessionEnded, lambda event: None)

    async with TestServer() as server:
        registries = server.node.plugins.registries
        await server.node.plugins.start([Sloppy], {}, server.node.services())
        await server.node.plugins.stop()
    assert "plugin sloppy left something behind in: events" in caplog.text


async def test_a_plugin_that_fails_to_stop_keeps_no_other_from_stopping(caplog):
    stopped: list[str] = []

    class Early(Plugin, name="early"):
        async def stop(self) -> None:
            stopped.append(self.name)

    class Stuck(Plugin, name="stuck"):
        async def stop(self) -> None:
            raise ValueError

    await start(Early, Stuck)
    assert stopped == ["early"]
    assert "a plugin did not stop cleanly" in caplog.text


# -- presence, messages, events ----------------------------------------------------------------------------------


async def test_payloads_and_types_choose_what_a_handler_sees():
    seen: list[Any] = []

    class Choosy(Plugin, name="choosy"):
        @on_message(Nudge, type=("chat", "headline"))
        async def nudged(self, ctx: Context, nudge: Nudge) -> None:
            seen.append(("message", ctx.type, nudge.level))

        @on_presence(Nudge, type="available")
        def came(self, ctx: Context, nudge: Nudge) -> None:
            seen.append(("presence", ctx.type, nudge.level))

        @on_presence(type=("subscribe", "unavailable"))
        def wanted(self, ctx: Context) -> None:
            seen.append(("presence", ctx.type, ctx.to))

        @on_message(Nudge, to="server")
        def told(self, ctx: Context, nudge: Nudge) -> None:
            seen.append(("server", ctx.to, ctx.is_to_server))

    async with TestServer([Choosy]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        ann.say("nothing", to=bob.bare)
        ann.say("nudge", Nudge(2), to=bob.bare)
        ann.say("nudge", Nudge(3), to=bob.bare, type="normal")
        ann.send(f"<presence><nudge xmlns='{NS}' level='4'/></presence>")
        ann.send("<presence><nudge xmlns='urn:other'/></presence>")
        ann.send(f"<presence type='subscribe' to='{bob.bare}'/>")
        await server.settle()
        await ann.rest()
        ann.say("to the server", Nudge(), to=f"{server.domain}/desk")
        ann.say("to nobody there", to=server.domain)
        assert condition_of(await ann.receive()) is Condition.SERVICE_UNAVAILABLE
        assert seen == [
            ("message", "chat", 2),
            ("presence", "", 4),
            ("presence", "subscribe", bob.bare),
            ("server", f"{server.domain}/desk", True),
        ]


async def test_an_event_that_concerns_nobody_in_particular_is_told_to_every_plugin():
    class Nudged(Event):
        """Of nobody in particular."""

    heard: list[Event] = []

    class Hearing(Plugin, name="hearing"):
        @on(Nudged)
        async def hear(self, event: Nudged) -> None:
            heard.append(event)

    async with TestServer({Hearing: Hearing.Options(companies=("acme",))}) as server:
        pending = server.node.events.tell(Nudged())
        assert pending is not None
        await pending
        assert len(heard) == 1
