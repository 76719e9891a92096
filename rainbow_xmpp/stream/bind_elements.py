"""Classic resource binding in XML (RFC 6120 §7)."""

from __future__ import annotations

from rainbow_xmpp.errors import StanzaError
from rainbow_xmpp.stream.outputs import Bind
from rainbow_xmpp.xml import View, escape, escape_attr, names


def read(view: View) -> Bind | None:
    """The request for a resource; None when the stanza is something else."""
    children = view.children
    if view.name != "iq" or view.attrs.get("type") != "set" or len(children) != 1:
        return None
    if (children[0].name, children[0].ns) != ("bind", names.BIND):
        return None
    wish = view.child_element(children[0]).findtext(f"{{{names.BIND}}}resource") or ""
    return Bind(view.attrs.get("id", ""), wish)


def result(request: Bind, full_jid: str) -> bytes:
    """§7.6.1."""
    return (
        f"<iq xmlns='{names.CLIENT}' type='result' id='{escape_attr(request.stanza_id)}'>"
        f"<bind xmlns='{names.BIND}'><jid>{escape(full_jid)}</jid></bind></iq>"
    ).encode()


def refusal(request: Bind, error: StanzaError) -> bytes:
    """§7.6.2, §7.7.2."""
    number = f" id='{escape_attr(request.stanza_id)}'" if request.stanza_id else ""
    return (
        f"<iq xmlns='{names.CLIENT}' type='error'{number}>"
        f"<error type='{error.type}'><{error.condition} xmlns='{names.STANZAS}'/></error></iq>"
    ).encode()
