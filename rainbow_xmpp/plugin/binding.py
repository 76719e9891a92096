"""From marks to entries in the registries: the shape of each handler is checked, its time bounded, its company asked.

A handler is wrapped here only by what its mark or its options ask for; a handler of a stage in which nothing may
wait is called as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from functools import partial

from aiohttp import web

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin import adapters, login_marks, marks
from rainbow_xmpp.plugin.adapters import Reader, Wanted
from rainbow_xmpp.plugin.api import EndpointMark
from rainbow_xmpp.plugin.base import Plugin
from rainbow_xmpp.plugin.deadline import Handler, Late, in_time, too_late
from rainbow_xmpp.plugin.registries import Registries, Undo
from rainbow_xmpp.router.stages import PLAIN_CALLS, Hook, Stage, bound_to_company, check_signature
from rainbow_xmpp.session.inline import BindFeature, Granted, InlineFeature, InlineMechanisms
from rainbow_xmpp.stanza.payload import Payload

_ASK_THE_COMPANY = (marks.HookMark, marks.IqMark, marks.MessageMark, marks.PresenceMark, marks.EventMark)
"""What is registered for the companies that are served; the rest is the server's, or is asked for somebody."""


class Binding:
    """What one plugin has registered. Make it, `register` once, `rebind` when its companies change, `undo`."""

    def __init__(self, plugin: Plugin, registries: Registries) -> None:
        self._plugin = plugin
        self._to = registries
        self._owner = plugin.name
        self._of_companies: list[Undo] = []
        self._others: list[Undo] = []

    def register(self) -> None:
        """Register everything that the plugin declares. Raises LocalMisuse, and then nothing stays."""
        self._to.figures.add(self._owner)
        try:
            if self._plugin.audit:
                self._others.append(self._to.audit.declare(self._owner, self._plugin.audit))
            for mark, handler in self._plugin.marks():
                undo = self._of_companies if isinstance(mark, _ASK_THE_COMPANY) else self._others
                undo.append(self._bind(mark, handler))
        except BaseException:
            self.undo()
            raise

    def rebind(self) -> None:
        """Other companies are served now. Jobs and paths go on as they are, also one that just runs."""
        _take_back(self._of_companies)
        for mark, handler in self._plugin.marks():
            if isinstance(mark, _ASK_THE_COMPANY):
                self._of_companies.append(self._bind(mark, handler))

    def undo(self) -> None:
        """Take back everything, the newest first."""
        _take_back(self._others)
        _take_back(self._of_companies)

    # -- one kind of mark each -------------------------------------------------------------------------

    def _bind(self, mark: marks.Mark, handler: Handler) -> Undo:
        match mark:
            case marks.HookMark():
                return self._hook(mark, handler)
            case marks.IqMark():
                return self._iq(mark, handler)
            case marks.MessageMark():
                return self._message(mark, handler)
            case marks.PresenceMark():
                return self._presence(mark, handler)
            case marks.NonzaMark():
                return self._nonza(mark, handler)
            case marks.EventMark():
                return self._event(mark, handler)
            case marks.JobMark():
                return self._job(mark, handler)
            case marks.RouteMark():
                return self._route(mark, handler)
            case marks.DiscoMark():
                self._expect(handler, "ctx", "node", shape=f"disco_{mark.what}")
                bounded = self._timed(handler, mark.deadline_s, None)
                return self._to.contributions.add(self._owner, mark, bounded)
            case marks.AccessMark():
                self._expect(handler, "action", "actor", "target", shape="access", waits=True)
                bounded = self._timed(handler, marks.DEADLINE_S)
                return self._to.contributions.add(self._owner, mark, bounded)
            case EndpointMark():
                self._expect(handler, "call", shape=f"endpoint({mark.method!r}, {mark.path!r})", waits=True)
                return self._to.contributions.add(self._owner, mark, handler)
            case marks.RoutesMark():
                self._expect(handler, shape="routes", waits=False)
                return self._to.routes.add_table(self._owner, handler)
            case marks.CommandMark():
                return self._command(mark, handler)
            case login_marks.InlineMark():
                return self._inline(mark, handler)
            case login_marks.BindMark():
                return self._binding(mark, handler)
            case login_marks.MechanismMark():
                return self._mechanism(mark, handler)
            case login_marks.EarlyMark():
                return self._early(mark, handler)
            case login_marks.EarlyElementMark():
                self._expect(handler, "stranger", "element", shape="before_login_element", waits=True)
                bounded = self._timed(handler, mark.deadline_s)
                return self._to.early.add_element(self._owner, mark.name, bounded, mark.excuse.encode())
            case login_marks.TasksMark():
                self._expect(handler, "newcomer", "done", shape="with_tasks", waits=True)
                return self._to.tasks.add(
                    self._owner, adapters.for_tasks(self._plugin, self._timed(handler, mark.deadline_s))
                )
        raise LocalMisuse(f"plugin {self._owner}: nobody registers {mark!r}")

    def _hook(self, mark: marks.HookMark, handler: Handler) -> Undo:
        check_signature(mark.stage, handler, self._owner)
        if mark.stage not in PLAIN_CALLS:
            handler = self._timed(handler, mark.deadline_s)
        return self._add(Hook(mark.stage, handler, self._owner, mark.before, mark.after, mark.is_needed))

    def _iq(self, mark: marks.IqMark, handler: Handler) -> Undo:
        payload = mark.payload
        shown = repr(payload) if isinstance(payload, str) else payload.__name__
        self._expect(handler, "ctx", "payload", shape=f"on_iq({mark.kind!r}, {shown})")
        if isinstance(payload, str):
            kind, name = None, payload
        else:
            kind, name = payload, payload.TAG
            payload.check()
        answer = partial(adapters.answer, self._wanted(mark, handler), kind)
        return self._to.iqs.add(self._owner, mark.kind, name, answer, mark.targets)

    def _message(self, mark: marks.MessageMark, handler: Handler) -> Undo:
        self._expect(handler, *_with_payload(mark.payload), shape=_shape("on_message", mark.payload))
        wanted, read = self._wanted(mark, handler), Reader(mark.payload, mark.types)
        if mark.to_server:
            return self._to.server_messages.add(self._owner, partial(adapters.take_message, wanted, read))
        return self._add(Hook(Stage.RECORD, partial(adapters.see_message, wanted, read), self._owner))

    def _presence(self, mark: marks.PresenceMark, handler: Handler) -> Undo:
        arguments = _with_payload(mark.payload)
        self._expect(handler, *arguments, shape=_shape("on_presence", mark.payload), waits=False)
        wanted, read = Wanted(self._plugin.services, handler, self._serves), Reader(mark.payload, mark.types)
        return self._to.presence.add(self._owner, partial(adapters.see_presence, wanted, read))

    def _nonza(self, mark: marks.NonzaMark, handler: Handler) -> Undo:
        self._expect(handler, "session", "element", shape=f"on_nonza({mark.name!r})")
        ns, _, name = mark.name[1:].partition("}")
        bounded = self._timed(handler, mark.deadline_s, None)
        return self._to.nonzas.add(self._owner, ns, name, adapters.take_nonza(self._plugin, bounded))

    def _event(self, mark: marks.EventMark, handler: Handler) -> Undo:
        self._expect(handler, "event", shape=f"on({mark.event.__name__})")
        bounded = self._timed(handler, mark.deadline_s, None)
        listener = adapters.hear(Wanted(self._plugin.services, bounded, self._serves))
        return self._to.events.add(self._owner, mark.event, listener)

    def _job(self, mark: marks.JobMark, handler: Handler) -> Undo:
        self._expect(handler, shape="every(…)", waits=True)
        plugin, option = self._plugin, mark.option
        if option and not isinstance(getattr(plugin.options, option, None), int | float):
            raise LocalMisuse(f"plugin {self._owner}: every(option={option!r}) names no option with a number")

        def every_s() -> float:
            return float(getattr(plugin.options, option)) if option else mark.every_s

        bounded = self._timed(handler, mark.deadline_s, None)
        return self._to.jobs.add(self._owner, handler.__name__, every_s, bounded)

    def _route(self, mark: marks.RouteMark, handler: Handler) -> Undo:
        self._expect(handler, "request", shape=f"route({mark.method!r}, {mark.path!r})", waits=True)
        bounded = self._timed(handler, mark.deadline_s, web.HTTPServiceUnavailable)

        async def respond(request: web.Request) -> web.StreamResponse:
            response: web.StreamResponse = await bounded(request)
            return response

        return self._to.routes.add(self._owner, mark.method, mark.path, respond)

    def _command(self, mark: marks.CommandMark, handler: Handler) -> Undo:
        """Without a deadline: a command waits for people, and whoever offers it bounds that."""
        self._expect(handler, "ctx", "dialog", shape=f"command({mark.node!r})", waits=True)
        for owner, other, _ in self._to.contributions.of(marks.CommandMark):
            if other.node == mark.node:
                raise LocalMisuse(
                    f"plugin {self._owner}: the command {mark.node} is offered by {owner} already"
                )
        return self._to.contributions.add(self._owner, mark, handler)

    def _inline(self, mark: login_marks.InlineMark, handler: Handler) -> Undo:
        self._expect(handler, "newcomer", "request", shape="with_login", waits=True)
        grant = adapters.for_newcomers(self._plugin, self._timed(handler, mark.deadline_s), Granted())
        told = mark.announcement

        def announcement(bindings: Collection[str]) -> bytes:
            return (told if isinstance(told, str) else told(bindings)).encode()

        feature = InlineFeature(mark.request, announcement, grant, mark.is_always_asked)
        return self._to.inline.add(self._owner, feature)

    def _binding(self, mark: login_marks.BindMark, handler: Handler) -> Undo:
        self._expect(handler, "newcomer", "requests", shape="with_binding", waits=True)
        prepare = adapters.for_newcomers(self._plugin, self._timed(handler, mark.deadline_s), None)
        return self._to.inline.add_to_binding(self._owner, BindFeature(mark.requests, mark.feature, prepare))

    def _mechanism(self, mark: login_marks.MechanismMark, handler: Handler) -> Undo:
        self._expect(handler, "attempt", shape="with_mechanism", waits=True)
        judge = adapters.for_attempts(self._plugin, self._timed(handler, mark.deadline_s))
        return self._to.inline.add_mechanisms(
            self._owner, InlineMechanisms(mark.mechanisms, mark.request, judge, mark.name_of)
        )

    def _early(self, mark: login_marks.EarlyMark, handler: Handler) -> Undo:
        self._expect(handler, "stranger", "payload", shape="before_login", waits=True)
        payload = mark.payload
        if isinstance(payload, str):
            kind, name = None, payload
        else:
            kind, name = payload, payload.TAG
            payload.check()
        answer = partial(adapters.answer_stranger, self._timed(handler, mark.deadline_s), kind)
        return self._to.early.add_iq(self._owner, mark.kind, name, answer)

    # -- what they have in common ----------------------------------------------------------------------

    def _timed(self, handler: Handler, deadline_s: float, late: Late | None = too_late) -> Handler:
        return in_time(self._owner, handler, deadline_s, self._to.figures, late)

    @property
    def _serves(self) -> adapters.Serves | None:
        options = self._plugin.options
        return options.serves if options.companies else None

    def _add(self, hook: Hook) -> Undo:
        serves = self._serves
        return self._to.pipeline.add_hook(hook if serves is None else bound_to_company(hook, serves))

    def _wanted(self, mark: marks.IqMark | marks.MessageMark, handler: Handler) -> Wanted:
        bounded = self._timed(handler, mark.deadline_s)
        return Wanted(self._plugin.services, bounded, self._serves)

    def _expect(self, handler: Handler, *arguments: str, shape: str, waits: bool | None = None) -> None:
        """Raise LocalMisuse unless the handler takes these; `waits`: whether it must, or must not, be `async def`."""
        is_async = inspect.iscoroutinefunction(handler)
        try:
            inspect.signature(handler).bind(*arguments)
            if waits is None or waits is is_async:
                return
        except TypeError:
            pass
        kind = {None: "def or async def", True: "async def", False: "def"}[waits]
        name = getattr(handler, "__qualname__", repr(handler))
        raise LocalMisuse(
            f"plugin {self._owner}: {name} does not fit {shape}; "
            f"expected: {kind} handler({', '.join(('self', *arguments))})"
        )


def _with_payload(payload: type[Payload] | None) -> tuple[str, ...]:
    if payload is None:
        return ("ctx",)
    payload.check()
    return ("ctx", "payload")


def _shape(decorator: str, payload: type[Payload] | None) -> str:
    return f"{decorator}({payload.__name__ if payload else ''})"


def _take_back(undo: list[Undo]) -> None:
    while undo:
        undo.pop()()
