"""Private XML storage: a client keeps its own data with the account (XEP-0049)."""

from __future__ import annotations

from rainbow_xmpp.plugin import (
    Condition,
    Context,
    Element,
    Plugin,
    PluginOptions,
    PrivateElement,
    Services,
    StanzaError,
    on_iq,
    option,
)
from rainbow_xmpp.plugins.private_xml.store import PrivateXml as Store
from rainbow_xmpp.xml import NO_LIMITS, names, parse, serialise

QUERY = f"{{{names.PRIVATE}}}query"


class PrivateXml(Plugin, name="private_xml", implements={"XEP-0049": "1.2"}, features=(names.PRIVATE,)):
    """Keeps one element for each name and account."""

    class Options(PluginOptions):
        max_bytes: int = option(
            65_536, "Greatest size of one stored element, in bytes.", ge=1024, le=1_048_576, reload="live"
        )
        max_elements: int = option(
            50, "Elements with different names that one person may store.", ge=1, le=10_000, reload="live"
        )

    options: Options

    def __init__(self, services: Services, options: Options) -> None:
        super().__init__(services, options)
        self._kept = Store(services.store)

    @on_iq("get", QUERY, to="self")
    async def read(self, ctx: Context, query: Element) -> bytes:
        """What was stored under the name that is asked for, or the empty element; one name at a time (§2.3)."""
        if not len(query):
            raise StanzaError(Condition.BAD_REQUEST)
        if len(query) > 1:
            raise StanzaError(Condition.NOT_ACCEPTABLE)
        _check_namespaces(query)
        owner, name = ctx.target, query[0].tag
        found = await self._kept.get(owner.company.id, owner.id, name)
        elsewhere = self.services.offered(PrivateElement, owner)
        if elsewhere is not None and name == elsewhere.TAG:
            kept = None if found is None else parse(found, limits=NO_LIMITS)
            found = serialise(await elsewhere.read_private(owner, kept))
        return _START + (found or serialise(Element(name))) + _END

    @on_iq("set", QUERY, to="self")
    async def write(self, ctx: Context, query: Element) -> None:
        """One element, or several of one namespace, which are stored together (§2.3)."""
        _check_namespaces(query)
        owner, most = ctx.target, self.options.max_elements
        kept = {element.tag: serialise(element) for element in query}
        if any(len(data) > self.options.max_bytes for data in kept.values()):
            raise StanzaError(
                Condition.POLICY_VIOLATION, f"at most {self.options.max_bytes} bytes are stored"
            )
        elsewhere = self.services.offered(PrivateElement, owner)
        if elsewhere is not None and elsewhere.TAG in kept:
            wanted = next(element for element in reversed(query) if element.tag == elsewhere.TAG)
            kept[elsewhere.TAG] = serialise(await elsewhere.write_private(owner, wanted))
        if not await self._kept.put(owner.company.id, owner.id, kept, most=most):
            raise StanzaError(Condition.RESOURCE_CONSTRAINT, f"at most {most} elements are stored")

    @on_iq("get", QUERY, to="contact")
    def refuse_reading(self, ctx: Context, query: Element) -> None:
        """§2.3: private is private."""
        raise StanzaError(Condition.FORBIDDEN)

    @on_iq("set", QUERY, to="contact")
    def refuse_writing(self, ctx: Context, query: Element) -> None:
        """§2.3."""
        raise StanzaError(Condition.FORBIDDEN)


_START, _END = f"<query xmlns='{names.PRIVATE}'>".encode(), b"</query>"


def _check_namespaces(query: Element) -> None:
    """There are elements, all of one namespace, which is their own; raise StanzaError (§2.3)."""
    namespaces = {element.tag.rpartition("}")[0] for element in query}
    if len(namespaces) != 1 or namespaces & {"", f"{{{names.PRIVATE}"}:
        raise StanzaError(Condition.NOT_ACCEPTABLE)
