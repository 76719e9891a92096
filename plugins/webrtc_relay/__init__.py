"""Calls: a relay for media (STUN and TURN), and credentials for it that last for hours."""

from __future__ import annotations

from rainbow_xmpp.plugin import Condition, Context, Element, Plugin, StanzaError, on_iq
from rainbow_xmpp.plugins.webrtc_relay.options import RelayOptions

EXTDISCO = "urn:xmpp:extdisco:2"


class WebrtcRelay(Plugin, name="webrtc_relay"):
    """Relays calls whose two ends cannot reach each other, for people whose service level has minutes for it."""

    Options = RelayOptions
    options: RelayOptions

    @on_iq("get", f"{{{EXTDISCO}}}services", to="server")
    async def list_services(self, ctx: Context, request: Element) -> Element:
        """Without a secret the server has no such service."""
        raise StanzaError(Condition.SERVICE_UNAVAILABLE)
