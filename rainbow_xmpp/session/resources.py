"""Resources: what a client asks for, and what the server makes of it (RFC 6120 §7, XEP-0386 §3.2.1)."""

from __future__ import annotations

import base64
import hmac

from rainbow_xmpp import ids
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.jid import JID

MAX_RESOURCE_BYTES = 200
"""Of what the client asks for; the server's suffix comes on top."""

_SUFFIX_BYTES = 9


class Resources:
    """Makes resources that nobody can guess (RFC 6120 §7.7.2.1)."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is the same on every node and after every restart."""
        self._secret = secret

    def wanted(self, wish: str) -> str:
        """The wish of classic binding with a suffix, or only that. Raise StanzaError."""
        wish = wish.strip()
        if not wish:
            return ids.new_resource_suffix()
        prepared = _prepared(wish)
        if not prepared:
            raise StanzaError(Condition.BAD_REQUEST)
        return f"{prepared}.{ids.new_resource_suffix()}"

    def tagged(self, tag: str, account_id: str, agent_id: str) -> str:
        """The resource of a client that binds inline: its tag, and what the server makes.

        The same installation gets the same resource again, from which its id cannot be told. A tag that cannot
        be part of a resource is left out.
        """
        suffix = self._stable(account_id, agent_id, tag) if agent_id else ids.new_resource_suffix()
        prepared = _prepared(tag.strip())
        return f"{prepared}/{suffix}" if prepared else suffix

    def _stable(self, account_id: str, agent_id: str, tag: str) -> str:
        named = "\0".join((account_id, agent_id, tag)).encode()
        digest = hmac.digest(self._secret, named, "sha256")
        return base64.urlsafe_b64encode(digest[:_SUFFIX_BYTES]).decode()


def _prepared(text: str) -> str:
    """The text as a resource; "" when it is none, or too long."""
    try:
        prepared = JID.parse(f"a@b/{text}").resource
    except ValueError:
        return ""
    return prepared if len(prepared.encode()) <= MAX_RESOURCE_BYTES else ""
