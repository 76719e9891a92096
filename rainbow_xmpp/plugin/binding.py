"""From marks to entries in the registries: the shape of each handler is checked, its time bounded, its company asked.

A handler is wrapped here only by what its mark or its options ask for; a plain handler of a stage is called as it is.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.plugin import marks
from rainbow_xmpp.plugin.base import Plugin
from rainbow_xmpp.plugin.context import Context
from rainbow_xmpp.plugin.registries import Registries, Undo
from rainbow_xmpp.router.iq import Answer, IqRequest
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.router.stages import Hook, Stage, bound_to_company, check_signature
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza.payload import Payload
from rainbow_xmpp.xml import View, hint_of

log = logging.getLogger(__name__)

Handler = Callable[..., Any]


def bind(plugin: Plugin, registries: Registries) -> list[Undo]:
    """Register everything a plugin declares; returns what takes it back. Raises LocalMisuse, and then nothing stays."""
    undo: list[Undo] = []
    try:
        for mark, handler in plugin.marks():
            undo.append(_Binder(plugin, registries).bind(mark, handler))
    except BaseException:
        for step in reversed(undo):
            step()
        raise
    return undo


class _Binder:
    def __init__(self, plugin: Plugin, registries: Registries) -> None:
        self._plugin = plugin
        self._to = registries
        self._owner = plugin.name
        self._serves = plugin.options.serves if plugin.options.companies else None

    def bind(self, mark: marks.Mark, handler: Handler) -> Undo:
        match mark:
            case marks.HookMark():
                return self._hook(mark, handler)
            case marks.IqMark():
                return self._iq(mark, handler)
            case marks.MessageMark():
                return self._message(mark, handler)
            case marks.PresenceMark():
                return self._presence(mark, handler)
            case marks.EventMark():
                self._expect(handler, "event", shape=f"on({mark.event.__name__})")
                return self._to.events.add(self._owner, mark.event, self._in_time(handler, mark.deadline_s))
            case marks.JobMark():
                return self._job(mark, handler)
            case marks.RouteMark():
                self._expect(handler, "request", shape=f"route({mark.method!r}, {mark.path!r})", waits=True)
                return self._to.routes.add(self._owner, mark.method, mark.path, handler)
            case marks.DiscoMark():
                self._expect(handler, "ctx", "node", shape=f"disco_{mark.what}")
                return self._to.contributions.add(self._owner, mark, handler)
            case marks.CommandMark():
                return self._command(mark, handler)

    # -- one kind of mark each -------------------------------------------------------------------------

    def _hook(self, mark: marks.HookMark, handler: Handler) -> Undo:
        check_signature(mark.stage, handler, self._owner)
        bounded = self._in_time(handler, mark.deadline_s)
        hook = Hook(mark.stage, bounded, self._owner, mark.before, mark.after, mark.is_needed)
        if self._serves is not None:
            hook = bound_to_company(hook, self._serves)
        return self._to.pipeline.add_hook(hook)

    def _iq(self, mark: marks.IqMark, handler: Handler) -> Undo:
        payload = mark.payload
        shape = f"on_iq({mark.kind!r}, {payload if isinstance(payload, str) else payload.__name__})"
        self._expect(handler, "ctx", "payload", shape=shape)
        kind = None if isinstance(payload, str) else payload
        if kind is not None:
            kind.check()
        name = payload if isinstance(payload, str) else payload.TAG
        bounded = self._in_time(handler, mark.deadline_s)
        answer = partial(_answer, self._plugin, bounded, kind, self._serves)
        return self._to.iqs.add(self._owner, mark.kind, name, answer, mark.targets)

    def _message(self, mark: marks.MessageMark, handler: Handler) -> Undo:
        self._expect(handler, *self._with_payload(mark.payload), shape="on_message")
        read = _Reader(mark.payload, mark.types)
        bounded = self._in_time(handler, mark.deadline_s)
        if mark.to_server:
            take = partial(_take, self._plugin, bounded, read, self._serves)
            return self._to.server_messages.add(self._owner, take)
        hook = Hook(Stage.RECORD, partial(_see_message, self._plugin, bounded, read), self._owner)
        if self._serves is not None:
            hook = bound_to_company(hook, self._serves)
        return self._to.pipeline.add_hook(hook)

    def _presence(self, mark: marks.PresenceMark, handler: Handler) -> Undo:
        self._expect(handler, *self._with_payload(mark.payload), shape="on_presence", waits=False)
        read = _Reader(mark.payload, mark.types)
        listen = partial(_see_presence, self._plugin, handler, read, self._serves)
        return self._to.presence.add(self._owner, listen)

    def _job(self, mark: marks.JobMark, handler: Handler) -> Undo:
        self._expect(handler, shape="every", waits=True)
        options = self._plugin.options
        if mark.option and not isinstance(getattr(options, mark.option, None), int | float):
            raise LocalMisuse(
                f"plugin {self._owner}: every(option={mark.option!r}) names no option with a number"
            )

        def every_s() -> float:
            return getattr(self._plugin.options, mark.option) if mark.option else mark.every_s

        return self._to.jobs.add(self._owner, every_s, handler)

    def _command(self, mark: marks.CommandMark, handler: Handler) -> Undo:
        self._expect(handler, "ctx", "dialog", shape="command", waits=True)
        for owner, other, _ in self._to.contributions.of(marks.CommandMark):
            if other.node == mark.node:
                raise LocalMisuse(
                    f"plugin {self._owner}: the command {mark.node} is offered by {owner} already"
                )
        return self._to.contributions.add(self._owner, mark, handler)

    # -- shapes and time -------------------------------------------------------------------------------

    @staticmethod
    def _with_payload(payload: type[Payload] | None) -> tuple[str, ...]:
        if payload is None:
            return ("ctx",)
        payload.check()
        return ("ctx", "payload")

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
        raise LocalMisuse(
            f"plugin {self._owner}: {handler.__qualname__} does not fit {shape}; "
            f"expected: {kind} handler({', '.join(('self', *arguments))})"
        )

    def _in_time(self, handler: Handler, deadline_s: float) -> Handler:
        """A handler that waits gets a deadline; one that does not is returned as it is."""
        if not inspect.iscoroutinefunction(handler):
            return handler
        return _bounded(self._owner, handler, deadline_s)


def _bounded(owner: str, handler: Handler, deadline_s: float) -> Handler:
    async def in_time(*arguments: Any) -> Any:
        timer = asyncio.timeout(deadline_s)
        try:
            async with timer:
                return await handler(*arguments)
        except TimeoutError:
            if not timer.expired():
                raise
            log.warning("plugin %s: %s took longer than %g s", owner, handler.__qualname__, deadline_s)
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, detail="a handler took too long") from None

    return in_time


# -- what the registries call --------------------------------------------------------------------------------


def _answer(
    plugin: Plugin, handler: Handler, kind: type[Payload] | None, serves: Handler | None, request: IqRequest
) -> Awaitable[Answer] | Answer:
    """An IQ request, for a handler that wants a context and a payload."""
    if serves is not None and not serves(request.owner):
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    context = Context.of_request(plugin.services, request)
    answer = handler(context, request.payload if kind is None else kind.from_xml(request.payload))
    if inspect.isawaitable(answer):
        return _answer_later(answer)
    return _in_xml(answer)


async def _answer_later(answering: Awaitable[Any]) -> Answer:
    return _in_xml(await answering)


def _in_xml(answer: Any) -> Answer:
    return answer.to_xml() if isinstance(answer, Payload) else answer


class _Reader:
    """Finds the payload of a stanza, without a tree for stanzas that do not have it."""

    def __init__(self, payload: type[Payload] | None, types: frozenset[str]) -> None:
        self._payload = payload
        self._types = types
        self._name = "" if payload is None else payload.TAG.rpartition("}")[2]
        self._hint = -1 if payload is None else hint_of(self._name)

    def arguments(self, view: View, type_: str) -> tuple[Payload, ...] | None:
        """What the handler is called with beside the context; None when the stanza does not concern it."""
        if self._types and type_ not in self._types:
            return None
        payload = self._payload
        if payload is None:
            return ()
        found = view.child(self._name, payload.NS) if view.hints & self._hint else None
        return None if found is None else (payload.from_xml(view.child_element(found)),)


def _see_message(plugin: Plugin, handler: Handler, read: _Reader, p: Passage) -> Awaitable[None] | None:
    if p.kind != "message" or p.type == "error":
        return None
    arguments = read.arguments(p.view, p.type)
    if arguments is None:
        return None
    pending: Awaitable[None] | None = handler(Context.of_passage(plugin.services, p), *arguments)
    return pending


def _take(
    plugin: Plugin, handler: Handler, read: _Reader, serves: Handler | None, session: Session, view: View
) -> Awaitable[None] | bool:
    if serves is not None and not serves(session.account):
        return False
    arguments = read.arguments(view, view.attrs.get("type", "normal"))
    if arguments is None:
        return False
    pending = handler(Context.of_session(plugin.services, session, view, to_server=True), *arguments)
    return True if pending is None else pending


def _see_presence(
    plugin: Plugin, handler: Handler, read: _Reader, serves: Handler | None, session: Session, view: View
) -> None:
    if serves is not None and not serves(session.account):
        return
    arguments = read.arguments(view, view.attrs.get("type", "available"))
    if arguments is not None:
        handler(Context.of_session(plugin.services, session, view, to_server=False), *arguments)
