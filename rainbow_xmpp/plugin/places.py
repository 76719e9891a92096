"""Where somebody is logged in, or may come back without a password; and ending one of these places."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rainbow_xmpp.plugin.offers_clients import ClientLoggedOut, RememberedClient, RememberedClients
from rainbow_xmpp.store.refresh_tokens import BROWSERS

if TYPE_CHECKING:
    from rainbow_xmpp.plugin.services import Services
    from rainbow_xmpp.store.values import Account

PlaceKind = Literal["xmpp", "api", "page", "remembered"]
"""An XMPP session, a login of the API, a browser; an XMPP client that is away and may come back without a password."""


@dataclass(frozen=True, slots=True)
class Place:
    """One of them. `id` says nothing: neither a resource nor the id of a login is anybody's to use."""

    id: str
    """24 hex digits."""
    kind: PlaceKind
    name: str = ""
    """The resource of an XMPP session."""
    software: str = ""
    """What an XMPP client says that it is, if it does (XEP-0388)."""
    device: str = ""
    is_available: bool = False
    is_this_one: bool = False
    since: int | None = None
    """Unix time in seconds, of logins by token and of clients that may come back."""


async def places_of(services: Services, account: Account, own_family: str = "") -> list[Place]:
    """Sessions on this node first, then logins by token, the oldest first, and clients that are away.

    `own_family` is the login that asks.
    """
    online = [
        Place(
            _id(session.full),
            "xmpp",
            session.resource,
            session.agent.software,
            session.agent.device,
            is_available=session.presence is not None,
        )
        for session in services.sessions_of(account)
    ]
    families = await services.store.refresh_tokens.families(account.company.id, account.id)
    logins = [
        Place(
            _id(family),
            "page" if family.startswith(BROWSERS) else "api",
            is_this_one=family == own_family,
            since=began,
        )
        for family, began in families
    ]
    here = {session.agent.id for session in services.sessions_of(account)}
    away = [
        Place(
            _id(client.agent),
            "remembered",
            software=client.software,
            device=client.device,
            since=client.since,
        )
        for client in await _remembered(services, account)
        if client.agent not in here
    ]
    return [*online, *logins, *away]


async def end_place(services: Services, account: Account, place_id: str) -> bool:
    """Log somebody out there; False when there is no such place. What is there does not come back by itself."""
    for session in services.sessions_of(account):
        if _id(session.full) == place_id:
            await _forget(services, account, session.agent.id)
            session.end_by_administrator()
            return True
    for family, _ in await services.store.refresh_tokens.families(account.company.id, account.id):
        if _id(family) == place_id:
            await services.store.refresh_tokens.end_family(family)
            await services.apply_changes()
            return True
    for client in await _remembered(services, account):
        if _id(client.agent) == place_id:
            await _forget(services, account, client.agent)
            return True
    return False


async def _remembered(services: Services, account: Account) -> Sequence[RememberedClient]:
    clients = services.offered(RememberedClients, account)
    return () if clients is None else await clients.clients_of(account)


async def _forget(services: Services, account: Account, agent: str) -> None:
    clients = services.offered(RememberedClients, account)
    if clients is not None and agent:
        await clients.forget_client(account, agent)
    pending = services.tell(ClientLoggedOut(account, agent))
    if pending is not None:
        await pending


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
