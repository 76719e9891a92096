"""What commands change is recorded in the audit log, in the name of whoever calls them."""

import asyncio

from rainbow_xmpp.auth.people import People
from rainbow_xmpp.cli.passwords import sealer_of
from rainbow_xmpp.company.agreements import Agreements
from rainbow_xmpp.company.desk import CompanyDesk
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.company.regions import Regions
from rainbow_xmpp.config import Config
from rainbow_xmpp.observe.audit import AuditLog, Fact, Kind, chain_keys, cli_actor
from rainbow_xmpp.store import Store


def audit_log(store: Store, config: Config) -> AuditLog:
    """The audit log of this database, with the configured keys."""
    return AuditLog(store.audit, chain_keys(sealer_of(config)))


def people(store: Store, config: Config) -> People:
    """What changes accounts; a server that runs hears of it from the database."""
    return People(
        store,
        audit_log(store, config),
        sealer_of(config),
        config.auth,
        ServiceLevels(config.service_levels),
        Regions.of(config),
        hashing=asyncio.to_thread,
        changed=_nothing_runs_here,
    )


def companies(store: Store, config: Config) -> CompanyDesk:
    """What adds and changes companies."""
    levels = ServiceLevels(config.service_levels)
    return CompanyDesk(store, audit_log(store, config), levels, Regions.of(config), _nothing_runs_here)


def agreements(store: Store, config: Config) -> Agreements:
    """What makes and ends links, invitations and authorisations."""
    return Agreements(store, audit_log(store, config), config.domain, store.now)


async def _nothing_runs_here() -> None:
    """No server in this process."""


async def record(
    store: Store,
    config: Config,
    kind: Kind,
    *,
    company_id: str = "",
    target: str = "",
    reason: str = "",
    **facts: Fact,
) -> None:
    """Record that this command did something."""
    await audit_log(store, config).record(
        kind, company_id=company_id, actor=cli_actor(), target=target, reason=reason, **facts
    )
