"""A client's stream from its opening to the bound resource (RFC 6120, RFC 7395): pure, events and bytes out."""

from rainbow_xmpp.sasl import CheckPassword, FindKeys
from rainbow_xmpp.stream.framing import Framing, TcpFraming, WebSocketFraming
from rainbow_xmpp.stream.server_stream import (
    Authenticate,
    AuthFailed,
    Bind,
    Closed,
    Open,
    Output,
    Restart,
    Send,
    ServerStream,
    StartTls,
    State,
    StreamSettings,
)

__all__ = [
    "AuthFailed",
    "Authenticate",
    "Bind",
    "CheckPassword",
    "Closed",
    "FindKeys",
    "Framing",
    "Open",
    "Output",
    "Restart",
    "Send",
    "ServerStream",
    "StartTls",
    "State",
    "StreamSettings",
    "TcpFraming",
    "WebSocketFraming",
]
