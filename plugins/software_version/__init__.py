"""Which software is this? Its name, and nothing that tells an attacker where to begin (XEP-0092)."""

from __future__ import annotations

from rainbow_xmpp.plugin import Context, Element, Payload, Plugin, child_text, on_iq
from rainbow_xmpp.xml import names


class Version(Payload, ns=names.VERSION, tag="query"):
    """The answer; name and version must stand in it (§2)."""

    name: str = child_text()
    version: str = child_text()


class SoftwareVersion(
    Plugin,
    name="software_version",
    implements={"XEP-0092": "1.1, the name only: the version is empty and the system is not told"},
    features=(names.VERSION,),
):
    """Answers for the server; clients answer for themselves."""

    @on_iq("get", Version.TAG, to="server")
    def tell(self, ctx: Context, query: Element) -> Version:
        return Version("Rainbow XMPP", "")
