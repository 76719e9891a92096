"""A client's stream from its opening to the bound resource (RFC 6120, RFC 7395): pure, events and bytes out."""

from rainbow_xmpp.sasl import CheckPassword, CheckToken, FindKeys
from rainbow_xmpp.stream.framing import Framing, TcpFraming, WebSocketFraming
from rainbow_xmpp.stream.header import LANGUAGE
from rainbow_xmpp.stream.outputs import (
    Authenticated,
    AuthFailed,
    Bind,
    CheckMessage,
    Closed,
    EarlyName,
    EarlyRequest,
    Open,
    Output,
    Proven,
    Restart,
    Resume,
    Send,
    StartTls,
    StreamSettings,
    TaskChosen,
    TaskData,
)
from rainbow_xmpp.stream.sasl_elements import NO_AGENT, Begin, UserAgent
from rainbow_xmpp.stream.server_stream import ServerStream
from rainbow_xmpp.stream.states import State

__all__ = [
    "LANGUAGE",
    "NO_AGENT",
    "AuthFailed",
    "Authenticated",
    "Begin",
    "Bind",
    "CheckMessage",
    "CheckPassword",
    "CheckToken",
    "Closed",
    "EarlyName",
    "EarlyRequest",
    "FindKeys",
    "Framing",
    "Open",
    "Output",
    "Proven",
    "Restart",
    "Resume",
    "Send",
    "ServerStream",
    "StartTls",
    "State",
    "StreamSettings",
    "TaskChosen",
    "TaskData",
    "TcpFraming",
    "UserAgent",
    "WebSocketFraming",
]
