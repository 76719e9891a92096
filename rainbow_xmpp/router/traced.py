"""The way of one stanza, leaving a trace: variants of the router's parts that are put in for a sampled stanza.

Every other stanza takes the plain parts, which know nothing of this. A stage becomes a span; a handler in it becomes
an event of that span, and, if it waits, a span of its own. What is told of a stanza is its kind, type and size, the
ids of accounts and companies, the plugins' names and the outcome.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Protocol, TypeVar

from rainbow_xmpp.errors import PeerViolation, StanzaError
from rainbow_xmpp.router.iq import IqRequest, IqService, Target
from rainbow_xmpp.router.kept import Kept, until_settled
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import MOST_FETCHES, Directory, Pipeline
from rainbow_xmpp.router.sampling import EVERY, Inbound, StanzaTimer
from rainbow_xmpp.router.stages import Lacking, Stage, in_order
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.xml import View

T = TypeVar("T")


class Span(Protocol):
    """A piece of time with a name; `end` it once."""

    def child(self, name: str, *, from_beginning: bool = False) -> Span:
        """A span within this one, from now on or from this one's beginning."""

    def event(self, name: str, **facts: str | int) -> None:
        """Something happened now."""

    def put(self, **facts: str | int) -> None:
        """This is known about it."""

    def failed(self, why: str) -> None:
        """It did not end well; `why` is a condition or the name of an exception."""

    def end(self) -> None: ...


class ForPresence(Protocol):
    """What takes presence that is not simply passed on."""

    def broadcast(self, session: Session, view: View) -> Awaitable[None] | None:
        """Presence without `to` (RFC 6121 §4)."""

    def directed(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        """Available or unavailable presence to somebody (RFC 6121 §4.6)."""

    def subscription(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        """subscribe, subscribed, unsubscribe, unsubscribed (RFC 6121 §3)."""


class TraceSampler:
    """Lets a share of the stanzas leave traces; of the others some are timed, as without traces."""

    def __init__(self, begin: Callable[[str], Span], share: float, timer: StanzaTimer) -> None:
        """`share`: from 0 to 1."""
        self._begin = begin
        self._timer = timer
        often = share > 1 / EVERY
        self._unseen = round(1 / share) - 1 if often else EVERY
        self._share = 1.0 if often else share * EVERY

    def unseen(self) -> int:
        return self._unseen

    def handle(self, inbound: Inbound, session: Session, data: bytes) -> Awaitable[None] | None:
        traced = _Traced(self._begin, inbound)
        if self._share == 1.0:
            return self._timer.handle(traced, session, data)
        if random.random() < self._share:
            return traced.handle(session, data)
        return self._timer.handle(inbound, session, data)


class _Traced:
    """Handles one stanza and leaves a trace of it."""

    def __init__(self, begin: Callable[[str], Span], inbound: Inbound) -> None:
        self._begin = begin
        self._inbound = inbound

    def handle(self, session: Session, data: bytes) -> Awaitable[None] | None:
        root = self._begin("stanza")
        account = session.account
        root.put(bytes=len(data), sender_company=account.company.id, sender_account=account.id)
        twin = self._inbound.traced(root)
        return _spanned(root, lambda: twin.handle(session, data))


class TracedPipeline(Pipeline):
    """A pipeline with everything of another one, for one stanza."""

    def __init__(self, origin: Pipeline, root: Span) -> None:
        vars(self).update(vars(origin))
        self._root = root
        self._now = root
        """The span of the stage that is asked now."""
        self._is_admitted = False
        self._directory = _TracedDirectory(origin._directory, root)
        self._set_hooks(self._hooks)

    def route(self, p: Passage, fetches: int = MOST_FETCHES) -> Awaitable[None] | None:
        if not self._is_admitted:
            self._is_admitted = True
            self._root.child("admit", from_beginning=True).end()
            self._root.put(kind=p.kind, type=p.type)
        return super().route(p, fetches)

    def resolve(self, p: Passage) -> Passage | None:
        with self._stage("resolve"):
            return super().resolve(p)

    def _ask_gates(self, p: Passage) -> Lacking:
        with self._stage("gate"):
            return super()._ask_gates(p)

    def _when_kept(self, p: Passage, kept: Kept) -> Awaitable[None] | None:
        """As ever, but the trace ends when the message does."""
        assert kept.commit is not None, "a recorder says what it waits for"
        super()._when_kept(p, kept)
        return _awaited(self._root.child("commit"), until_settled(kept.commit))

    def _deliver(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        with self._stage("deliver"):
            outcome = super()._deliver(p)
        return (
            outcome if isinstance(outcome, Outcome) else _awaited(self._root.child("deliver later"), outcome)
        )

    def _nobody_online(self, p: Passage) -> Awaitable[Outcome] | Outcome:
        with self._stage("place"):
            return super()._nobody_online(p)

    def _observe(self, p: Passage, outcome: Outcome) -> None:
        self._root.put(outcome=outcome.value)
        if p.recipient is not None:
            self._root.put(recipient_company=p.recipient.company.id, recipient_account=p.recipient.id)
        super()._observe(p, outcome)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        around, self._now = self._now, self._root.child(name)
        try:
            yield
        except Exception as error:
            self._now.failed(_reason(error))
            raise
        finally:
            self._now.end()
            self._now = around

    def _of(self, stage: Stage) -> tuple[Any, ...]:
        owners = [hook.owner for hook in in_order(h for h in self._hooks if h.stage is stage)]
        return tuple(map(self._watched, [stage.value] * len(owners), owners, super()._of(stage)))

    def _watched(self, stage: str, owner: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = perf_counter()
            try:
                answer = handler(*arguments)
            except Exception as error:
                self._now.event(stage, plugin=owner, error=_reason(error))
                raise
            self._now.event(stage, plugin=owner, microseconds=int((perf_counter() - began) * 1e6))
            if inspect.isawaitable(answer):
                return _awaited(self._root.child(f"{stage} {owner}"), answer)
            return answer

        return call


class TracedAnswers(IqService):
    """Requests to the server and to one's own account."""

    def __init__(self, origin: IqService, root: Span) -> None:
        vars(self).update(vars(origin))
        self._root = root

    def ask(self, session: Session, target: Target, view: View) -> Awaitable[None] | None:
        self._root.put(kind="iq", type=view.attrs["type"], to=target.value, outcome="answered")
        return _spanned(
            self._root.child("answer"), lambda: super(TracedAnswers, self).ask(session, target, view)
        )

    def _refuse(self, request: IqRequest, error: Exception) -> None:
        self._root.put(outcome="refused" if isinstance(error, StanzaError) else "failed")
        super()._refuse(request, error)


class TracedPresence:
    """Presence that the account's own server takes."""

    def __init__(self, origin: ForPresence, root: Span) -> None:
        self._origin = origin
        self._root = root

    def broadcast(self, session: Session, view: View) -> Awaitable[None] | None:
        return self._traced("broadcast", view, lambda: self._origin.broadcast(session, view))

    def directed(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        return self._traced("directed", view, lambda: self._origin.directed(session, view, to))

    def subscription(self, session: Session, view: View, to: str) -> Awaitable[None] | None:
        return self._traced("subscription", view, lambda: self._origin.subscription(session, view, to))

    def _traced(
        self, name: str, view: View, work: Callable[[], Awaitable[None] | None]
    ) -> Awaitable[None] | None:
        self._root.put(kind="presence", type=view.attrs.get("type", ""))
        return _spanned(self._root.child(name), work)


class _TracedDirectory:
    def __init__(self, origin: Directory, root: Span) -> None:
        self._origin = origin
        self._root = root

    def peek(self, localpart: str) -> Account | None:
        return self._origin.peek(localpart)

    async def find(self, localpart: str) -> Account | None:
        return await _awaited(self._root.child("resolve later"), self._origin.find(localpart))


def _spanned(span: Span, work: Callable[[], Awaitable[None] | None]) -> Awaitable[None] | None:
    """Do it within this span, which ends when the work does, or what it waits for."""
    try:
        pending = work()
    except BaseException as error:
        span.failed(_reason(error))
        span.end()
        raise
    if pending is not None:
        return _awaited(span, pending)
    span.end()
    return None


async def _awaited(span: Span, pending: Awaitable[T]) -> T:
    try:
        return await pending
    except BaseException as error:
        span.failed(_reason(error))
        raise
    finally:
        span.end()


def _reason(error: BaseException) -> str:
    """What of an error may be told: nothing that was made of what a peer sent."""
    if isinstance(error, StanzaError | PeerViolation):
        return error.condition.value
    return type(error).__name__
