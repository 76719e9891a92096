"""When a stanza was first to be delivered (XEP-0203)."""

from __future__ import annotations

from datetime import UTC, datetime

from rainbow_xmpp.jid import JID
from rainbow_xmpp.xml import Element, names, scan_again


def with_delay(stanza: bytes, domain: str, at: float, why: str | None = None) -> bytes:
    """The stanza with the server's stamp of this Unix time (seconds), and with no other that claims to be ours.

    `why` is for people: what made it late.
    """
    view = scan_again(stanza)
    forged = [
        child
        for child in view.children
        if (child.name, child.ns) == ("delay", names.DELAY)
        and _is_server(view.child_element(child).get("from", ""), domain)
    ]
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    delay = Element(f"{{{names.DELAY}}}delay", {"from": domain, "stamp": stamp})
    delay.text = why
    return view.without(*forged).plus(delay).data


def _is_server(address: str, domain: str) -> bool:
    try:
        jid = JID.parse(address)
    except ValueError:
        return False
    return jid.domain == domain and not jid.local
