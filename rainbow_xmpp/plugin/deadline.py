"""Every handler that waits has a deadline."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from time import perf_counter
from typing import Any

from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.observe.timings import PluginFigures
from rainbow_xmpp.router.kept import Kept
from rainbow_xmpp.router.passage import Passage

log = logging.getLogger(__name__)

Handler = Callable[..., Any]
AT_HAND = (Kept, Passage, bool)
"""What most handlers answer that do not wait: sooner told than anything that is not awaitable."""
Late = Callable[[], Exception]
"""What a handler that took too long raises."""


def too_late() -> StanzaError:
    """For the sender of a stanza: later it may work (RFC 6120 §8.3.3.18)."""
    return StanzaError(Condition.RESOURCE_CONSTRAINT, detail="a handler took too long")


def in_time(
    owner: str,
    handler: Handler,
    deadline_s: float,
    figures: PluginFigures,
    late: Late | None = too_late,
) -> Handler:
    """The same handler; what it waits for is measured, and cancelled at its deadline, which is logged.

    Without `late` nothing is raised then. A handler that does not wait costs one look at what it returns.
    """
    name = getattr(handler, "__qualname__", repr(handler))

    async def within(answering: Awaitable[Any]) -> Any:
        began = perf_counter()
        timer = asyncio.timeout(deadline_s)
        try:
            async with timer:
                return await answering
        except TimeoutError:
            if not timer.expired():
                raise
            figures.late(owner)
            log.warning("%s took longer than %g s", name, deadline_s, extra={"plugin": owner})
            if late is not None:
                raise late() from None
            return None
        finally:
            figures.waited(owner, perf_counter() - began)

    def call(*arguments: Any) -> Any:
        answer = handler(*arguments)
        if answer is None or isinstance(answer, AT_HAND) or not inspect.isawaitable(answer):
            return answer
        return Bounded(within, answer)

    return call


class Bounded:
    """What a handler answers in time; to be awaited once, or closed when nobody is going to."""

    __slots__ = ("_answering", "_within")

    def __init__(
        self, within: Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]], answering: Awaitable[Any]
    ) -> None:
        self._within = within
        self._answering = answering

    def __await__(self) -> Generator[Any, None, Any]:
        return self._within(self._answering).__await__()

    def close(self) -> None:
        """Nothing of it is done."""
        if isinstance(self._answering, Coroutine):
            self._answering.close()
