"""The layer of a session that is being given what waited: newer messages wait behind the older ones."""

from __future__ import annotations

from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.plugin import Layer, Session
from rainbow_xmpp.plugins.archive.owners import Owner

MOST_BYTES = 4_194_304
"""What may wait here; beyond it newer messages go out at once, whatever is left of the older ones."""


class Behind(Layer):
    """Holds messages back until `remove`. Everything else passes.

    A message that was handed over and comes by itself as well, having been written in that moment, is sent once.
    """

    __slots__ = ("_bytes", "_given", "_held", "_session")

    def __init__(self, session: Session) -> None:
        super().__init__(session.wire)
        self._session = session
        self._held: list[bytes] = []
        self._bytes = 0
        self._given: set[int] = set()

    def send(self, data: bytes) -> None:
        if not data.startswith(b"<message"):
            self.below.send(data)
            return
        self._held.append(data)
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self._let_out(None)

    def hand_over(self, data: bytes, number: int) -> None:
        """One of those that waited, with its number."""
        self._given.add(number)
        self.below.send(data)

    def remove(self, owner: Owner | None = None) -> None:
        """Nothing older is left: what was held back follows. `owner` is whose log the numbers are of."""
        self._let_out(owner)
        self._session.take_off(self)

    def _let_out(self, owner: Owner | None) -> None:
        held, self._held, self._bytes = self._held, [], 0
        for data in held:
            if owner is None or owner.number_in(data) not in self._given:
                self.below.send(data)

    # The end of a session: what is below, stream management perhaps, is to know what was meant for it.

    def fail(self, violation: PeerViolation) -> None:
        self._let_out(None)
        super().fail(violation)

    def end(self, data: bytes = b"") -> None:
        self._let_out(None)
        super().end(data)

    def peer_closed(self) -> None:
        self._let_out(None)
        super().peer_closed()

    def abort(self) -> None:
        self._let_out(None)
        super().abort()
