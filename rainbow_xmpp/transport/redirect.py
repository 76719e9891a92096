"""The plain-text listener: it sends browsers to HTTPS and does nothing else.

The place to go to is the configured one, never what the request's `Host` says, so it cannot be made to send
anybody elsewhere. No HSTS here: in plain text it means nothing (RFC 6797 §7.2).
"""

import asyncio
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

MAX_HEAD_BYTES = 4096
MAX_BODY_BYTES = 65_536
TIMEOUT_S = 5.0

# RFC 9112 §3: method, target, version; the target only as characters that may stand in a header.
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,3000}) HTTP/1\.[01]\r\n")
_ORIGIN_OF_TARGET = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


def redirect_factory(
    public_url: str,
    timeout_s: float = TIMEOUT_S,
    *,
    admit: Callable[[str], bool] = lambda address: True,
    left: Callable[[str], None] = lambda address: None,
) -> Callable[[], asyncio.Protocol]:
    """Makes the protocol of each connection; `public_url` is `https://` and a host, no slash at the end.

    `admit` is asked about the address of whoever connects; whom it lets in, `left` is told of when they go.
    """
    host = public_url.removeprefix("https://").encode("idna").decode("ascii")
    return lambda: _Redirect(f"https://{host}", timeout_s, admit, left)


def answer_to(head: bytes, public_url: str, date: str) -> bytes | None:
    """The redirect for a request's head; None for what is not HTTP and gets no answer.

    301 for GET and HEAD. 308 for all others, so that the method and the body are kept (RFC 9110 §15.4.9).
    """
    line = _REQUEST_LINE.match(head)
    if line is None:
        return None
    method, target = line.groups()
    path = _ORIGIN_OF_TARGET.sub(b"", target, count=1).decode("ascii")
    # `*` (OPTIONS) and `host:port` (CONNECT) name no page.
    location = public_url + (path if path.startswith("/") else "/")
    status = "301 Moved Permanently" if method in (b"GET", b"HEAD") else "308 Permanent Redirect"
    return (
        f"HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\nDate: {date}\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii")


class _Redirect(asyncio.Protocol):
    """One connection: a head of at most `MAX_HEAD_BYTES` within the time, an answer, the end."""

    def __init__(
        self,
        public_url: str,
        timeout_s: float,
        admit: Callable[[str], bool],
        left: Callable[[str], None],
    ) -> None:
        self._public_url = public_url
        self._timeout_s = timeout_s
        self._admit = admit
        self._left = left
        self._address: str | None = None  # of whom was let in
        self._head = b""
        self._answered = False
        self._body_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        if not self._admit(address):
            self._transport.abort()
            return
        self._address = address
        self._deadline = asyncio.get_running_loop().call_later(self._timeout_s, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._answered:
            # A body; it is read only so that closing does not cut off the answer (RFC 9112 §9.6).
            self._body_bytes += len(data)
            if self._body_bytes > MAX_BODY_BYTES:
                self._transport.abort()
            return
        self._head += data[: MAX_HEAD_BYTES + 1 - len(self._head)]
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            self._answer(self._head)
        elif len(self._head) > MAX_HEAD_BYTES or not _may_become_a_request(self._head):
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._address is not None:
            self._left(self._address)
        self._transport = None

    def _answer(self, head: bytes) -> None:
        assert self._transport is not None
        self._answered = True
        answer = answer_to(head, self._public_url, formatdate(usegmt=True))
        if answer is None:
            self._transport.close()
            return
        self._transport.write(answer)
        # Half-closed: a client that has sent everything closes now, and the deadline ends all others.
        self._transport.write_eof()


def _may_become_a_request(head: bytes) -> bool:
    """Whether this looks like the beginning of a request line; a TLS handshake or noise does not."""
    return head[:1].isalpha() and (b"\r\n" not in head or _REQUEST_LINE.match(head) is not None)
