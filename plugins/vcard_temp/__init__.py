"""The old vCard: who somebody is, with a picture (XEP-0054)."""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    Condition,
    Context,
    Element,
    Plugin,
    PluginOptions,
    Services,
    StanzaError,
    on_iq,
    option,
)
from rainbow_xmpp.plugins.vcard_temp.store import VCards
from rainbow_xmpp.xml import names, serialise

VCARD = f"{{{names.VCARD}}}vCard"
EMPTY = serialise(Element(VCARD))


class VCardTemp(
    Plugin,
    name="vcard_temp",
    implements={"XEP-0054": "1.3.0"},
    features=(names.VCARD,),
    account_features=(names.VCARD,),
):
    """Keeps one vCard for each account, as the bytes its owner sent."""

    class Options(PluginOptions):
        max_bytes: int = option(
            65_536,
            "Greatest size of one vCard with its picture, in bytes.",
            ge=1024,
            le=1_048_576,
            reload="live",
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._vcards = VCards(services.store)

    @on_iq("get", VCARD, to="self")
    async def own(self, ctx: Context, vcard: Element) -> bytes:
        """§3.1: one's own, or an empty one."""
        return await self._vcards.get(ctx.target.company.id, ctx.target.id) or EMPTY

    @on_iq("get", VCARD, to="contact")
    async def of_contact(self, ctx: Context, vcard: Element) -> bytes:
        """§3.3: somebody's; having none is the same as not being there."""
        found = await self._vcards.get(ctx.target.company.id, ctx.target.id)
        if found is None:
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        return found

    @on_iq("set", VCARD, to="self")
    async def change(self, ctx: Context, vcard: Element) -> None:
        """§3.2."""
        data, most = serialise(vcard), self.options.max_bytes
        if len(data) > most:
            raise StanzaError(Condition.POLICY_VIOLATION, f"a vCard has at most {most} bytes")
        await self._vcards.put(ctx.target.company.id, ctx.target.id, data)

    @on_iq("set", VCARD, to="contact")
    def refuse(self, ctx: Context, vcard: Element) -> None:
        """§3.2: nobody changes somebody else's."""
        raise StanzaError(Condition.FORBIDDEN)
