"""The one port: what a TLS connection speaks is told by ALPN and, without ALPN, by its first bytes (DESIGN §4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rainbow_xmpp.auth.throttle import source_of
from rainbow_xmpp.http.headers import origin_allowed
from rainbow_xmpp.plugin.offers_relay import RelayDoor
from rainbow_xmpp.transport.coming_home import Arriving, HomeDoor
from rainbow_xmpp.transport.direct_tls import TcpLink
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.proxy_header import Arrival
from rainbow_xmpp.transport.reading import Reading
from rainbow_xmpp.transport.relay_pipe import RelayPipe, pipe_pair
from rainbow_xmpp.transport.tls import ALPN_HTTP, ALPN_RELAYED, ALPN_TURN, ALPN_XMPP
from rainbow_xmpp.transport.upgrade import answer_to
from rainbow_xmpp.transport.websocket import WebSocketLink

log = logging.getLogger(__name__)

MAX_HELD_BYTES = 16_384
"""So much of an HTTP head is held until it is known where it belongs."""

UNREAD_S = 20
"""How long an HTTP client may leave answers unread once they fill the buffers."""

_HTTP_METHODS = b"GPHDOCTU"
"""First bytes of GET, POST, PUT, PATCH, HEAD, DELETE, OPTIONS, CONNECT, TRACE; anything else is nobody's."""

_FIRST_OF_STUN = range(4)
"""First bytes of STUN (RFC 7983). Channel data, whose are those of HTTP too, never comes first."""


@dataclass(slots=True)
class PortShared:
    """What all connections of the port share; a reload puts other origins here."""

    links: LinkShared
    http: Callable[[str], asyncio.Protocol]
    """Makes the protocol of one HTTP connection; told the client's address."""
    origins: Sequence[str]
    """Web origins that may open the WebSocket, beside our own."""
    public_host: str
    relay: RelayDoor | None = None
    """Where clients go that speak STUN; None: nowhere."""
    home_door: HomeDoor | None = None
    """Where people come in whom other regions took in; None: nowhere."""


class Mux(Reading):
    """The first protocol of every connection: finds out what it is, counts it, and hands it over."""

    __slots__ = (
        "_arrival", "_held", "_http", "_is_ours", "_only_http", "_shared", "_source", "_timer", "_transport",
    )  # fmt: skip

    def __init__(self, shared: PortShared, arrival: Arrival) -> None:
        self._shared = shared
        self._arrival = arrival
        self._transport: Any = None
        self._source = ""
        self._is_ours = False
        """The client's TLS ends here."""
        self._held = bytearray()
        self._http: Any = None
        self._only_http = False
        self._timer: asyncio.TimerHandle | None = None

    # -- the first bytes -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._shared.links.counters.handshakes_ok += 1
        self._source = source_of(self._arrival.address)  # counted in before its handshake
        self._timer = asyncio.get_running_loop().call_later(
            self._shared.links.limits.handshake_timeout_s, self._too_slow
        )
        tls = transport.get_extra_info("ssl_object")
        self._is_ours = tls is not None and not self._arrival.had_tls
        if tls is None and self._arrival.is_check:
            self._only_http = True
        match tls.selected_alpn_protocol() if tls is not None else self._arrival.alpn:
            case str(chosen) if chosen == ALPN_XMPP:
                self._to_stream()
            case str(chosen) if chosen == ALPN_HTTP:
                self._only_http = True  # what was agreed on counts, not what is said afterwards
            case str(chosen) if chosen == ALPN_TURN:
                self._to_relay()
            case str(chosen) if chosen == ALPN_RELAYED:
                self._to_home_door()

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            self._http.data_received(data)
            return
        self._held += data
        first = self._held[0]
        if not self._only_http and (first == 0x3C or first in b" \t\r\n"):
            self._to_stream()
        elif first in _FIRST_OF_STUN and not self._only_http:
            self._to_relay()
        elif first not in _HTTP_METHODS:
            self._refuse("neither HTTP nor XMPP")
        elif b"\r\n\r\n" in self._held or not _may_be_get(self._held):
            self._to_http_or_websocket()
        elif len(self._held) > MAX_HELD_BYTES:
            self._to_http()  # which says what is wrong with it

    def _to_http_or_websocket(self) -> None:
        head, end, _ = bytes(self._held).partition(b"\r\n\r\n")
        is_whole = bool(end) and len(head) <= MAX_HELD_BYTES
        answer = answer_to(head, self._may_open) if is_whole else None
        if answer is not None:
            self._to_websocket(answer, len(head) + len(end))
        else:
            self._to_http()

    def _may_open(self, origin: str | None) -> bool:
        """A page of a foreign site may not (RFC 6455 §10.2); our own name is configuration, not what `Host` says."""
        return origin_allowed(origin, self._shared.public_host, self._shared.origins)

    def _too_slow(self) -> None:
        self._shared.links.counters.limit_handshake_time += 1
        self._refuse("no request in time")

    def _unread(self) -> None:
        self._shared.links.counters.limit_output += 1
        self._refuse("answers are not read")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, reason: str) -> None:
        log.debug("connection refused: %s", reason)
        self._transport.abort()

    # -- handing over ----------------------------------------------------------------------------------

    def _chosen(self) -> bytes:
        self._stop_timer()
        held, self._held = bytes(self._held), bytearray()
        return held

    def _to_stream(self) -> None:
        held = self._chosen()
        link = TcpLink(self._shared.links, self._source, sees_channel=self._is_ours)
        self._transport.set_protocol(link)
        link.connection_made(self._transport)
        if held:
            link.data_received(held)

    def _to_websocket(self, answer: bytes, head_bytes: int) -> None:
        held = self._chosen()
        link = WebSocketLink(self._shared.links, self._source)
        self._transport.set_protocol(link)
        link.connection_made(self._transport)
        link.accept(answer)
        if len(held) > head_bytes:
            link.data_received(held[head_bytes:])

    def _to_http(self) -> None:
        held = self._chosen()
        self._shared.links.logged_in(self._source)
        self._http = self._shared.http(self._arrival.address)
        self._http.connection_made(self._transport)
        self._http.data_received(held)

    def _to_home_door(self) -> None:
        door = self._shared.home_door
        if door is None:
            self._refuse("nobody comes home through another region here")
            return
        self._transport.set_protocol(Arriving(door, self._transport, self._source, self._stop_timer))

    def _to_relay(self) -> None:
        relay, client = self._shared.relay, (self._arrival.address, self._arrival.port)
        if relay is None or not relay.is_open:
            self._refuse("the relay is not open on this port")
            return
        ours, theirs = pipe_pair()
        server = self._transport.get_extra_info("sockname")
        is_taken = relay.pass_connection(theirs, client, server[:2], is_clear=True)
        theirs.close()
        if not is_taken:
            ours.close()
            self._refuse("the relay takes no connection now")
            return
        held = self._chosen()
        links, source = self._shared.links, self._source
        links.logged_in(source)
        pipe = RelayPipe(self._transport, ours, lambda: links.left(source, was_half_open=False))
        self._transport.set_protocol(pipe)
        if held:
            pipe.data_received(held)

    # -- passing on to HTTP ----------------------------------------------------------------------------

    def eof_received(self) -> bool | None:
        return self._http.eof_received() if self._http is not None else None

    def pause_writing(self) -> None:
        if self._http is not None:
            self._timer = asyncio.get_running_loop().call_later(UNREAD_S, self._unread)
            self._http.pause_writing()

    def resume_writing(self) -> None:
        self._stop_timer()
        if self._http is not None:
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._http is not None:
            self._http.connection_lost(exc)
        if self._source:
            self._shared.links.left(self._source, was_half_open=self._http is None)


def _may_be_get(head: bytearray) -> bool:
    """A request that begins like this may turn out to ask for the WebSocket, which only GET does."""
    return head.startswith(b"GET ") or b"GET ".startswith(head)
