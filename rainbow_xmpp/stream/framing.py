"""How a stream is opened, closed and wrapped on each transport; everything else is the same for both."""

from __future__ import annotations

from typing import Protocol

from rainbow_xmpp.errors import PeerViolation, SeeOther
from rainbow_xmpp.stream.header import LANGUAGE
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

    def open(self, domain: str, stream_id: str, to: str) -> bytes:
        """The server's stream header."""

    def features(self, inner: bytes) -> bytes:
        """`<stream:features/>` around these."""

    def farewell(self, violation: PeerViolation) -> tuple[bytes, ...]:
        """What ends a stream for this reason: the peer's part of it, and the end; each is one frame."""


class TcpFraming:
    """One XML document for each direction (RFC 6120 §4.2)."""

    name = "tcp"
    open_ns = names.STREAM
    stanza_ns = names.CLIENT
    close = b"</stream:stream>"

    def open(self, domain: str, stream_id: str, to: str) -> bytes:
        return (
            f"<?xml version='1.0'?><stream:stream xmlns='{names.CLIENT}'{_STREAM_NS}"
            f"{_header(domain, stream_id, to)}>"
        ).encode()

    def features(self, inner: bytes) -> bytes:
        return b"<stream:features>" + inner + b"</stream:features>"

    def farewell(self, violation: PeerViolation) -> tuple[bytes, ...]:
        return f"<stream:error>{_condition(violation)}</stream:error>".encode(), self.close


class WebSocketFraming:
    """One element in each frame, with all its namespaces declared (RFC 7395 §3.3)."""

    name = "websocket"
    open_ns = names.FRAMING
    stanza_ns = ""
    close = f"<close xmlns='{names.FRAMING}'/>".encode()

    def open(self, domain: str, stream_id: str, to: str) -> bytes:
        return f"<open xmlns='{names.FRAMING}'{_header(domain, stream_id, to)}/>".encode()

    def features(self, inner: bytes) -> bytes:
        return f"<stream:features{_STREAM_NS}>".encode() + inner + b"</stream:features>"

    def farewell(self, violation: PeerViolation) -> tuple[bytes, ...]:
        if isinstance(
            violation, SeeOther
        ):  # RFC 7395 §3.6.1: not as a stream error, which has no room for a URI
            uri = escape_attr(violation.websocket_uri)
            return (f"<close xmlns='{names.FRAMING}' see-other-uri='{uri}'/>".encode(),)
        error = f"<stream:error{_STREAM_NS}>{_condition(violation)}</stream:error>"
        return error.encode(), self.close


def _header(domain: str, stream_id: str, to: str) -> str:
    addressee = f" to='{escape_attr(to)}'" if to else ""
    return f" from='{escape_attr(domain)}'{addressee} id='{stream_id}' version='1.0' xml:lang='{LANGUAGE}'"


def _condition(violation: PeerViolation) -> str:
    """RFC 6120 §4.9.2; the only condition with a value of its own is `see-other-host` (§4.9.3.19)."""
    name, text = violation.condition, ""
    condition = f"<{name} xmlns='{names.STREAMS}'/>"
    if isinstance(violation, SeeOther):
        condition = f"<{name} xmlns='{names.STREAMS}'>{escape(violation.host)}</{name}>"
    if violation.text:
        text = f"<text xmlns='{names.STREAMS}' xml:lang='{LANGUAGE}'>{escape(violation.text)}</text>"
    namespace, _, specific = violation.specific.removeprefix("{").rpartition("}")
    attributes = "".join(f" {key}='{escape_attr(value)}'" for key, value in violation.attributes.items())
    own = f"<{specific} xmlns='{escape_attr(namespace)}'{attributes}/>" if specific else ""  # RFC 6120 §4.9.4
    return condition + text + own
