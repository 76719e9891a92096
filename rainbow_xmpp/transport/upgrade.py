"""The handshake of a WebSocket, the server's side (RFC 6455 §4.2, RFC 7395 §3.1)."""

from __future__ import annotations

from collections.abc import Callable

from rainbow_xmpp.transport.frames import acceptance

PATH = "/xmpp-websocket"
SUBPROTOCOL = "xmpp"

_LISTS = frozenset(("connection", "sec-websocket-protocol", "sec-websocket-extensions"))
"""What may stand in several lines of a head (RFC 9110 §5.3), of what is looked at here."""
_ALONE = frozenset(("upgrade", "sec-websocket-key", "sec-websocket-version", "origin", "host"))


def answer_to(head: bytes, may_open: Callable[[str | None], bool]) -> bytes | None:
    """The answer that makes a request our WebSocket; None when the web pages are to answer, and to say what is wrong.

    `head` is a request's head without the empty line; `may_open` is asked about its `Origin`. Whatever two readers
    could understand differently is not taken: folded lines, names with spaces, a header twice, a body.
    """
    line, _, rest = head.decode("latin-1").partition("\r\n")
    if not _asks_for_us(line):
        return None
    fields = _fields(rest)
    if fields is None or "content-length" in fields or "transfer-encoding" in fields:
        return None
    if fields.get("upgrade", "").lower() != "websocket" or fields.get("sec-websocket-version") != "13":
        return None
    if "upgrade" not in _tokens(fields.get("connection", "").lower()):
        return None
    if SUBPROTOCOL not in _tokens(fields.get("sec-websocket-protocol", "")):
        return None
    accepted = acceptance(fields.get("sec-websocket-key", ""))
    if accepted is None or not may_open(fields.get("origin")):
        return None
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def _asks_for_us(line: str) -> bool:
    parts = line.split(" ")
    return (
        len(parts) == 3
        and parts[0] == "GET"
        and parts[1].partition("?")[0] == PATH
        and parts[2] == "HTTP/1.1"
    )


def _fields(lines: str) -> dict[str, str] | None:
    """Header fields by their names in lower case; None when they are not written as they should be."""
    fields: dict[str, str] = {}
    for line in lines.split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line or "\0" in line:
            return None
        name, value = name.lower(), value.strip(" \t")
        if name in fields and name in _ALONE:
            return None
        if name in fields and name in _LISTS:
            value = f"{fields[name]}, {value}"
        fields[name] = value
    return fields


def _tokens(value: str) -> set[str]:
    return {token.strip(" \t") for token in value.split(",")}
