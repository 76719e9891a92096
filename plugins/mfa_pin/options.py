"""What an operator decides about PINs and registration."""

from __future__ import annotations

from collections.abc import Iterator

from rainbow_xmpp.config.hosts import is_domain
from rainbow_xmpp.plugin import PluginOptions, RegistrationMode, option


class PinOptions(PluginOptions):
    """`[plugins.mfa_pin]`"""

    registration: str = option(
        "invitation",
        "Who may make an account. open: whoever has an e-mail address; invitation: whom a company invites; "
        "closed: nobody, not even the invited.",
        choices=tuple(RegistrationMode),
        reload="live",
    )
    domains: tuple[str, ...] = option(
        (),
        "Where registration is open: only people with an address in these domains. Empty = all.",
        reload="live",
    )
    company_domains: tuple[str, ...] = option(
        (),
        'Domains that belong to companies, such as ["acme.example=Acme"]: you have made sure of it. Their people '
        "land in the company, if it lets them register by themselves, and nowhere else.",
        reload="live",
    )
    digits: int = option(6, "Digits of a PIN.", ge=6, le=12)
    lifetime_s: int = option(600, "Seconds for which a PIN is good.", ge=60, le=600, reload="live")
    tries: int = option(5, "After so many wrong PINs a request is void.", ge=1, le=5, reload="live")
    resend_after_s: int = option(
        60,
        "Another PIN may be asked for after so many seconds, then after twice as many, and so on.",
        ge=10,
        le=3600,
        reload="live",
    )
    per_account_per_day: int = option(5, "PINs a day for one address.", ge=1, le=50, reload="live")
    per_source_per_hour: int = option(
        30, "PINs an hour that are asked for from one network.", ge=1, le=100_000, reload="live"
    )
    per_company_per_hour: int = option(
        500, "PINs an hour for one company's people.", ge=1, le=1_000_000, reload="live"
    )
    overall_per_hour: int = option(5000, "PINs an hour in all.", ge=1, le=10_000_000, reload="live")
    ipv4_prefix: int = option(24, "Bits that make one network of IPv4.", ge=8, le=32, reload="live")
    ipv6_prefix: int = option(48, "Bits that make one network of IPv6.", ge=16, le=128, reload="live")
    failures_alarm: int = option(
        50,
        "The log has a warning when more wrong PINs than this were typed in ten minutes.",
        ge=1,
        le=1_000_000,
        reload="live",
    )
    invitation_days: int = option(
        7, "Days for which an invitation into a company is good.", ge=1, le=90, reload="live"
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        for domain in self.domains:
            if not is_domain(domain):
                yield "domains", f'has "{domain}", which is no domain in lower case'
        for entry in self.company_domains:
            domain, _, company = entry.partition("=")
            if not is_domain(domain.strip()) or not company.strip():
                yield "company_domains", f'has "{entry}"; write "acme.example=Acme"'

    def company_of(self, domain: str) -> str:
        """The name of the company that a domain belongs to; "" when it is nobody's."""
        for entry in self.company_domains:
            known, _, company = entry.partition("=")
            if known.strip() == domain:
                return company.strip()
        return ""
