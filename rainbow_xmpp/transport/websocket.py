"""XMPP on a WebSocket (RFC 7395): one element in each text message."""

from __future__ import annotations

from collections import deque

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.session.homeward import Relayed
from rainbow_xmpp.session.login import Login
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.stream import Open, WebSocketFraming
from rainbow_xmpp.transport import frames
from rainbow_xmpp.transport.frames import FrameError, FrameReader
from rainbow_xmpp.transport.link import Link, raise_again
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.outbox import MOST_PARTS
from rainbow_xmpp.xml import names, scan

MOST_ODD_FRAMES = 500
"""Pings, pongs and pieces of messages that one connection may send within a second: stanzas have a limit of their
own, and a flood of these would cost as much."""

_EARLY_MESSAGES = 8
"""So many may wait while a login step asks the database."""
_TEXT = frames.TEXT
_HEADERS = [frames.header(frames.TEXT, size) for size in range(2048)]
"""Of the frames that chat consists of, made once."""


class WebSocketLink(Link):
    """One WebSocket that carries a stream."""

    __slots__ = ("_early", "_frames", "_odd_frames", "_odd_since", "_parts")

    framing = WebSocketFraming()
    stanza_ns = ""
    session_counter = "sessions_websocket"
    can_bind_channel = False

    def __init__(self, shared: LinkShared, source: str, *, relayed: Relayed | None = None) -> None:
        self._early: deque[bytes] | None = None
        self._frames: FrameReader | None = FrameReader(shared.limits.stanza_bytes_before_login)
        self._odd_frames = 0
        self._odd_since = 0
        self._parts: bytearray | None = None
        self._begin(shared, source, relayed=relayed)

    # -- reading ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader = self._frames
        if reader is None:
            return
        session = self._session
        try:
            if session is None or self._parts is not None:
                reader.push(data)
            else:
                session.last_heard = self._shared.deadlines.tick
                for message in reader.texts(data):
                    self._stanza(session, message)
            while (frame := reader.pull()) is not None:
                self._frame(*frame)
        except FrameError:
            self._fail_connection()
        except PeerViolation as violation:
            self._frames = None
            self.fail(violation)
        except Exception as error:  # around one connection
            self._guarded(raise_again, error)

    def _stanza(self, session: Session, message: bytes) -> None:
        """One message of a bound session."""
        if self.is_closing:
            return
        if message[:5] in (b"<open", b"<clos"):
            self._guarded(self._negotiate, message, None)
        else:
            session.receive(message)

    def _frame(self, first: int, payload: bytes) -> None:
        if first == frames.CLOSE:
            self._peer_hung_up(payload)
            return
        if self.is_closing:
            self._count_odd_frame()
            return
        if self._session is not None:
            self._session.last_heard = self._shared.deadlines.tick
        match first:
            case frames.PING:
                self._count_odd_frame()
                self._send_frame(frames.PONG, payload)
            case frames.PONG:
                self._count_odd_frame()
            case frames.BINARY | frames.BEGINS_BINARY:
                raise PeerViolation(
                    StreamCondition.POLICY_VIOLATION, detail="a binary frame"
                )  # RFC 7395 §3.2
            case _:
                message = self._whole(first, payload)
                if message is not None:
                    self._guarded(self._arrived, message)

    def _count_odd_frame(self) -> None:
        tick = self._shared.deadlines.tick
        if tick != self._odd_since:
            self._odd_since, self._odd_frames = tick, 0
        self._odd_frames += 1
        if self._odd_frames > MOST_ODD_FRAMES:
            if self.is_closing:
                self.abort()
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, "too many frames that are no messages")

    def _whole(self, first: int, payload: bytes) -> bytes | None:
        """A message put together from its fragments (RFC 6455 §5.4); None while it is not complete."""
        parts = self._parts
        if (first in (frames.CONTINUES, frames.ENDS)) is (parts is None):
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="fragments out of order")
        if first == frames.TEXT:
            return payload
        self._count_odd_frame()
        if parts is None:
            parts = self._parts = bytearray()
        reader = self._frames
        if reader is not None and len(parts) + len(payload) > reader.max_bytes:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, "this is too long")
        parts += payload
        if first != frames.ENDS:
            return None
        self._parts = None
        return bytes(parts)

    def _arrived(self, data: bytes) -> None:
        login = self._login
        if login is not None and login.busy:
            if self._early is None:
                self._early = deque()
            if len(self._early) >= _EARLY_MESSAGES:
                raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="too much before the login")
            self._early.append(data)
        elif login is not None:
            self._negotiate(data, login)
        elif self._session is not None:
            self._stanza(self._session, data)

    def _negotiate(self, data: bytes, login: Login | None) -> None:
        """`<open/>` and `<close/>` at any time, and all else before a resource is bound (RFC 7395 §3.3)."""
        view = scan(data, limits=self._shared.xml_before_login)
        if view.ns == names.FRAMING and view.name == "open":
            self._peer_opened(Open(view.name, view.ns, view.attrs), data)
        elif view.ns == names.FRAMING and view.name == "close":
            self.peer_closed()
        elif login is not None:
            login.received(view)
        else:
            raise PeerViolation(StreamCondition.UNSUPPORTED_STANZA_TYPE, detail="unknown top-level element")

    def proceed(self) -> None:
        early = self._early
        while early and not self.is_closing and not (self._login is not None and self._login.busy):
            self._guarded(self._arrived, early.popleft())
        if not early:
            self._early = None

    def retell(self, said: bytes) -> None:
        self._guarded(self._arrived, said)

    def _unread(self) -> bytes:
        whole = [frames.masked(_TEXT, message) for message in self._early or ()]
        begun = b"" if self._parts is None else frames.masked(frames.BEGINS_TEXT, bytes(self._parts))
        return b"".join(whole) + begun + (b"" if self._frames is None else self._frames.rest())

    def _framed(self, parts: tuple[bytes, ...]) -> bytes:
        told = b"".join(frames.header(_TEXT, len(part)) + part for part in parts)
        return told + frames.closing(frames.NORMAL_CLOSURE)

    def set_limit(self, max_bytes: int) -> None:
        if self._frames is not None:
            self._frames.max_bytes = max_bytes

    # -- writing ---------------------------------------------------------------------------------------

    def accept(self, answer: bytes) -> None:
        """Answer the handshake; frames may follow (RFC 6455 §4.2.2)."""
        self._transport.write(answer)

    def send(self, data: bytes) -> None:
        if self.is_closing:
            return
        size = len(data)
        header = _HEADERS[size] if size < len(_HEADERS) else frames.header(_TEXT, size)
        out = self._out
        if out is None or len(out) >= MOST_PARTS:
            self._collect(header, data)
        else:
            out.append(header)
            out.append(data)

    def _send_frame(self, first: int, payload: bytes = b"") -> None:
        self._collect(frames.header(first, len(payload)) + payload)

    def ping(self) -> None:
        self._send_frame(frames.PING)

    # -- the end ---------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """The closing handshake (RFC 6455 §7.1.2); it is the peer's turn, unless it cannot be understood any more."""
        self._transport.write(frames.closing(frames.NORMAL_CLOSURE))
        if self._frames is None:
            self._transport.close()
        self.abort_later()

    def _peer_hung_up(self, payload: bytes) -> None:
        code = frames.NORMAL_CLOSURE if frames.is_sound_closing(payload) else frames.PROTOCOL_ERROR
        self._finish(b"" if self.is_closing else frames.closing(code))

    def _fail_connection(self) -> None:
        """RFC 6455 §7.1.7: whoever does not speak this protocol is not told more in XMPP."""
        if not self.is_closing:
            self._shared.counters.stream_errors[StreamCondition.UNDEFINED_CONDITION] += 1
        self._finish(b"" if self.is_closing else frames.closing(frames.PROTOCOL_ERROR))

    def _finish(self, last: bytes) -> None:
        self._frames = None
        self.is_closing = True
        self._session_over(lost=True)  # without <close/> (RFC 7395 §3.6)
        self.flush()
        if last:
            self._transport.write(last)
        self._transport.close()
        self.abort_later()
