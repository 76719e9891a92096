"""Between what the core calls and what handlers want: a context and a typed payload, for whom the plugin serves."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.plugin.context import Context
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.router.events import Event, Listener
from rainbow_xmpp.router.iq import Answer, IqRequest
from rainbow_xmpp.router.nonzas import TakeNonza
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza.payload import Payload
from rainbow_xmpp.xml import Element, View, hint_of

if TYPE_CHECKING:
    from rainbow_xmpp.plugin.base import Plugin
    from rainbow_xmpp.session.early import Stranger
    from rainbow_xmpp.session.inline import Attempt, Newcomer, Verdict
    from rainbow_xmpp.session.tasks import Task
    from rainbow_xmpp.store.values import Account

Serves = Callable[["Account"], bool]


class Wanted(NamedTuple):
    """A handler, and whom it is asked about: all, where `serves` is None."""

    services: Services
    handler: Callable[..., Any]
    serves: Serves | None

    def concerns(self, account: Account) -> bool:
        return self.serves is None or self.serves(account)


class Reader:
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


def answer(wanted: Wanted, kind: type[Payload] | None, request: IqRequest) -> Awaitable[Answer] | Answer:
    """An IQ request; whom the plugin does not serve hears what nobody answering would tell."""
    if not wanted.concerns(request.owner):
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    context = Context.of_request(wanted.services, request)
    payload = request.payload if kind is None else kind.from_xml(request.payload)
    given = wanted.handler(context, payload)
    return _answer_later(given) if inspect.isawaitable(given) else _in_xml(given)


async def _answer_later(answering: Awaitable[Any]) -> Answer:
    return _in_xml(await answering)


def _in_xml(given: Any) -> Answer:
    return given.to_xml() if isinstance(given, Payload) else given


def see_message(wanted: Wanted, read: Reader, p: Passage) -> Awaitable[None] | None:
    """A message between people, as a handler of `record`, which is asked for whom it serves only."""
    if p.kind != "message" or p.type == "error":
        return None
    arguments = read.arguments(p.view, p.type)
    if arguments is None:
        return None
    pending: Awaitable[None] | None = wanted.handler(Context.of_passage(wanted.services, p), *arguments)
    return pending


def take_message(wanted: Wanted, read: Reader, session: Session, view: View) -> Awaitable[None] | bool:
    """A message to the server: False when it is for somebody else."""
    if not wanted.concerns(session.account):
        return False
    arguments = read.arguments(view, view.attrs.get("type", "normal"))
    if arguments is None:
        return False
    pending = wanted.handler(Context.of_session(wanted.services, session, view, to_server=True), *arguments)
    return True if pending is None else pending


def see_presence(wanted: Wanted, read: Reader, session: Session, view: View) -> View | None:
    """Presence as it comes in, and what goes on in its place."""
    if not wanted.concerns(session.account):
        return None
    arguments = read.arguments(view, view.attrs.get("type", "available"))
    if arguments is None:
        return None
    context = Context.of_session(wanted.services, session, view, to_server=False)
    changed: View | None = wanted.handler(context, *arguments)
    return changed


def take_nonza(plugin: Plugin, handler: Callable[..., Any]) -> TakeNonza:
    """Takes an element that is no stanza; of those whom the plugin does not serve it does nothing."""

    def take(session: Session, view: View) -> Awaitable[None] | None:
        if not plugin.options.serves(session.account):
            return None
        pending: Awaitable[None] | None = handler(session, view.element())
        return pending

    return take


def hear(wanted: Wanted) -> Listener:
    """A listener that hears of whom it serves, and of what concerns nobody in particular."""
    handler, serves = wanted.handler, wanted.serves
    if serves is None:
        return handler

    def listen(event: Event) -> Awaitable[None] | None:
        account = event.account
        pending: Awaitable[None] | None = handler(event) if account is None or serves(account) else None
        return pending

    return listen


def for_newcomers(
    plugin: Plugin, handler: Callable[..., Any], otherwise: object
) -> Callable[[Newcomer, Any], Awaitable[Any]]:
    """A step of a login; people whom the plugin does not serve get `otherwise`."""

    async def step(newcomer: Newcomer, asked: object) -> object:
        return await handler(newcomer, asked) if plugin.options.serves(newcomer.account) else otherwise

    return step


async def answer_stranger(
    handler: Callable[..., Awaitable[Any]], kind: type[Payload] | None, stranger: Stranger, element: Element
) -> Element | None:
    """A request of somebody who has not logged in."""
    given = await handler(stranger, element if kind is None else kind.from_xml(element))
    return given.to_xml() if isinstance(given, Payload) else given


def for_tasks(
    plugin: Plugin, handler: Callable[..., Awaitable[Sequence[Task]]]
) -> Callable[[Newcomer, Sequence[str]], Awaitable[Sequence[Task]]]:
    """Asks what somebody has to do; people whom the plugin does not serve have nothing to do for it."""

    async def remaining(newcomer: Newcomer, done: Sequence[str]) -> Sequence[Task]:
        return await handler(newcomer, done) if plugin.options.serves(newcomer.account) else ()

    return remaining


def for_attempts(
    plugin: Plugin, handler: Callable[..., Awaitable[Verdict]]
) -> Callable[[Attempt], Awaitable[Verdict]]:
    """Judges attempts to log in; people whom the plugin does not serve are nobody to it."""

    async def judge(attempt: Attempt) -> Verdict:
        verdict = await handler(attempt)
        return verdict if verdict is not None and plugin.options.serves(verdict.account) else None

    return judge
