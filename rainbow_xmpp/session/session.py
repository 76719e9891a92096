"""One bound resource (RFC 6120 §7): its identity, its presence, and the lane its stanzas travel in."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.jid import JID
from rainbow_xmpp.session.layer import Layer, Nowhere
from rainbow_xmpp.session.limits import UNHURRIED, Pace
from rainbow_xmpp.session.remote import RemoteWire
from rainbow_xmpp.stream import LANGUAGE, NO_AGENT, UserAgent
from rainbow_xmpp.xml import View, escape_attr, stamp

if TYPE_CHECKING:
    from rainbow_xmpp.session.table import Home
    from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)

LANE_STANZAS = 64
"""So many stanzas of one session may wait behind one that waits for the database; then its socket is not read."""
REST_S = 0.1
"""A session that sends too fast is not read for at least so long."""
MOST_REST_S = 5.0
"""And looks so often whether the limits have been changed meanwhile."""

ENDED_BY_ADMINISTRATOR = PeerViolation(
    StreamCondition.POLICY_VIOLATION, "an administrator ended this session"
)


class Wire(Protocol):
    """What a session writes to; the transport's end of it."""

    stanza_ns: str
    """The default namespace that stanzas inherit on this transport ("" on a WebSocket)."""
    number: int
    """What the log calls this connection."""
    source: str
    """The peer's network address, for limits and never for logs."""
    prefixes: dict[str, str]
    """Prefixes that the peer declared on its stream header (TCP only)."""

    @property
    def is_choked(self) -> bool:
        """Much waits to be read by the peer: who has more to send, and can wait, waits."""

    def send(self, data: bytes) -> None:
        """Send one stanza; never blocks. A peer that does not read is cut off at its output budget."""

    def fail(self, violation: PeerViolation) -> None:
        """Close the stream with this stream error."""

    def end(self, data: bytes = b"") -> None:
        """Send this and close the connection."""

    def peer_closed(self) -> None:
        """The peer ended its stream: answer likewise and hang up (RFC 6120 §4.4)."""

    def abort(self) -> None:
        """Close the connection at once."""

    def give_way(self) -> None:
        """Close the stream with `conflict`; the session goes on with another connection (XEP-0198 §5)."""

    def pause(self) -> None:
        """Stop reading from the peer."""

    def resume(self) -> None:
        """Read again."""

    def slowed(self) -> None:
        """The peer sends faster than it may and has to wait."""

    def ping(self) -> None:
        """Make the peer show that it is there, without a stanza it could see."""


class Settling(Protocol):
    """A commit that stanzas of a session wait for; until then the server must not say that it has them."""

    is_settled: bool
    """It is over: what was to be kept is on the disk, or its sender was told that it is not."""

    def after(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call this when it is over, behind everything that waits for it already."""


Handler = Callable[["Session", bytes], Awaitable[None] | None]


class Session:
    """One bound resource.

    Its stanzas are handled strictly one after the other: as plain calls while nothing waits, and in a lane behind
    the one that waits otherwise, so what one client sends arrives in the order it was sent (RFC 6120 §10.1).
    """

    __slots__ = (
        "_bytes_left",
        "_handle",
        "_lane",
        "_pace",
        "_refilled_at",
        "_stanzas_left",
        "_task",
        "account",
        "agent",
        "app_password",
        "bare",
        "directed",
        "family",
        "full",
        "home",
        "is_interested",
        "lang",
        "last_heard",
        "presence",
        "priority",
        "resource",
        "takes_since",
        "through",
        "unsettled",
        "wire",
    )

    def __init__(
        self,
        account: Account,
        full: str,
        home: Home,
        wire: Wire,
        handle: Handler,
        pace: Pace = UNHURRIED,
        lang: str = LANGUAGE,
        agent: UserAgent = NO_AGENT,
    ) -> None:
        """`lang` is the default language of the peer's stream (RFC 6120 §4.7.4)."""
        self.account = account
        self.home = home
        self.full = full
        self.bare = home.bare
        self.resource = full[len(home.bare) + 1 :]
        self.family = ""
        """The login of the API whose token let it in; it ends with that."""
        self.through = ""
        """The region that its client came in at, when that is another; "" when it came directly."""
        self.app_password = ""
        """The id of the app password that let it in; it ends with that."""
        self.wire = wire
        self.agent = agent
        """What the client said of itself; for the account's own user only (XEP-0388 §2.3)."""
        self.lang = _told(lang)
        """What is added to stanzas that name no language: nothing where it is the one that receivers assume."""
        self.presence: bytes | None = None
        """The last available presence, stamped, without `to`; None while unavailable (RFC 6121 §4)."""
        self.priority = 0
        self.directed: set[str] | None = None
        """Who got directed presence and must hear of the end (RFC 6121 §4.6)."""
        self.is_interested = False
        """Asked for the roster, so roster pushes go here (RFC 6121 §2.1.6)."""
        self.last_heard = 0
        self.takes_since = monotonic()
        """Since when it takes messages for the bare JID (monotonic, seconds); before, when it came to be here."""
        self.unsettled: Settling | None = None
        """The commit that the peer's last kept stanza waits for; None, or one that is settled, when none does."""
        self._refilled_at = 0.0
        self.use_pace(pace)
        self._handle = handle
        self._lane: deque[bytes] | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Session of {self.account.id}>"

    @property
    def jid(self) -> JID:
        return JID.parse(self.full)

    @property
    def link(self) -> Wire:
        """The connection itself, under all layers: where to write what is no stanza."""
        wire = self.wire
        while isinstance(wire, Layer):
            wire = wire.below
        return wire

    @property
    def is_adrift(self) -> bool:
        """Its connection was lost, and it waits for another one (XEP-0198 §5)."""
        return isinstance(self.link, Nowhere)

    @property
    def is_remote(self) -> bool:
        """Its connection is with another node."""
        return isinstance(self.wire, RemoteWire)

    @property
    def handler(self) -> Handler:
        """What is received goes there."""
        return self._handle

    def put_lowest(self, layer: Layer, handle: Handler) -> None:
        """Put this layer on the connection, under all others; from now on `handle` gets what is received."""
        wire = self.wire
        if isinstance(wire, Layer):
            while isinstance(wire.below, Layer):
                wire = wire.below
            wire.below = layer
        else:
            self.wire = layer
        self._handle = handle

    def take_off(self, layer: Layer) -> None:
        """Take this layer away; what lay above it lies on what was below it."""
        if self.wire is layer:
            self.wire = layer.below
            return
        above = self.wire
        while isinstance(above, Layer):
            if above.below is layer:
                above.below = layer.below
                return
            above = above.below

    def move_to(self, link: Wire, lang: str) -> None:
        """Another connection, whose stream has this language, carries this session now; the old one gives way."""
        before = self.link
        if isinstance(self.wire, Layer):
            self.wire.move_to(link)
        else:
            self.wire = link
        self.lang = _told(lang)
        if before is not link:
            before.give_way()
        if self._lane is not None and len(self._lane) >= LANE_STANZAS:
            link.pause()

    def signed(self, view: View, to: str | None = None) -> bytes:
        """The peer's stanza as others get it: its `from` stamped (RFC 6120 §8.1.2.1), its language told (§8.1.5)."""
        data = stamp(view, from_=self.full, to=to)
        return self.in_own_language(view, data) if self.lang else data

    def in_own_language(self, view: View, data: bytes) -> bytes:
        """What was made of the peer's stanza, with the default language of its stream where it names none."""
        if not self.lang or "xml:lang" in view.attrs:
            return data
        name_end = len(view.name) + 1
        return data[:name_end] + self.lang + data[name_end:]

    def receive(self, data: bytes) -> None:
        """One element from the peer, not yet judged."""
        lane = self._lane
        if lane is not None:
            lane.append(data)
            if len(lane) == LANE_STANZAS:
                self.wire.pause()
            return
        self._stanzas_left -= 1
        self._bytes_left -= len(data)
        if (self._stanzas_left < 0 or self._bytes_left < 0) and self._rest_s():
            self.wire.pause()
            self.wire.slowed()
            self.wait_for(self._handle_rested(data))
            return
        try:
            pending = self._handle(self, data)
        except PeerViolation as violation:
            self.wire.fail(violation)
            return
        if pending is not None:
            self.wait_for(pending)

    def use_pace(self, pace: Pace) -> None:
        """From now on so much may be sent; what is there for one burst is there anew."""
        self._pace = pace
        self._stanzas_left = pace.stanzas_at_once
        self._bytes_left = pace.bytes_at_once

    def _rest_s(self) -> float:
        """Earn what the time since the last look is worth; the seconds in which the rest of a debt is earned.

        Looked at only when something has run out, so an idle time counts for at most one burst more, or for
        the one stanza that is larger than a burst.
        """
        now = asyncio.get_running_loop().time()
        seconds, self._refilled_at = now - self._refilled_at, now
        stanzas_per_second, most_stanzas, bytes_per_second, most_bytes = self._pace
        rest_s = 0.0
        if stanzas_per_second:
            self._stanzas_left = left = _earned(
                self._stanzas_left, seconds * stanzas_per_second, most_stanzas
            )
            rest_s = max(rest_s, -left / stanzas_per_second)
        if bytes_per_second:
            self._bytes_left = left = _earned(self._bytes_left, seconds * bytes_per_second, most_bytes)
            rest_s = max(rest_s, -left / bytes_per_second)
        return rest_s

    async def _handle_rested(self, data: bytes) -> None:
        """Handle a stanza that came too soon, when it is time."""
        while rest_s := self._rest_s():  # noqa: ASYNC110  # time is what it waits for
            await asyncio.sleep(min(max(rest_s, REST_S), MOST_REST_S))
        pending = self._handle(self, data)
        if pending is not None:
            await pending

    def wait_for(self, pending: Awaitable[None]) -> None:
        """Let the peer's next stanzas wait until this is done."""
        self._lane = deque()
        self._task = asyncio.get_running_loop().create_task(self._drain(pending))

    async def _drain(self, pending: Awaitable[None]) -> None:
        lane = self._lane
        assert lane is not None
        try:
            await pending
            while lane:
                data = lane.popleft()
                if len(lane) == LANE_STANZAS // 2:
                    self.wire.resume()
                self._stanzas_left -= 1
                self._bytes_left -= len(data)
                if self._stanzas_left < 0 or self._bytes_left < 0:
                    await self._handle_rested(data)
                    continue
                more = self._handle(self, data)
                if more is not None:
                    await more
        except PeerViolation as violation:
            self.wire.fail(violation)
        except Exception:  # around one connection: everyone else is served on
            log.exception(
                "a stanza that waited could not be handled",
                extra={"stream": self.wire.number, "account": self.account.id},
            )
            self.wire.fail(PeerViolation(StreamCondition.INTERNAL_SERVER_ERROR))
        finally:
            self._lane = None
            self._task = None
            self.wire.resume()

    @property
    def is_busy(self) -> bool:
        """A stanza of the peer's waits for something, and the next ones wait for it."""
        return self._lane is not None

    @property
    def waits_for_us(self) -> bool:
        """Who asks is what the peer's next stanzas wait for, and would wait for them in vain."""
        return self._task is not None and self._task is asyncio.current_task()

    async def idle(self) -> None:
        """Wait until no stanza of the peer's is under way."""
        while self._task is not None:
            await asyncio.wait((self._task,))

    def close(self) -> Awaitable[None] | None:
        """Drop what waits in the lane; the stanza under way is finished. Await the result, if there is one."""
        if self._lane is not None:
            self._lane.clear()
        return self._task

    def is_of_same_client(self, other: Session) -> bool:
        """Both are of one installation of a client, which said so (XEP-0386 §3.2)."""
        return bool(self.agent.id) and self.agent.id == other.agent.id

    def end_by_administrator(self) -> None:
        """An administrator ended this session; its owner may log in again (XEP-0133 §4.5)."""
        self.wire.fail(ENDED_BY_ADMINISTRATOR)

    def outlive_password(self) -> Callable[[], None]:
        """Its client sets another password, which ends what the old one began: this session goes on.

        To be called in the transaction that sets it; returns what undoes it.
        """
        before = self.account
        self.account = replace(before, epoch=before.epoch + 1)

        def undo() -> None:
            self.account = before

        return undo

    def replace_with_conflict(self) -> None:
        """Another connection took this resource (RFC 6120 §7.7.2.2)."""
        self.wire.fail(PeerViolation(StreamCondition.CONFLICT, "replaced by a new connection"))


def _told(lang: str) -> bytes:
    return b"" if lang == LANGUAGE else f" xml:lang='{escape_attr(lang)}'".encode()


def _earned(left: float, worth: float, most: float) -> float:
    """What is left when time was worth so much: debts are paid first, and no more is kept than one burst."""
    return min(left + min(worth, max(most, -left)), most)
