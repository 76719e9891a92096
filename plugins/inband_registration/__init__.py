"""Registration, new passwords and password changes over XMPP itself (XEP-0077, XEP-0389, XEP-0445)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from rainbow_xmpp.plugin import (
    ClientLinks,
    Mark,
    Plugin,
    PluginOptions,
    RegistrationMode,
    Services,
    marks_of,
)
from rainbow_xmpp.plugins.inband_registration.flows import Flows
from rainbow_xmpp.plugins.inband_registration.front import Front
from rainbow_xmpp.plugins.inband_registration.members import Members
from rainbow_xmpp.plugins.inband_registration.strangers import EarlyRegistration
from rainbow_xmpp.xml import names

_REGISTER = (
    f"<register xmlns='{names.INVITED_REGISTER}'/><register xmlns='{names.REGISTER_FEATURE}'/>".encode()
)


class InbandRegistration(
    Plugin,
    ClientLinks,
    name="inband_registration",
    implements={
        "XEP-0077": "2.4, by data forms; accounts are not removed, and errors have no codes of XEP-0086",
        "XEP-0389": "0.6.0, before login; flows of data forms",
        "XEP-0445": "0.2.0",
    },
    features=(names.REGISTER, names.REGISTER2),
    for_all=True,
):
    """Nobody is logged in by it, and whatever is asked is answered alike whoever has an address."""

    class Options(PluginOptions):
        pass

    def __init__(self, services: Services, options: PluginOptions) -> None:
        super().__init__(services, options)
        self._front = Front(services)
        self._flows = Flows(self._front)
        self._parts = (EarlyRegistration(self._front), self._flows, Members(services))

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its parts."""
        yield from super().marks()
        for part in self._parts:
            yield from marks_of(part)

    def join_uri(self, token: str) -> str:
        """As `ClientLinks.join_uri`."""
        return f"xmpp:{quote(self.services.domain)}?register;preauth={quote(token, safe='')}"

    def early_features(self) -> bytes:
        """What can be done now; a reload of the options announces it anew."""
        forms = b"" if self._front.mode is RegistrationMode.CLOSED else _REGISTER
        return forms + self._flows.announcement()
