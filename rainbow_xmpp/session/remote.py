"""Sessions of other nodes, as they stand in this node's table: what is written to them goes to their own node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rainbow_xmpp.session.layer import Nowhere

if TYPE_CHECKING:
    from rainbow_xmpp.errors import PeerViolation


class RemoteWire(Nowhere):
    """In the place of a connection that another node has. Only stanzas, and the end, go there."""

    __slots__ = ("_end", "_hand_over", "node")

    def __init__(
        self, node: int, hand_over: Callable[[bytes], None], end: Callable[[PeerViolation], None]
    ) -> None:
        """`hand_over` takes a stanza, `end` the stream error to end it with; `node` is the other's number."""
        super().__init__()
        self.node = node
        self._hand_over = hand_over
        self._end = end

    def send(self, data: bytes) -> None:
        self._hand_over(data)

    def fail(self, violation: PeerViolation) -> None:
        self._end(violation)
