"""vCard4, as accounts publish it (XEP-0292)."""

from __future__ import annotations

from rainbow_xmpp.plugin import Context, DiscoInfo, PersonalEventing, Plugin, disco_info

VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0"
NODE = "urn:xmpp:vcard4"


class VCard4(Plugin, name="vcard4", implements={"XEP-0292": "0.12.0"}):
    """Tells clients that vCards in the new format are published to `urn:xmpp:vcard4`, where somebody keeps that."""

    @disco_info(to="account")
    def announce(self, ctx: Context, node: str) -> DiscoInfo | None:
        """§6."""
        eventing = self.services.offered(PersonalEventing, ctx.target)
        return None if eventing is None else DiscoInfo.of(features=[VCARD4])
