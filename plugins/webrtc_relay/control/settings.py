"""What an operator decides, as the control plane needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class RelayIp(NamedTuple):
    """Where relayed ports live: at most one for each address family."""

    ip: str
    """An address of this host."""
    advertised: str
    """What clients are told: the same, or the outside address of a 1:1 NAT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is too much. Numbers of things that exist at one time, unless a unit says otherwise."""

    allocations: int = 4000
    per_user: int = 10
    per_company: int = 1000
    per_source: int = 200
    """From one client IP (IPv6: one /64); many people may stand behind a NAT."""
    company_allocations: Mapping[str, int] = field(default_factory=dict)
    """Another number than `per_company` for these companies (first part of a userid); 0: none at all."""
    ports_per_user: int = 50
    """In use or resting: nobody uses up the ports by opening and closing."""
    permissions: int = 64
    """Of one allocation; channels likewise."""
    channels: int = 64
    unauthenticated_per_second: int = 20
    """Answers to one IP (IPv6: one /64) without valid credentials; what is more is not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One relay's settings; `Control.configure` takes others while it runs."""

    realm: str
    relays: tuple[RelayIp, ...]
    first_port: int = 49152
    last_port: int = 65535
    limits: Limits = field(default_factory=Limits)
    default_lifetime_s: int = 600
    max_lifetime_s: int = 3600
    """RFC 8656 §7.2: not more than an hour."""
    nonce_lifetime_s: int = 3600
    """RFC 8656 §5: a nonce ends at least once an hour."""
    after_expiry_s: int = 24 * 3600
    """So long after the end of its credential an allocation may still be refreshed: a call outlives the hour."""
    port_rest_s: int = 120
    reservation_s: int = 30
