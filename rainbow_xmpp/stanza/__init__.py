"""Stanzas the server itself writes: results, errors, presence, roster pushes (RFC 6120 §8)."""

from rainbow_xmpp.stanza.build import (
    error_reply,
    iq_request,
    iq_result,
    message_to,
    presence,
    with_to,
)

__all__ = ["error_reply", "iq_request", "iq_result", "message_to", "presence", "with_to"]
