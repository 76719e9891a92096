"""One client connection, whatever carries it: from the first byte through login to the bound session.

`WebSocketLink` and `TcpLink` add how bytes are framed. Everything that is decided is decided in `session` and
`router`; a link only moves bytes, and closes what does not behave.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.session.homeward import Guest, Relayed, WayHome
from rainbow_xmpp.session.login import Login
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.stream import Framing, Open
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.reading import Reading

log = logging.getLogger(__name__)

NO_PREFIXES: dict[str, str] = {}
_WRITE_HIGH_BYTES = 262_144


class Link(Reading):
    """The part of a connection that is the same on every transport; asyncio's protocol of its socket."""

    __slots__ = (
        "_is_paused",
        "_login",
        "_out",
        "_relayed",
        "_session",
        "_shared",
        "_transport",
        "is_choked",
        "is_closing",
        "number",
        "prefixes",
        "source",
    )

    _login: Login | None
    _session: Session | None
    _out: list[bytes] | None
    framing: Framing
    stanza_ns: str
    session_counter: str
    """Which of the counters has this transport's sessions."""
    can_bind_channel = True
    """Browsers cannot see the TLS channel, so a WebSocket offers no -PLUS mechanisms."""

    def _begin(
        self,
        shared: LinkShared,
        source: str,
        *,
        is_secure: bool = True,
        sees_channel: bool = True,
        relayed: Relayed | None = None,
    ) -> None:
        self._transport: Any = None
        self._relayed = relayed
        self._shared = shared
        self.number = next(shared.numbers)
        self._session = None
        self._out = None
        self.is_choked = False
        self._is_paused = False
        self.is_closing = False
        self.prefixes = NO_PREFIXES
        self.source = source
        can_bind = self.can_bind_channel and sees_channel and is_secure
        bindings: Mapping[str, bytes] = shared.bindings() if can_bind else {}
        self._login = Login(
            shared.entrance, self, self.framing, source, bindings, is_secure=is_secure, relayed=relayed
        )
        shared.deadlines.add(self)

    # -- what a transport provides ---------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send one stanza, at the end of this turn of the loop."""
        raise AssertionError("each transport frames in its own way")

    def hang_up(self) -> None:
        """Close the connection once what was sent is written."""
        raise AssertionError("each transport hangs up in its own way")

    def restart_stream(self) -> None:
        """The next thing from the peer is a stream header."""

    def set_limit(self, max_bytes: int) -> None:
        """The greatest size of one element from now on."""

    def start_tls(self) -> None:
        raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="STARTTLS on a secure connection")

    def proceed(self) -> None:
        """A login step that waited is done: hand over what arrived meanwhile."""

    def ping(self) -> None:
        """Make the peer show that it is there."""

    def retell(self, said: bytes) -> None:
        """The peer said this to the region that took it in: a stream header or an element, without a frame."""
        raise AssertionError("each transport reads in its own way")

    def _unread(self) -> bytes:
        """What has been received and not looked at, as it came."""
        raise AssertionError("each transport reads in its own way")

    def _framed(self, parts: tuple[bytes, ...]) -> bytes:
        """The end of a stream, as it goes over the wire."""
        raise AssertionError("each transport frames in its own way")

    # -- the socket ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Also when STARTTLS has put another transport in the place of the first."""
        first = self._transport is None
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)  # type: ignore[attr-defined]
        sock = transport.get_extra_info("socket")
        if first and sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def eof_received(self) -> None:
        self.is_closing = True  # the transport closes itself, once what was sent is read
        self._session_over(lost=True)
        self.abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()

    def pause_writing(self) -> None:
        self.is_choked = True

    def resume_writing(self) -> None:
        self.is_choked = False

    def pause(self) -> None:
        """Stop reading."""
        self._is_paused = True
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        if not self.is_closing:
            self._transport.resume_reading()

    def had_much(self) -> None:
        """Whoever sends much is read on in the next turn of the loop, after everybody else."""
        if not self._is_paused and not self.is_closing:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._is_paused and not self.is_closing:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- the login's and the session's side ------------------------------------------------------------

    def become(self, session: Session) -> None:
        """The login is done: everything received goes to this session."""
        self._session = session
        login, self._login = self._login, None
        self._count_session(+1)
        if login is not None:
            self._shared.entrance.login_times.observe(monotonic() - login.began)
            log.debug("bound", extra=self._known())
        session.last_heard = self._shared.deadlines.tick
        self.set_limit(self._shared.limits.stanza_bytes)
        self._shared.deadlines.discard(self)
        self._shared.logged_in(self.source)
        if self._relayed is not None:
            self._relayed.logged_in()

    def go_home(self, way: WayHome) -> None:
        """The login goes on in another region: bytes pass through here from now on, and nothing else."""
        if self.is_closing:
            way.close()
            return
        self.flush()
        self.is_closing = True
        self._login = None
        shared, source = self._shared, self.source
        shared.deadlines.discard(self)
        lost = PeerViolation(StreamCondition.REMOTE_CONNECTION_FAILED, "try again later")
        way.carry(
            Guest(
                self._transport,
                self._unread(),
                self._framed(self.framing.farewell(lost)),
                lambda: shared.logged_in(source),
                lambda half_open: shared.left(source, was_half_open=half_open),
            )
        )

    def come_home(self, said: tuple[bytes, ...]) -> None:
        """Another region took the peer in and heard this; of it only the last is not answered yet."""
        login = self._login
        for number, each in enumerate(said, 1):
            if login is not None:
                login.is_retold = number < len(said)
            self.retell(each)

    def fail(self, violation: PeerViolation) -> None:
        """Close the stream with an error (RFC 6120 §4.9)."""
        if self.is_closing:
            return
        if violation.detail:
            log.debug("stream closed: %s: %s", violation.condition, violation.detail, extra=self._known())
        self._shared.counters.stream_errors[violation.condition] += 1
        login = self._login
        if login is not None and not login.has_greeted and not login.is_retold:
            self.send(login.greeting())
        for frame in self.framing.farewell(violation):
            self.send(frame)
        self.end()

    def end(self, data: bytes = b"") -> None:
        """Send this and close the connection; nothing the peer still says is heard."""
        if self.is_closing:
            return
        if data:
            self.send(data)
        self.is_closing = True
        self._session_over()
        self.flush()
        self.hang_up()

    def give_way(self) -> None:
        """The session goes on with another connection (XEP-0198 §5)."""
        if self._session is not None:
            self._session = None
            self._count_session(-1)
        self.fail(PeerViolation(StreamCondition.CONFLICT, "replaced by a new connection"))

    def _collect(self, *parts: bytes) -> None:
        """Remember what to write; the first in a turn, or too much for one."""
        out = self._out
        if out is None:
            self._out = [*parts]
            self._shared.outbox.add(self)
        else:
            out += parts
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        out, self._out = self._out, None
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            if self.is_choked:
                self._check_output(self._transport.get_write_buffer_size())

    def _session_over(self, *, lost: bool = False) -> None:
        """The session ends with its stream: nothing is sent there while the connection is being closed.

        `lost`: nobody closed the stream (XEP-0198 §7). Done a moment later, for it may be the session itself that is
        being ended, or one of many.
        """
        session, self._session = self._session, None
        if session is not None:
            self._count_session(-1)
            log.debug("session ended", extra={"stream": self.number, "account": session.account.id})
            asyncio.get_running_loop().call_soon(self._shared.ended, session, self, lost)

    def _known(self) -> dict[str, object]:
        """What the log says of this connection."""
        session = self._session
        return {"stream": self.number} | ({"account": session.account.id} if session is not None else {})

    def _count_session(self, change: int) -> None:
        counters, name = self._shared.counters, self.session_counter
        setattr(counters, name, getattr(counters, name) + change)

    def slowed(self) -> None:
        """The session sends faster than it may and has to wait."""
        self._shared.counters.limit_pace += 1

    def allow_time(self, seconds: int) -> None:
        """So much more time to log in (`Deadlines.extend`)."""
        self._shared.deadlines.extend(self, seconds)

    def timed_out(self) -> None:
        """Too long without a login."""
        self._shared.counters.limit_login_time += 1
        self.fail(PeerViolation(StreamCondition.CONNECTION_TIMEOUT, "log in sooner"))
        self.abort_later()

    def abort_later(self) -> None:
        """A peer that does not read its goodbye is cut off."""
        self._shared.deadlines.abort_soon(self)

    # -- the peer's side -------------------------------------------------------------------------------

    def _peer_opened(self, header: Open, raw: bytes) -> None:
        if self._login is None:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="a stream header on a bound stream")
        self._login.opened(header, raw)

    def peer_closed(self) -> None:
        """The peer ended its stream; answer likewise and hang up (RFC 6120 §4.4)."""
        if self._login is not None:
            self._login.peer_closed()
        if not self.is_closing:
            self.end(self.framing.close)

    def _guarded(self, step: Callable[..., Any], *arguments: Any) -> None:
        """Do this for the peer; a violation closes its stream, a fault of ours as well."""
        try:
            step(*arguments)
        except PeerViolation as violation:
            self.fail(violation)
        except Exception:  # around one connection: everyone else is served on
            log.exception("a connection failed", extra=self._known())
            self.fail(PeerViolation(StreamCondition.INTERNAL_SERVER_ERROR))

    def _lost(self) -> None:
        """The connection is gone."""
        self.is_closing = True
        self._out = None
        self._shared.deadlines.discard(self)
        login, self._login = self._login, None
        self._shared.left(self.source, was_half_open=login is not None)
        self._session_over(lost=True)

    def _check_output(self, waiting_bytes: int) -> None:
        """A peer that does not read is cut off at its output budget."""
        if waiting_bytes > self._shared.limits.output_bytes and not self.is_closing:
            log.info("a peer that does not read was cut off", extra=self._known())
            counters = self._shared.counters
            counters.limit_output += 1
            counters.stream_errors[StreamCondition.RESOURCE_CONSTRAINT] += 1
            self.is_closing = True
            self.abort()


def raise_again(error: Exception) -> None:
    """For `_guarded`, where the error has been caught already."""
    raise error
