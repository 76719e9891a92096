"""A person's devices know what was read on the others (XEP-0490), with the server's help."""

from __future__ import annotations

import logging

from rainbow_xmpp.plugin import (
    Account,
    Context,
    DiscoInfo,
    Element,
    Passage,
    PersonalEventing,
    Plugin,
    Stage,
    StanzaError,
    disco_info,
    hook,
)
from rainbow_xmpp.xml import hint_of, names, scan_again

NODE = "urn:xmpp:mds:displayed:0"
"""Node and namespace."""
ASSIST = "urn:xmpp:mds:server-assist:0"
_STANZA_ID = f"{{{names.STANZA_ID}}}stanza-id"
_HINT = hint_of("displayed")
_PRIVATE = {
    "access_model": "whitelist",
    "persist_items": "true",
    "max_items": "max",
    "send_last_published_item": "never",
}
log = logging.getLogger(__name__)


class DisplayedSync(Plugin, name="displayed_sync", implements={"XEP-0490": "1.0.1"}):
    """Takes what was displayed out of messages, and publishes it to the sender's own devices."""

    @disco_info(to="account")
    def announce(self, ctx: Context, node: str) -> DiscoInfo | None:
        """§3.5.2."""
        eventing = self.services.offered(PersonalEventing, ctx.target)
        return None if eventing is None else DiscoInfo.of(features=[ASSIST])

    @hook(Stage.REWRITE, after="forgery_guard")
    def take_out(self, p: Passage) -> Passage:
        """§3.5.3: before the message is kept or delivered. Nobody else sees how far somebody has read."""
        if not p.view.hints & _HINT or p.kind != "message" or p.session is None:
            return p
        view = scan_again(p.data)
        found = [child for child in view.children if (child.name, child.ns) == ("displayed", NODE)]
        if not found:
            return p
        displayed = view.child_element(found[-1])
        if p.type != "error" and len(displayed) == 1 and displayed[0].tag == _STANZA_ID:
            self.services.spawn(self._publish(p.sender, p.view.attrs.get("to") or p.to, displayed))
        return p._replace(data=view.without(*found).data)

    async def _publish(self, owner: Account, chat: str, displayed: Element) -> None:
        """Never where others would see it. One after the other, as they were sent: turns are taken in order."""
        eventing = self.services.offered(PersonalEventing, owner)
        if eventing is None or await eventing.access_model(owner, NODE) not in ("", "whitelist"):
            return
        try:
            await eventing.publish(owner, NODE, chat, displayed, **_PRIVATE)
        except StanzaError as error:
            log.info("what was displayed is not kept: %s", error.condition, extra={"account": owner.id})
