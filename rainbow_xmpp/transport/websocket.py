"""XMPP on a WebSocket (RFC 7395): one element in each text frame. picows does the framing."""

from __future__ import annotations

from collections import deque
from typing import Any

from multidict import CIMultiDict
from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from rainbow_xmpp.errors import PeerViolation, StreamCondition
from rainbow_xmpp.session.login import Login
from rainbow_xmpp.stream import Open, WebSocketFraming
from rainbow_xmpp.transport.link import LINK_SLOTS, Link, LinkShared, raise_again
from rainbow_xmpp.transport.outbox import MOST_PARTS
from rainbow_xmpp.xml import names, scan

PATH = "/xmpp-websocket"
SUBPROTOCOL = "xmpp"

_NO_HEADERS: CIMultiDict[str] = CIMultiDict()
_READ_BUFFER_BYTES = 2048
_MOST_HEADER_BYTES = 14
_EARLY_FRAMES = 8
"""So many frames may wait while a login step asks the database."""
_OPENINGS = (b"<open", b"<close")
_TEXT, _CONTINUATION, _BINARY = WSMsgType.TEXT, WSMsgType.CONTINUATION, WSMsgType.BINARY


def _frame_header(size: int) -> bytes:
    """Of a text frame that is final and not masked (RFC 6455 §5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


_HEADERS = [_frame_header(size) for size in range(2048)]
"""Of the frames that chat consists of, made once."""


class _Quiet:
    """picows logs each connection at INFO and keeps a logger for it; this is all of it that we want."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        return False

    def log(self, level: int, message: str, *arguments: object) -> None:
        pass

    def debug(self, message: str, *arguments: object, **options: object) -> None:
        pass

    info = warning = error = exception = debug


_QUIET = _Quiet()


class WebSocketLink(Link, WSListener):
    """One WebSocket that carries a stream."""

    __slots__ = (*LINK_SLOTS, "_early", "_limit", "_parts", "_ws")

    framing = WebSocketFraming()
    stanza_ns = ""
    can_bind_channel = False

    def __init__(self, shared: LinkShared, source: str) -> None:
        self._ws: Any = None  # picows' transport, once the upgrade is done
        self._early: deque[bytes] | None = None
        self._parts: bytearray | None = None
        self._limit = shared.limits.stanza_bytes_before_login
        self._begin(shared, source)

    # -- picows' side ----------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._ws = transport
        # picows keeps the handshake for as long as the connection lives; a browser's is larger than a session.
        transport.request.headers = transport.response.headers = _NO_HEADERS

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.is_closing:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        if frame.msg_type is _TEXT and frame.fin and self._parts is None:
            session = self._session
            if session is not None and frame.payload_size <= self._limit:
                data = frame.get_payload_as_bytes()
                if data[:5] not in (b"<open", b"<clos"):
                    session.last_heard = self._shared.deadlines.tick
                    try:
                        session.receive(data)
                    except Exception as error:  # around one connection
                        self._guarded(raise_again, error)
                    return
        self._guarded(self._other_frame, transport, frame)

    def connection_lost(self) -> None:
        """The connection is gone; called by our `WebSocketProtocol`."""
        self._lost()

    def pause_writing(self) -> None:
        self._is_choked = True

    def resume_writing(self) -> None:
        self._is_choked = False

    # -- reading ---------------------------------------------------------------------------------------

    def _other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind in (_TEXT, _CONTINUATION):
            data = self._whole(frame, kind)
            if data is not None:
                self._arrived(data)
        elif kind is _BINARY:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="a binary frame")  # RFC 7395 §3.2
        elif kind is WSMsgType.CLOSE:
            self.is_closing = True
            self._session_over()
            self.hang_up()
            transport.disconnect()
        elif self._session is not None:  # ping (answered by picows) or pong
            self._session.last_heard = self._shared.deadlines.tick

    def _whole(self, frame: WSFrame, kind: WSMsgType) -> bytes | None:
        """A message put together from its fragments (RFC 6455 §5.4); None while it is not complete."""
        parts = self._parts
        if (kind is _CONTINUATION) is (parts is None):
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="fragments out of order")
        size = frame.payload_size + (len(parts) if parts is not None else 0)
        if size > self._limit:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, "this is too long")
        if parts is None:
            if frame.fin:
                return frame.get_payload_as_bytes()
            parts = self._parts = bytearray()
        parts += frame.get_payload_as_memoryview()
        if not frame.fin:
            return None
        self._parts = None
        return bytes(parts)

    def _arrived(self, data: bytes) -> None:
        login = self._login
        if login is not None and login.busy:
            if self._early is None:
                self._early = deque()
            if len(self._early) >= _EARLY_FRAMES:
                raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="too much before the login")
            self._early.append(data)
        elif login is not None or data.startswith(_OPENINGS):
            self._negotiate(data, login)
        elif self._session is not None:
            self._session.last_heard = self._shared.deadlines.tick
            self._session.receive(data)

    def _negotiate(self, data: bytes, login: Login | None) -> None:
        """`<open/>` and `<close/>` at any time, and all else before a resource is bound (RFC 7395 §3.3)."""
        view = scan(data, limits=self._shared.xml_before_login)
        if view.ns == names.FRAMING and view.name == "open":
            self._peer_opened(Open(view.name, view.ns, view.attrs))
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

    def set_limit(self, max_bytes: int) -> None:
        self._limit = max_bytes

    # -- writing ---------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self.is_closing:
            return
        size = len(data)
        header = _HEADERS[size] if size < len(_HEADERS) else _frame_header(size)
        out = self._out
        if out is None or len(out) >= MOST_PARTS:
            self._collect(header, data)
        else:
            out.append(header)
            out.append(data)

    def write(self, data: bytes) -> int:
        # Past picows, which would write each frame by itself and keep a buffer as large as the largest one.
        transport = self._ws.underlying_transport
        transport.write(data)
        return transport.get_write_buffer_size() if self._is_choked else 0

    def fail(self, violation: PeerViolation) -> None:
        if self._ws is None:  # picows refused the upgrade, and closes the connection itself
            self.is_closing = True
            return
        super().fail(violation)

    def hang_up(self) -> None:
        self._ws.send_close(WSCloseCode.OK)
        self.abort_later()

    def abort(self) -> None:
        if self._ws is not None:
            self._ws.underlying_transport.abort()

    def pause(self) -> None:
        self._ws.underlying_transport.pause_reading()

    def resume(self) -> None:
        if not self.is_closing:
            self._ws.underlying_transport.resume_reading()

    def ping(self) -> None:
        self._ws.send_ping()


class WebSocketProtocol(WSProtocol):  # type: ignore[misc]
    """picows' protocol for one upgrade request that was let in; tells its link of the end, whatever happened."""

    __slots__ = ("_link",)

    def __new__(cls, *arguments: Any) -> WebSocketProtocol:
        return super().__new__(cls, *_picows_arguments(arguments[0], 0, 0))  # type: ignore[no-any-return]

    def __init__(self, link: WebSocketLink, handshake_timeout_s: float, max_payload_bytes: int) -> None:
        super().__init__(*_picows_arguments(link, handshake_timeout_s, max_payload_bytes))
        self._link = link

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._link.connection_lost()

    def feed(self, data: bytes) -> None:
        """Bytes that were read before the protocol was chosen."""
        while data:
            space = self.get_buffer(len(data))
            size = min(len(space), len(data))
            space[:size] = data[:size]
            self.buffer_updated(size)
            data = data[size:]


def _picows_arguments(
    link: WebSocketLink, handshake_timeout_s: float, max_payload_bytes: int
) -> tuple[Any, ...]:
    """Positional and undocumented, so the version is pinned; tests/unit/test_pins.py watches it."""
    return (
        None, None, False, lambda request: _accept(link), _QUIET, True, handshake_timeout_s,
        False, 20, 20, WSAutoPingStrategy.PING_WHEN_IDLE,
        True, max_payload_bytes + _MOST_HEADER_BYTES, None, _READ_BUFFER_BYTES,
    )  # fmt: skip


def _accept(link: WebSocketLink) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse.create_101_response(extra_headers={"Sec-WebSocket-Protocol": SUBPROTOCOL})
    return WSUpgradeResponseWithListener(response, link)


def is_upgrade(head: bytes) -> bool:
    """The head of an HTTP request asks for our WebSocket (RFC 6455 §4.1); whether it may, is asked elsewhere."""
    line, _, rest = head.partition(b"\r\n")
    parts = line.split(b" ")
    if len(parts) != 3 or parts[0] != b"GET" or parts[1].partition(b"?")[0] != PATH.encode():
        return False
    return b"upgrade: websocket" in rest.lower()
