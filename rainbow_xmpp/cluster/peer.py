"""Another node of the region, as this one sees it: the two lanes between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rainbow_xmpp.cluster.items import VERSION, Frame, Hello, Item, Stanza, encode
from rainbow_xmpp.cluster.lane import Incoming, Outgoing, Overdue
from rainbow_xmpp.ids import new_stream_id

AGAIN_S = 1.0
"""So long what was sent may stay unacknowledged; then it is sent again."""


class Peer:
    """The lanes to and from one node, until it is gone. Times are seconds of a clock that only goes forward."""

    def __init__(
        self,
        hello: Hello,
        me: Hello,
        publish: Callable[[bytes], None],
        begin: Callable[[], Sequence[Item]],
    ) -> None:
        """`publish` hands data to the bus, for this node; `begin` gives what a new lane starts with."""
        self.number = hello.number
        self.incarnation = hello.incarnation
        self.heard_at = 0.0
        self.came_at = 0.0
        """When this node met it, in this incarnation (Unix time in seconds)."""
        self._me = me
        self._publish = publish
        self._begin = begin
        self._out = Outgoing()
        self._in = Incoming()
        self._ear = new_stream_id()
        self._their_ear = ""
        self._moved_at = 0.0
        self._owes_word = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another lane, which starts with everything the other node must know."""
        self._out = Outgoing()
        for item in self._begin():
            self._out.put(item)

    def put(self, item: Item) -> None:
        """Goes with the next `flush`."""
        try:
            self._out.put(item)
        except Overdue:
            self.begin_anew()

    def flush(self, now: float) -> None:
        """Send what is new."""
        if self._out.has_more and not self._out.is_waiting:
            self._moved_at = now
        for first, items in self._out.batches():
            self._say(first, items)

    def tick(self, now: float) -> None:
        """Now and then: say what was received, and what may have been lost once more."""
        if self._out.is_waiting and now - self._moved_at >= AGAIN_S:
            self._out.send_again()
            self._moved_at = now
        self.flush(now)
        if self._owes_word:
            self._say(self._out.acked + 1, [])

    def take(self, frame: Frame, now: float) -> list[Item]:
        """What is new in a frame, in order."""
        self.heard_at = now
        if frame.ear != self._their_ear:
            if self._their_ear:  # it took this node for gone, and has forgotten what it had
                self.begin_anew()
            self._their_ear = frame.ear
        if frame.got_lane == self._out.name:
            before = self._out.acked
            self._out.got(frame.got)
            if self._out.acked != before:
                self._moved_at = now
            if frame.is_missing_some:
                self._out.send_again()
        if not frame.items:
            return []
        new = self._in.take(frame.lane, frame.first, frame.items)
        if new is None:
            self._say(self._out.acked + 1, [], is_missing_some=True)
            return []
        self._owes_word = True
        return new

    def undelivered(self) -> list[tuple[Stanza, float]]:
        """What the node has not said it has, and since when it was to have it (monotonic, seconds)."""
        return self._out.undelivered()

    def _say(self, first: int, items: list[Item], *, is_missing_some: bool = False) -> None:
        me = self._me
        self._owes_word = False
        frame = Frame(
            VERSION, me.number, me.incarnation, self._out.name, first, items, self._in.name, self._in.got,
            self._ear, is_missing_some,
        )  # fmt: skip
        self._publish(encode(frame))
