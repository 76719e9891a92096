"""The old vCard: who somebody is, with a picture (XEP-0054)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rainbow_xmpp.plugin import (
    Condition,
    Element,
    IqRequest,
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

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(PluginOptions):
        max_bytes: int = option(65_536, "Greatest size of one vCard with its picture, in bytes.")

        def problems(self) -> Iterator[tuple[str, str]]:
            if not 1024 <= self.max_bytes <= 1_048_576:
                yield "max_bytes", f"is {self.max_bytes}; 1024 to 1048576 are allowed"

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._vcards = VCards(services.store)

    @on_iq("get", VCARD, to="self")
    async def own(self, request: IqRequest) -> bytes:
        """§3.1: one's own, or an empty one."""
        return await self._vcards.get(request.owner.company.id, request.owner.id) or EMPTY

    @on_iq("get", VCARD, to="contact")
    async def of_contact(self, request: IqRequest) -> bytes:
        """§3.3: somebody's; having none is the same as not being there."""
        vcard = await self._vcards.get(request.owner.company.id, request.owner.id)
        if vcard is None:
            raise StanzaError(Condition.SERVICE_UNAVAILABLE)
        return vcard

    @on_iq("set", VCARD, to="self")
    async def change(self, request: IqRequest) -> None:
        """§3.2."""
        vcard, most = serialise(request.payload), self.options.max_bytes
        if len(vcard) > most:
            raise StanzaError(Condition.POLICY_VIOLATION, f"a vCard has at most {most} bytes")
        await self._vcards.put(request.owner.company.id, request.owner.id, vcard)

    @on_iq("set", VCARD, to="contact")
    def refuse(self, request: IqRequest) -> None:
        """§3.2: nobody changes somebody else's."""
        raise StanzaError(Condition.FORBIDDEN)
