"""Bytes of stanzas in the form everything on its way has: default namespace declared, `from` stamped.

That form is right for a WebSocket frame and allowed on TCP, so one copy of the bytes serves every receiver.
"""

from __future__ import annotations

from rainbow_xmpp.errors import StanzaError
from rainbow_xmpp.xml import View, escape, escape_attr, names

_NO_REPLY = {
    "iq": frozenset(("result", "error")),
    "message": frozenset(("error",)),
    "presence": frozenset(("error",)),
}


def iq_result(view: View, *, from_: str, to: str, payload: bytes = b"") -> bytes:
    """The result of the request in `view` (RFC 6120 §8.2.3)."""
    head = f"<iq xmlns='{names.CLIENT}' type='result'{_addressed(view, from_, to)}"
    if not payload:
        return f"{head}/>".encode()
    return f"{head}>".encode() + payload + b"</iq>"


def iq_request(type_: str, stanza_id: str, *, to: str, payload: bytes, from_: str = "") -> bytes:
    """A request of the server's own."""
    sender = f" from='{escape_attr(from_)}'" if from_ else ""
    head = f"<iq xmlns='{names.CLIENT}' type='{type_}' id='{stanza_id}'{sender} to='{escape_attr(to)}'>"
    return head.encode() + payload + b"</iq>"


def error_reply(view: View, error: StanzaError, *, from_: str, to: str) -> bytes | None:
    """The error reply to a stanza, or None where a reply is forbidden (RFC 6120 §8.3.1).

    It never repeats the stanza's content by itself, so a refusal weighs the same whatever was refused.
    """
    if view.attrs.get("type", "") in _NO_REPLY[view.name]:
        return None
    text = ""
    if error.text:
        text = f"<text xmlns='{names.STANZAS}' xml:lang='{error.language}'>{escape(error.text)}</text>"
    head = f"<{view.name} xmlns='{names.CLIENT}' type='error'{_addressed(view, from_, to)}>"
    conditions = f"<{error.condition} xmlns='{names.STANZAS}'/>{text}{_specific(error)}"
    body = f"<error type='{error.type}'>{conditions}</error></{view.name}>"
    return head.encode() + error.about + body.encode()


def _specific(error: StanzaError) -> str:
    """An application's own condition (RFC 6120 §8.3.4)."""
    namespace, _, name = error.specific.removeprefix("{").rpartition("}")
    feature = f" feature='{escape_attr(error.feature)}'" if error.feature else ""
    return f"<{name} xmlns='{escape_attr(namespace)}'{feature}/>" if name else ""


def presence(*, from_: str, to: str = "", type_: str = "", stanza_id: str = "") -> bytes:
    """A bare presence stanza."""
    kind = f" type='{type_}'" if type_ else ""
    number = f" id='{escape_attr(stanza_id)}'" if stanza_id else ""
    addressee = f" to='{escape_attr(to)}'" if to else ""
    return f"<presence xmlns='{names.CLIENT}'{kind}{number} from='{escape_attr(from_)}'{addressee}/>".encode()


def with_to(data: bytes, to: str) -> bytes:
    """A stamped presence without `to`, addressed to this JID."""
    head = len(b"<presence")
    return b"%b to='%b'%b" % (data[:head], escape_attr(to).encode(), data[head:])


def message_to(data: bytes, to: str) -> bytes:
    """A message without `to`, addressed to this JID."""
    head = len(b"<message")
    return b"%b to='%b'%b" % (data[:head], escape_attr(to).encode(), data[head:])


def _addressed(view: View, from_: str, to: str) -> str:
    stanza_id = view.attrs.get("id")
    number = f" id='{escape_attr(stanza_id)}'" if stanza_id is not None else ""
    sender = f" from='{escape_attr(from_)}'" if from_ else ""
    addressee = f" to='{escape_attr(to)}'" if to else ""
    return f"{number}{sender}{addressee}"
