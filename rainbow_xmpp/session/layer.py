"""What lies between a session and its connection: router → (CSI) → (stream management) → transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rainbow_xmpp.xml import names

if TYPE_CHECKING:
    from rainbow_xmpp.errors import PeerViolation
    from rainbow_xmpp.session.session import Wire


class Nowhere:
    """In the place of a connection that was lost: what is written there is gone."""

    __slots__ = ("number", "prefixes", "source", "stanza_ns")

    is_choked = False

    def __init__(self, lost: Wire | None = None) -> None:
        """What was received on the lost connection may still be read as it was meant there."""
        if lost is None:
            self.stanza_ns, self.number, self.prefixes, self.source = names.CLIENT, 0, {}, ""
            return
        self.stanza_ns, self.number, self.prefixes = lost.stanza_ns, lost.number, lost.prefixes
        self.source = lost.source

    def send(self, data: bytes) -> None: ...

    def fail(self, violation: PeerViolation) -> None: ...

    def end(self, data: bytes = b"") -> None: ...

    def peer_closed(self) -> None: ...

    def abort(self) -> None: ...

    def give_way(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def slowed(self) -> None: ...

    def ping(self) -> None: ...


class Layer:
    """A `Wire` on top of another one, which does what that does. Put there by `session.wire = Layer(session.wire)`.

    Sessions without layers pay nothing for it.
    """

    __slots__ = ("below", "number", "prefixes", "source", "stanza_ns")

    def __init__(self, below: Wire) -> None:
        self.below = below
        self._look_below()

    def move_to(self, link: Wire) -> None:
        """Another connection carries the session from now on, at the bottom of all layers."""
        if isinstance(self.below, Layer):
            self.below.move_to(link)
        else:
            self.below = link
        self._look_below()

    def _look_below(self) -> None:
        below = self.below
        self.stanza_ns, self.number, self.prefixes = below.stanza_ns, below.number, below.prefixes
        self.source = below.source

    @property
    def is_choked(self) -> bool:
        return self.below.is_choked

    def send(self, data: bytes) -> None:
        self.below.send(data)

    def fail(self, violation: PeerViolation) -> None:
        self.below.fail(violation)

    def end(self, data: bytes = b"") -> None:
        self.below.end(data)

    def peer_closed(self) -> None:
        self.below.peer_closed()

    def abort(self) -> None:
        self.below.abort()

    def give_way(self) -> None:
        self.below.give_way()

    def pause(self) -> None:
        self.below.pause()

    def resume(self) -> None:
        self.below.resume()

    def slowed(self) -> None:
        self.below.slowed()

    def ping(self) -> None:
        self.below.ping()
