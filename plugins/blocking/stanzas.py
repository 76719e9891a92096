"""What clients and the server say about block lists (XEP-0191 §3), and reports inside of it (XEP-0377)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from rainbow_xmpp.plugin import JID, Condition, Payload, StanzaError, attr, children
from rainbow_xmpp.plugins.blocking.store import MAX_JID_BYTES
from rainbow_xmpp.xml import names

ERRORS = "urn:xmpp:blocking:errors"
REPORTING = "urn:xmpp:reporting:1"

_REPORT = f"{{{REPORTING}}}report"
_REASONS = ("spam", "abuse")


class Item(Payload, ns=names.BLOCKING, tag="item"):
    """One address; a report about it may come along."""

    jid: JID = attr()

    @property
    def report(self) -> str:
        """Why the address is reported, "" when it is not. A report never makes a request wrong (XEP-0377 §5)."""
        found = next((el for el in self.extra if el.tag == _REPORT), None)
        if found is None:
            return ""
        reason = found.get("reason", "").removeprefix("urn:xmpp:reporting:")
        return reason if reason in _REASONS else "other"


class _Items(Payload, ns=names.BLOCKING, tag="items"):
    items: tuple[Item, ...] = children(default=(), le=100_000)

    @classmethod
    def of(cls, jids: Iterable[str]) -> Self:
        return cls(tuple(Item(JID.parse(jid)) for jid in jids))

    @property
    def jids(self) -> list[str]:
        """The addresses in their normal form. Raises StanzaError for what cannot be kept."""
        jids = [str(item.jid) for item in self.items]
        if any(len(jid.encode()) > MAX_JID_BYTES for jid in jids):
            raise StanzaError(Condition.NOT_ACCEPTABLE, f"at most {MAX_JID_BYTES} bytes can be blocked")
        return jids


class BlockList(_Items, tag="blocklist"):
    """All of it (§3.2)."""


class Block(_Items, tag="block"):
    """These too (§3.3)."""


class Unblock(_Items, tag="unblock"):
    """These no longer, or nobody at all when there are none (§3.4, §3.5)."""
