"""What somebody is to a plugin who has a secure stream and has not logged in."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rainbow_xmpp.stream import EarlyRequest


@dataclass(frozen=True, slots=True)
class Stranger:
    """Whoever has not logged in, on one connection, as one plugin sees them."""

    source: str
    """The network address, for limits and never for logs."""
    language: str
    """One of `rainbow_xmpp.languages`, by the stream header."""
    allow_time: Callable[[int], None]
    """Give them so many seconds more to log in, since they wait for something outside, such as a letter: once for each
    connection, and only after what other limits have counted."""
    memory: dict[str, Any] = field(default_factory=dict, repr=False)
    """What the plugin remembers of them until they log in or leave."""


@dataclass(frozen=True, slots=True)
class EarlyReply:
    """An element for the stranger, with its namespaces declared; nothing where the protocol has no answer.

    With `is_question` they have to settle this before they can log in: another request of theirs does.
    """

    data: bytes
    is_question: bool = False


class AnswersStrangers(Protocol):
    """Asks the plugin that answers such a request."""

    async def answer(
        self, request: EarlyRequest, strangers: MutableMapping[str, Stranger], new: Callable[[], Stranger]
    ) -> EarlyReply:
        """What the plugin says. `strangers` is what the plugins know of this connection, by plugin; `new` makes one.

        Raises PeerViolation when the stranger broke the rules of the protocol; what fails on our side is told in the
        answer.
        """


class NobodyAnswers:
    """Where no plugin does."""

    async def answer(
        self, request: EarlyRequest, strangers: MutableMapping[str, Stranger], new: Callable[[], Stranger]
    ) -> EarlyReply:
        raise AssertionError(f"nobody answers {request.name}")
