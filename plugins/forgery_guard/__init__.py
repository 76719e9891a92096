"""Takes out of clients' stanzas what only the server may say."""

from __future__ import annotations

from rainbow_xmpp.plugin import JID, Passage, Plugin, Stage, View, hook
from rainbow_xmpp.xml import Child, hint_of, names, scan_again

OWNED: dict[tuple[str, str], str] = {
    ("stanza-id", names.STANZA_ID): "by",  # XEP-0359 §6
    ("delay", names.DELAY): "from",  # XEP-0203 §5
    ("sent", names.CARBONS): "",  # XEP-0280 §11
    ("received", names.CARBONS): "",
    ("result", names.MAM): "",  # XEP-0313 §8
    (
        "event",
        names.PUBSUB_EVENT,
    ): "",  # XEP-0060: what was published by whom, and who may see it, is the server's word
}
"""Elements that clients trust as the server's, and the attribute that says whose they are ("": always ours)."""

_NAMES = frozenset(name for name, _ in OWNED)
_HINTS = hint_of(*_NAMES)
_BEHIND_OWN = len("<message xmlns")


class ForgeryGuard(Plugin, name="forgery_guard", for_all=True):
    """Receivers may believe every stanza-id, delay, carbon, archive result and event that claims to be of this server.

    Plugins that add such elements themselves do so `after="forgery_guard"`.
    """

    @hook(Stage.REWRITE)
    def strip(self, p: Passage) -> Passage:
        """Take out every forged element, however often and however spelled it is there."""
        if not p.view.hints & _HINTS:
            return p
        # What is owned has a namespace of its own, and "xmlns" cannot be spelled in any other way.
        if p.data.rfind(b"xmlns", _BEHIND_OWN) < 0:
            return p
        for child in p.view.children:
            if child.name in _NAMES:
                return self._without_forged(p)
        return p

    def _without_forged(self, p: Passage) -> Passage:
        if p.session is None and p.kind != "presence":
            return p  # the server speaks; of presence it passes on what clients wrote
        view = scan_again(p.data)
        sender = p.sender_jid.partition("/")[0]
        forged = [child for child in view.children if self._is_forged(view, child, sender)]
        return p._replace(data=view.without(*forged).data) if forged else p

    def _is_forged(self, view: View, child: Child, sender: str) -> bool:
        attribute = OWNED.get((child.name, child.ns))
        if not attribute:
            return attribute is not None
        try:
            claimed = JID.parse(view.child_element(child).get(attribute, ""))
        except ValueError:
            return False
        if claimed.domain != self.services.domain:
            return False
        # Clients may say that they themselves were late; nobody but the server gives ids for its accounts.
        return attribute != "from" or str(claimed.bare) != sender
