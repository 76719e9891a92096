"""The old vCard: who somebody is, with a picture (XEP-0054)."""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    Account,
    Condition,
    Context,
    Element,
    Plugin,
    PluginOptions,
    Services,
    StanzaError,
    VCardChanged,
    VCards,
    on_iq,
    option,
)
from rainbow_xmpp.plugins.vcard_temp.store import VCards as Store
from rainbow_xmpp.xml import NO_LIMITS, names, parse, serialise

VCARD = f"{{{names.VCARD}}}vCard"
EMPTY = serialise(Element(VCARD))


class VCardTemp(
    Plugin,
    VCards,
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
        self._vcards = Store(services.store)

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
        if not await self.keep_vcard(ctx.target, vcard):
            most = self.options.max_bytes
            raise StanzaError(Condition.POLICY_VIOLATION, f"a vCard has at most {most} bytes")
        pending = self.services.tell(VCardChanged(ctx.target, vcard))
        if pending is not None:
            await pending

    async def vcard_of(self, account: Account) -> Element | None:
        found = await self._vcards.get(account.company.id, account.id)
        return None if found is None else parse(found, limits=NO_LIMITS)

    async def keep_vcard(self, account: Account, vcard: Element) -> bool:
        data = serialise(vcard)
        if len(data) > self.options.max_bytes:
            return False
        await self._vcards.put(account.company.id, account.id, data)
        return True

    @on_iq("set", VCARD, to="contact")
    def refuse(self, ctx: Context, vcard: Element) -> None:
        """§3.2: nobody changes somebody else's."""
        raise StanzaError(Condition.FORBIDDEN)
