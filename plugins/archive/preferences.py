"""What people want kept of their talks (XEP-0441)."""

from __future__ import annotations

from collections.abc import Iterable

from rainbow_xmpp.plugin import JID, Condition, Context, Element, StanzaError, on_iq
from rainbow_xmpp.plugins.archive.owners import Owner, Owners, Rule
from rainbow_xmpp.xml import names

PREFS = f"{{{names.MAM}}}prefs"
MOST_JIDS = 1_000
"""In one list."""
_JID = f"{{{names.MAM}}}jid"


class Preferences:
    """They count from the next message on; what was kept before stays."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    @on_iq("get", PREFS, to="self")
    async def tell(self, ctx: Context, asked: Element) -> Element:
        return _told(await self._owners.find(ctx.sender))

    @on_iq("set", PREFS, to="self")
    async def change(self, ctx: Context, prefs: Element) -> Element:
        """Answered with what holds now."""
        try:
            rule = Rule(prefs.get("default", ""))
        except ValueError:
            raise StanzaError(Condition.BAD_REQUEST, "default is always, never or roster") from None
        always, never = _jids(prefs, "always"), _jids(prefs, "never")
        return _told(await self._owners.want(ctx.sender, rule, always, never))


def _jids(prefs: Element, name: str) -> frozenset[str]:
    found = [el.text or "" for el in prefs.iterfind(f"{{{names.MAM}}}{name}/{_JID}")]
    if len(found) > MOST_JIDS:
        raise StanzaError(Condition.RESOURCE_CONSTRAINT, f"{name} has more than {MOST_JIDS} addresses")
    try:
        return frozenset(str(JID.parse(text.strip())) for text in found)
    except ValueError:
        raise StanzaError(Condition.JID_MALFORMED) from None


def _told(owner: Owner | None) -> Element:
    if owner is None:  # removed just now
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
    prefs = Element(PREFS, {"default": owner.rule.value})
    prefs.append(_list("always", owner.always))
    prefs.append(_list("never", owner.never))
    return prefs


def _list(name: str, jids: Iterable[str]) -> Element:
    el = Element(f"{{{names.MAM}}}{name}")
    for jid in sorted(jids):
        entry = Element(_JID)
        entry.text = jid
        el.append(entry)
    return el
