"""What somebody may ask who has not logged in: IQ requests (XEP-0077), and elements of their own (XEP-0389)."""

from __future__ import annotations

from rainbow_xmpp.stream.outputs import EarlyName, EarlyRequest, StreamSettings
from rainbow_xmpp.xml import View, names


def read(view: View, settings: StreamSettings) -> EarlyRequest | None:
    """The request in an element; None for what no plugin answers, and for what is not for this server."""
    known = settings.early_requests
    if not known:
        return None
    if view.ns != names.CLIENT:
        name = EarlyName("", view.ns, view.name)
    elif view.name == "iq" and len(view.children) == 1:
        if view.attrs.get("to", settings.domain) != settings.domain:
            return None
        child = view.children[0]
        name = EarlyName(view.attrs.get("type", ""), child.ns, child.name)
    else:
        return None
    return EarlyRequest(name, view) if name in known else None
