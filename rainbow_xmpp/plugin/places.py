"""Where somebody is logged in: XMPP sessions, logins of the API, browsers; and ending one of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rainbow_xmpp.store.refresh_tokens import BROWSERS

if TYPE_CHECKING:
    from rainbow_xmpp.plugin.services import Services
    from rainbow_xmpp.store.values import Account

PlaceKind = Literal["xmpp", "api", "page"]


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
    """Unix time in seconds, of logins by token."""


async def places_of(services: Services, account: Account, own_family: str = "") -> list[Place]:
    """Sessions on this node first, then logins by token, the oldest first; `own_family` is the login that asks."""
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
    return [*online, *logins]


async def end_place(services: Services, account: Account, place_id: str) -> bool:
    """Log somebody out there; False when there is no such place."""
    for session in services.sessions_of(account):
        if _id(session.full) == place_id:
            session.end_by_administrator()
            return True
    for family, _ in await services.store.refresh_tokens.families(account.company.id, account.id):
        if _id(family) == place_id:
            await services.store.refresh_tokens.end_family(family)
            return True
    return False


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
