"""Whom to turn to: contact addresses in service discovery (XEP-0157) and in security.txt (RFC 9116)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aiohttp import web

from rainbow_xmpp.plugin import (
    DiscoInfo,
    Form,
    Plugin,
    PluginOptions,
    form_field,
    option,
    route,
)
from rainbow_xmpp.plugins.contact_addresses.security_txt import security_txt

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
"""RFC 3986 §3.1: a scheme, and what follows in printable ASCII."""
_EXAMPLES = "such as mailto:help@example.com, xmpp:help@example.com or https://example.com/help"
_ANY: dict[str, str] = {}
"""These fields are registered as lists, of which nobody chooses."""


class ServerInfo(Form, form_type="http://jabber.org/network/serverinfo"):
    """The form of XEP-0157 §3."""

    abuse: tuple[str, ...] = form_field(var="abuse-addresses", options=_ANY, default=())
    admin: tuple[str, ...] = form_field(var="admin-addresses", options=_ANY, default=())
    feedback: tuple[str, ...] = form_field(var="feedback-addresses", options=_ANY, default=())
    sales: tuple[str, ...] = form_field(var="sales-addresses", options=_ANY, default=())
    security: tuple[str, ...] = form_field(var="security-addresses", options=_ANY, default=())
    status: tuple[str, ...] = form_field(var="status-addresses", options=_ANY, default=())
    support: tuple[str, ...] = form_field(var="support-addresses", options=_ANY, default=())


class ContactAddresses(Plugin, name="contact_addresses", implements={"XEP-0157": "1.1.1"}):
    """Says what the options say; nothing while they are empty."""

    class Options(PluginOptions):
        abuse: tuple[str, ...] = option((), f"Where abuse is reported: URIs, {_EXAMPLES}.", reload="live")
        admin: tuple[str, ...] = option((), "Who runs the server: URIs.", reload="live")
        feedback: tuple[str, ...] = option((), "Where opinions are welcome: URIs.", reload="live")
        sales: tuple[str, ...] = option((), "Who sells it: URIs.", reload="live")
        security: tuple[str, ...] = option(
            (),
            "Where vulnerabilities are reported: URIs, the preferred one first. They stand in "
            "/.well-known/security.txt too.",
            reload="live",
        )
        status: tuple[str, ...] = option((), "Where it is said how the service is: URIs.", reload="live")
        support: tuple[str, ...] = option((), "Who helps: URIs.", reload="live")
        security_policy: str = option(
            "",
            "The https: address of the rules for reporting vulnerabilities, for security.txt.",
            reload="live",
        )
        security_languages: tuple[str, ...] = option(
            (),
            'The languages of those who read these reports, such as "en", for security.txt.',
            reload="live",
        )

        def problems(self) -> Iterator[tuple[str, str]]:
            for kind in ServerInfo.fields():
                for address in getattr(self, kind.name):
                    if not _URI.fullmatch(address):
                        yield kind.name, f'"{address}" is no URI; write it {_EXAMPLES}'
            for address in self.security:
                if address.startswith("http:"):
                    yield "security", f'"{address}" must begin with https: (RFC 9116 §2.5.3)'
            if self.security_policy and not self.security_policy.startswith("https://"):
                yield "security_policy", "must begin with https://"

    options: Options

    def server_info(self) -> DiscoInfo | None:
        """§3: an extension form (XEP-0128) with what there is."""
        addresses = {kind.name: getattr(self.options, kind.name) for kind in ServerInfo.fields()}
        return DiscoInfo.of(forms=[ServerInfo(**addresses).to_result()]) if any(addresses.values()) else None

    @route("GET", "/.well-known/security.txt")
    async def security(self, request: web.Request) -> web.Response:
        """Made anew for everybody who asks, so it never expires while the server runs."""
        options = self.options
        if not options.security:
            raise web.HTTPNotFound
        text = security_txt(
            options.security,
            now=self.services.now(),
            policy=options.security_policy,
            languages=options.security_languages,
        )
        return web.Response(text=text, content_type="text/plain", charset="utf-8")
