"""How a stream is opened, closed and wrapped on each transport; everything else is the same for both."""

from __future__ import annotations

from typing import Protocol

from rainbow_xmpp.errors import PeerViolation
from rainbow_xmpp.xml import escape, escape_attr, names

_STREAM_NS = f" xmlns:stream='{names.STREAM}'"


class Framing(Protocol):
    """The bytes that differ between TCP (RFC 6120 §4) and WebSocket (RFC 7395 §3)."""

    name: str
    open_ns: str
    """The namespace of the element that opens a stream here."""
    stanza_ns: str
    """The default namespace that stanzas inherit."""
    close: bytes

    def open(self, domain: str, stream_id: str, to: str, lang: str) -> bytes:
        """The server's stream header."""

    def features(self, inner: bytes) -> bytes:
        """`<stream:features/>` around these."""

    def error(self, violation: PeerViolation) -> bytes:
        """`<stream:error/>` with the peer's part of a violation (RFC 6120 §4.9)."""


class TcpFraming:
    """One XML document for each direction (RFC 6120 §4.2)."""

    name = "tcp"
    open_ns = names.STREAM
    stanza_ns = names.CLIENT
    close = b"</stream:stream>"

    def open(self, domain: str, stream_id: str, to: str, lang: str) -> bytes:
        return (
            f"<?xml version='1.0'?><stream:stream xmlns='{names.CLIENT}'{_STREAM_NS}"
            f"{_header(domain, stream_id, to, lang)}>"
        ).encode()

    def features(self, inner: bytes) -> bytes:
        return b"<stream:features>" + inner + b"</stream:features>"

    def error(self, violation: PeerViolation) -> bytes:
        return f"<stream:error>{_condition(violation)}</stream:error>".encode()


class WebSocketFraming:
    """One element in each frame, with all its namespaces declared (RFC 7395 §3.3)."""

    name = "websocket"
    open_ns = names.FRAMING
    stanza_ns = ""
    close = f"<close xmlns='{names.FRAMING}'/>".encode()

    def open(self, domain: str, stream_id: str, to: str, lang: str) -> bytes:
        return f"<open xmlns='{names.FRAMING}'{_header(domain, stream_id, to, lang)}/>".encode()

    def features(self, inner: bytes) -> bytes:
        return f"<stream:features{_STREAM_NS}>".encode() + inner + b"</stream:features>"

    def error(self, violation: PeerViolation) -> bytes:
        return f"<stream:error{_STREAM_NS}>{_condition(violation)}</stream:error>".encode()


def _header(domain: str, stream_id: str, to: str, lang: str) -> str:
    addressee = f" to='{escape_attr(to)}'" if to else ""
    return f" from='{escape_attr(domain)}'{addressee} id='{stream_id}' version='1.0' xml:lang='{escape_attr(lang)}'"


def _condition(violation: PeerViolation) -> str:
    text = ""
    if violation.text:
        text = f"<text xmlns='{names.STREAMS}' xml:lang='en'>{escape(violation.text)}</text>"
    return f"<{violation.condition} xmlns='{names.STREAMS}'/>{text}"
