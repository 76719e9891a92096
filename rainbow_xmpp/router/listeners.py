"""Who sees presence as it comes in, and who takes messages to the server itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rainbow_xmpp.session import Session
from rainbow_xmpp.xml import View

PresenceListener = Callable[[Session, View], View | None]
"""Called with each presence stanza of a client, once, before it is handled. What it returns, if anything, goes on in
its place. StanzaError refuses it."""
MessageTaker = Callable[[Session, View], Awaitable[None] | bool]
"""Asked about a message to the server: False when it is for somebody else."""


class PresenceListeners:
    """In the order in which they were added."""

    def __init__(self) -> None:
        self.all: tuple[PresenceListener, ...] = ()
        self._owners: dict[PresenceListener, str] = {}

    def add(self, owner: str, listener: PresenceListener) -> Callable[[], None]:
        self._owners[listener] = owner
        self.all = tuple(self._owners)

        def undo() -> None:
            self._owners.pop(listener, None)
            self.all = tuple(self._owners)

        return undo

    def owners(self) -> set[str]:
        return set(self._owners.values())


class ServerMessages:
    """Messages to the domain, or to a resource of it (RFC 6120 §10.5.1)."""

    def __init__(self) -> None:
        self._takers: dict[MessageTaker, str] = {}

    def add(self, owner: str, taker: MessageTaker) -> Callable[[], None]:
        self._takers[taker] = owner
        return lambda: self._drop(taker)

    def _drop(self, taker: MessageTaker) -> None:
        self._takers.pop(taker, None)

    def owners(self) -> set[str]:
        return set(self._takers.values())

    def take(self, session: Session, view: View) -> Awaitable[None] | bool:
        """The first that takes it has it; False when nobody does."""
        for taker in list(self._takers):
            taken = taker(session, view)
            if taken is not False:
                return taken
        return False
