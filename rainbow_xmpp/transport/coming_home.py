"""People of this region who came in at another one, or at an edge: the home's part (`way_home`).

Their connection comes over the one port, with a protocol of its own (ALPN), from a server that proves its region by the
keys of the border. From the opening on it is a connection as any other: the same login, limits of the client's own
address, the same session.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rainbow_xmpp.auth.throttle import source_of
from rainbow_xmpp.border.seal import FRESH_S, NotForUs, Outcome, Request, Seals
from rainbow_xmpp.session.homeward import MOST_OPENING_BYTES, BadOpening, Opening, Relayed
from rainbow_xmpp.stream import TcpFraming, WebSocketFraming
from rainbow_xmpp.transport.direct_tls import TcpLink
from rainbow_xmpp.transport.link import Link
from rainbow_xmpp.transport.link_shared import LinkShared
from rainbow_xmpp.transport.reading import Reading
from rainbow_xmpp.transport.way_home import (
    AUTHENTICATED,
    CHUNK_HEAD_BYTES,
    DATA,
    ENDED,
    LENGTH_BYTES,
    LOGGED_IN,
    MOST_CHUNK_BYTES,
    SERVICE,
)
from rainbow_xmpp.transport.websocket import WebSocketLink

log = logging.getLogger(__name__)

_LINKS: dict[str, type[TcpLink] | type[WebSocketLink]] = {
    TcpFraming.name: TcpLink,
    WebSocketFraming.name: WebSocketLink,
}


class HomeDoor:
    """Opens sealed openings; each of them once."""

    def __init__(self, seals: Seals, links: LinkShared, *, now: Callable[[], float]) -> None:
        """`now` is Unix time in seconds, which is compared with other regions'."""
        self._seals = seals
        self.links = links
        self._now = now
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def open(self, sealed: bytes) -> Request:
        """Raises NotForUs: also for one that was here before."""
        now = self._now()
        request = self._seals.open(SERVICE, sealed, now)
        while self._seen and now - next(iter(self._seen.values())) > 2 * FRESH_S:
            self._seen.popitem(last=False)
        if sealed in self._seen:
            raise NotForUs(f"an opening of {request.origin} comes twice")
        if request.is_fresh:
            self._seen[sealed] = now
        return request

    def answer(self, request: Request, outcome: Outcome) -> bytes:
        """As it goes over the wire."""
        sealed = request.answer.seal(outcome, b"", self._now())
        return len(sealed).to_bytes(LENGTH_BYTES, "big") + sealed


class Arriving(Reading):
    """A connection from another region's server, until its opening has been read."""

    __slots__ = ("_door", "_held", "_is_over", "_over", "_source", "_transport")

    def __init__(self, door: HomeDoor, transport: Any, source: str, over: Callable[[], None]) -> None:
        """`source` is counted in as half-open; `over` is called when the opening is read, or never will be."""
        self._door = door
        self._transport = transport
        self._source = source
        self._over = over
        self._held = bytearray()
        self._is_over = False

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._held += data
        if len(self._held) < LENGTH_BYTES:
            return
        end = LENGTH_BYTES + int.from_bytes(self._held[:LENGTH_BYTES], "big")
        if end > LENGTH_BYTES + MOST_OPENING_BYTES:
            self._transport.abort()
        elif len(self._held) >= end:
            self._opened(bytes(self._held[LENGTH_BYTES:end]), bytes(self._held[end:]))

    def _opened(self, sealed: bytes, rest: bytes) -> None:
        try:
            request = self._door.open(sealed)
        except NotForUs as error:
            log.warning("a connection from %s was refused: %s", "another region", error)
            self._transport.abort()
            return
        self._finish()
        if not request.is_fresh:
            self._refuse(request, Outcome.STALE, "it is too old, or its clock or this one is wrong")
            return
        try:
            opening = Opening.from_bytes(request.body)
            source = source_of(str(ipaddress.ip_address(opening.address)))
            kind = _LINKS[opening.framing]
        except (BadOpening, ValueError, KeyError) as error:
            self._refuse(request, Outcome.REFUSED, str(error))
            return
        links = self._door.links
        if links.entrance.is_stopping or links.entrance.elsewhere is not None:
            self._refuse(request, Outcome.REFUSED, "this server is being emptied")
            return
        if not links.entered(source):
            self._refuse(request, Outcome.REFUSED, "its client's address has too many connections")
            return
        self._come_in(kind, source, request, opening, rest)

    def _come_in(
        self,
        kind: type[TcpLink] | type[WebSocketLink],
        source: str,
        request: Request,
        opening: Opening,
        rest: bytes,
    ) -> None:
        inner = self._transport
        inner.write(self._door.answer(request, Outcome.ANSWERED))
        chunks = ChunkTransport(inner)
        relayed = Relayed(
            request.origin,
            opening.mechanisms,
            opening.bindings,
            lambda: chunks.tell(AUTHENTICATED),
            lambda: chunks.tell(LOGGED_IN),
        )
        link: Link = kind(self._door.links, source, relayed=relayed)
        inner.set_protocol(link)
        link.connection_made(chunks)  # type: ignore[arg-type]  # has what a link uses of one
        link.come_home(opening.said)
        if rest:
            link.data_received(rest)

    def _refuse(self, request: Request, outcome: Outcome, why: str) -> None:
        log.warning("somebody from %s was not let in: %s", request.origin, why)
        self._transport.write(self._door.answer(request, outcome))
        self._transport.close()

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._over()
            self._door.links.left(self._source, was_half_open=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish()


class ChunkTransport:
    """What a link writes to: puts each write behind its kind and length."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def tell(self, kind: int) -> None:
        """News without bytes for the client."""
        if not self._inner.is_closing():
            self._inner.write(_head(kind, 0))

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), MOST_CHUNK_BYTES):
            part = data[at : at + MOST_CHUNK_BYTES]
            self._inner.write(_head(DATA, len(part)) + part)

    def close(self) -> None:
        self.tell(ENDED)
        self._inner.close()

    def abort(self) -> None:
        self._inner.abort()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def get_write_buffer_size(self) -> int:
        return int(self._inner.get_write_buffer_size())

    def set_write_buffer_limits(self, high: int) -> None:
        self._inner.set_write_buffer_limits(high=high)

    def get_extra_info(self, name: str) -> Any:
        return self._inner.get_extra_info(name)


def _head(kind: int, size: int) -> bytes:
    return bytes((kind,)) + size.to_bytes(CHUNK_HEAD_BYTES - 1, "big")
