"""The layer between an inactive client and its connection, which lets unimportant stanzas wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.plugin import Layer, Session, Wire
from rainbow_xmpp.plugins.client_state.worth import Key, key_of
from rainbow_xmpp.xml import scan_again


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait for one client; what comes beyond takes all of it along."""

    stanzas: int
    bytes: int


class Keeper(Protocol):
    """Who keeps the clients that are left in peace."""

    bounds: Bounds

    def waits(self, quiet: Quiet, is_waiting: bool) -> None:
        """Something waits from now on, or nothing does any more."""

    def spared(self) -> None:
        """A stanza is not sent at all, since a later one says more."""

    def over(self, session: Session) -> None:
        """The layer of this session is gone."""


class Quiet(Layer):
    """Of presence and chat states the last one of each sender waits; everything important takes along what waits.

    It goes when the client becomes active, and when another connection carries the session, or none does: whoever
    resumes a stream begins active (XEP-0352 §5.2).
    """

    __slots__ = ("_bytes", "_held", "_keeper", "_session")

    def __init__(self, session: Session, keeper: Keeper) -> None:
        super().__init__(session.wire)
        self._session = session
        self._keeper = keeper
        self._held: dict[Key, bytes] = {}
        self._bytes = 0

    def send(self, data: bytes) -> None:
        key = None if data.startswith(b"<iq") else self._key(data)
        if key is None:
            self.flush()
            self.below.send(data)
            return
        if not self._held:
            self._keeper.waits(self, True)
        earlier = self._held.pop(key, None)  # the later one stands where it came
        if earlier is not None:
            self._bytes -= len(earlier)
            self._keeper.spared()
        self._held[key] = data
        self._bytes += len(data)
        bounds = self._keeper.bounds
        if len(self._held) > bounds.stanzas or self._bytes > bounds.bytes:
            self.flush()

    def _key(self, data: bytes) -> Key | None:
        return key_of(scan_again(data), self._session.bare, self._session.full)

    def flush(self) -> None:
        """Send what waits, in its order."""
        if not self._held:
            return
        held, self._held, self._bytes = self._held, {}, 0
        self._keeper.waits(self, False)
        for data in held.values():
            self.below.send(data)

    def remove(self) -> None:
        """The client is active."""
        self.flush()
        self._session.take_off(self)
        self._keeper.over(self._session)

    def move_to(self, link: Wire) -> None:
        self.flush()  # stream management, below, has it then, whatever became of the connection
        super().move_to(link)
        self.remove()

    def fail(self, violation: PeerViolation) -> None:
        self.flush()
        super().fail(violation)

    def end(self, data: bytes = b"") -> None:
        self.flush()
        super().end(data)

    def peer_closed(self) -> None:
        self.flush()
        super().peer_closed()
