"""`<stream:features/>`: what is on offer in each state (RFC 6120 §4.3.2)."""

from __future__ import annotations

from rainbow_xmpp.sasl import Offer
from rainbow_xmpp.xml import names

STARTTLS = f"<starttls xmlns='{names.TLS}'><required/></starttls>".encode()

BINDING = f"<bind xmlns='{names.BIND}'/><session xmlns='{names.SESSION}'><optional/></session>".encode()
"""RFC 6120 §7, and the session of RFC 3921 that old clients wait for."""

SM = f"<sm xmlns='{names.SM}'/>".encode()
"""XEP-0198 §2, and what can be asked for with a login (§9)."""
SM_ENABLED = f"<enabled xmlns='{names.SM}'".encode()
"""How the answer begins that says so."""


def logins(offer: Offer, inline: bytes) -> bytes:
    """Classic SASL (RFC 6120 §6.3), SASL2 (XEP-0388 §2.1) and what can be bound (XEP-0440)."""
    mechanisms = "".join(f"<mechanism>{mechanism}</mechanism>" for mechanism in offer.mechanisms).encode()
    classic = f"<mechanisms xmlns='{names.SASL}'>".encode() + mechanisms + b"</mechanisms>"
    if not mechanisms:
        return classic  # which says that there is none; SASL2 is not offered then
    asked_inline = b"<inline>%b</inline>" % inline if inline else b""
    sasl2 = f"<authentication xmlns='{names.SASL2}'>".encode() + mechanisms + asked_inline
    return classic + sasl2 + b"</authentication>" + _channel_bindings(offer)


def _channel_bindings(offer: Offer) -> bytes:
    if not offer.announced_bindings:
        return b""
    types = "".join(f"<channel-binding type='{kind}'/>" for kind in offer.announced_bindings)
    return f"<sasl-channel-binding xmlns='{names.SASL_CB}'>{types}</sasl-channel-binding>".encode()
