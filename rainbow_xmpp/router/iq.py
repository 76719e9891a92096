"""Who answers an IQ request: the server, or an account through the server (RFC 6120 §8.2.3, RFC 6121 §8.5.2.1.3)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.router.faults import excuse
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import Absent
from rainbow_xmpp.router.questions import Questions
from rainbow_xmpp.session import Session
from rainbow_xmpp.stanza import error_reply, iq_result
from rainbow_xmpp.xml import Element, View, serialise

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)


class Target(Enum):
    """Who is asked."""

    SERVER = "server"
    """The domain itself."""
    SELF = "self"
    """The sender's own account: no `to`, or the own bare JID."""
    CONTACT = "contact"
    """Somebody else's bare JID. Comes here only after the gate."""


class IqRequest(NamedTuple):
    """A request to answer."""

    session: Session
    target: Target
    view: View
    owner: Account
    """The account that is asked: the sender's own, or the contact's."""

    @property
    def account(self) -> Account:
        """The sender's account."""
        return self.session.account

    @property
    def payload(self) -> Element:
        """The one child of the stanza (RFC 6120 §8.2.3)."""
        return self.view.element()[0]

    @property
    def is_set(self) -> bool:
        return self.view.attrs.get("type") == "set"


class Answered(NamedTuple):
    """An answer, and stanzas for the asking session that must come after it."""

    payload: Element | bytes | None
    after: tuple[bytes, ...]


Answer = Element | bytes | Answered | None
"""A payload, or None for an empty result."""
IqHandler = Callable[[IqRequest], Awaitable[Answer] | Answer]


class IqRegistry:
    """Handlers by target, type and the payload's name."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[Target, str, str, str], tuple[str, IqHandler]] = {}

    def add(
        self, owner: str, type_: str, name: str, handler: IqHandler, targets: tuple[Target, ...]
    ) -> Callable[[], None]:
        """Register for the payload `{namespace}name`; returns what undoes it.

        LocalMisuse when the name, the type or the handler's signature is wrong, or somebody else answers already.
        """
        namespace, found, local = name.removeprefix("{").partition("}")
        if type_ not in ("get", "set") or not found or not namespace or not local or not targets:
            raise LocalMisuse(
                f"plugin {owner}: on_iq expects 'get' or 'set' and '{{namespace}}name', got {type_!r}, {name!r}"
            )
        try:
            inspect.signature(handler).bind("request")
        except TypeError:
            raise LocalMisuse(
                f"plugin {owner}: {handler.__qualname__} does not fit on_iq; "
                "expected: def or async def handler(self, request: IqRequest) -> Element | bytes | None"
            ) from None
        keys = [(target, type_, namespace, local) for target in targets]
        for key in keys:
            if key in self._handlers:
                raise LocalMisuse(f"plugin {owner}: {name} is answered by {self._handlers[key][0]} already")
        for key in keys:
            self._handlers[key] = (owner, handler)

        def undo() -> None:
            for key in keys:
                self._handlers.pop(key, None)

        return undo

    def owners(self) -> set[str]:
        """Who answers any request."""
        return {owner for owner, _ in self._handlers.values()}

    def owner_of(self, request: IqRequest) -> str:
        """Who answers this request; empty when nobody does."""
        known = self._handler_of(request)
        return known[0] if known is not None else ""

    def _handler_of(self, request: IqRequest) -> tuple[str, IqHandler] | None:
        child = request.view.children[0]
        return self._handlers.get((request.target, request.view.attrs["type"], child.ns, child.name))

    def answer(self, request: IqRequest) -> Awaitable[Outcome] | Outcome:
        """Answer, or raise StanzaError."""
        known = self._handler_of(request)
        if known is None:
            raise Absent()
        answer = known[1](request)
        if inspect.isawaitable(answer):
            return self._answer_later(request, answer)
        _send(request, answer)
        return Outcome.ANSWERED

    async def _answer_later(self, request: IqRequest, answering: Awaitable[Answer]) -> Outcome:
        _send(request, await answering)
        return Outcome.ANSWERED


def check_iq(view: View) -> None:
    """The shape of an IQ (RFC 6120 §8.2.3); raise StanzaError."""
    type_ = view.attrs.get("type", "")
    if type_ not in ("get", "set", "result", "error") or not view.attrs.get("id"):
        raise StanzaError(Condition.BAD_REQUEST)
    if type_ in ("get", "set") and len(view.children) != 1:
        raise StanzaError(Condition.BAD_REQUEST)
    if type_ == "result" and len(view.children) > 1:
        raise StanzaError(Condition.BAD_REQUEST)


class IqService:
    """Answers requests to the server and to accounts; replies to everything that needs one."""

    def __init__(self, registry: IqRegistry, questions: Questions) -> None:
        self._registry = registry
        self._questions = questions

    def ask(self, session: Session, target: Target, view: View) -> Awaitable[None] | None:
        """A request to the server or to the sender's own account."""
        if view.attrs["type"] not in ("get", "set"):
            self._questions.answered(session, view)
            return None
        request = IqRequest(session, target, view, session.account)
        try:
            answering = self._registry.answer(request)
        except Exception as error:  # around one stanza
            self._refuse(request, error)
            return None
        return None if isinstance(answering, Outcome) else self._finish(request, answering)

    async def _finish(self, request: IqRequest, answering: Awaitable[Outcome]) -> None:
        try:
            await answering
        except Exception as error:  # around one stanza
            self._refuse(request, error)

    def for_account(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        """A request to somebody else's bare JID, let through by the gate."""
        if p.type not in ("get", "set"):
            return Outcome.IGNORED
        if p.recipient is None or p.session is None or "/" in p.to:
            raise Absent()
        return self._registry.answer(IqRequest(p.session, Target.CONTACT, p.view, p.recipient))

    def _refuse(self, request: IqRequest, error: Exception) -> None:
        if not isinstance(error, StanzaError):
            error = excuse("request", error, plugin=self._registry.owner_of(request))
        session = request.session
        data = error_reply(request.view, error, from_=_asked(request), to=session.full)
        if data is not None:
            session.wire.send(data)


def _send(request: IqRequest, answer: Answer) -> None:
    payload, after = answer if isinstance(answer, Answered) else (answer, ())
    if isinstance(payload, Element):
        payload = serialise(payload)
    data = iq_result(request.view, from_=_asked(request), to=request.session.full, payload=payload or b"")
    request.session.wire.send(data)
    for stanza in after:
        request.session.wire.send(stanza)


def _asked(request: IqRequest) -> str:
    """The address the answer comes from: the one that was asked."""
    return request.view.attrs.get("to") or request.session.bare
