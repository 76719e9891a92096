"""People reach their own company and public people; everybody else does not exist for them."""

from __future__ import annotations

from rainbow_xmpp.plugin import Condition, Passage, Plugin, Stage, StanzaError, hook
from rainbow_xmpp.plugins.company_isolation.reach import may_reach


class CompanyIsolation(Plugin, name="company_isolation", for_all=True):
    """The gate between companies. It is asked about every stanza, on whatever way it came."""

    @hook(Stage.GATE)
    def between_companies(self, p: Passage) -> None:
        """Let colleagues pass at once; the rest is decided by who is public."""
        sender, recipient = p.sender, p.recipient
        assert recipient is not None, "the gate is asked about people only"
        if sender.company.id != recipient.company.id and not may_reach(sender, recipient):
            detail = f"{sender.id} of {sender.company.id} may not reach {recipient.id}"
            raise StanzaError(Condition.SERVICE_UNAVAILABLE, detail=detail)
