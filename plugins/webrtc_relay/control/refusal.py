"""A request that is answered with an error."""

from __future__ import annotations

from collections.abc import Sequence

from rainbow_xmpp.plugins.webrtc_relay.stun import Attribute

REASONS = {
    400: "Bad Request",
    401: "Unauthenticated",
    403: "Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    440: "Address Family not Supported",
    441: "Wrong Credentials",
    442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch",
    486: "Allocation Quota Reached",
    508: "Insufficient Capacity",
}


class Refusal(Exception):
    """Becomes an error response with this code and these attributes.

    `kind` is what figures count it as. `stranger`: who asked has shown no valid credentials; such answers are as
    small as the RFCs allow, and not more than so many a second.
    """

    def __init__(
        self, code: int, kind: str, attributes: Sequence[Attribute] = (), *, stranger: bool = False
    ) -> None:
        super().__init__(code, kind)
        self.code = code
        self.kind = kind
        self.attributes = attributes
        self.stranger = stranger


def bad_request() -> Refusal:
    """The request is malformed, or contradicts itself."""
    return Refusal(400, "malformed")
