"""Inviting whoever has an address, as the API does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from rainbow_xmpp.company.access import Action
from rainbow_xmpp.company.agreements import NotAllowed

if TYPE_CHECKING:
    from rainbow_xmpp.plugin.services import Services
    from rainbow_xmpp.store.values import Account


async def invite_by_address(
    services: Services,
    inviter: Account,
    to: str,
    *,
    note: str,
    expires_at: int | None,
    abroad: Callable[[str], Awaitable[Account | None]] | None = None,
) -> None:
    """Invite who has this e-mail address or JID, if there is somebody and the inviter may; nobody is told if not.

    `abroad` finds people of other regions by an e-mail address or a localpart; it raises what means: not now.
    """
    invitee = await _called(services, to)
    if invitee is None and abroad is not None:
        bare, _, domain = to.strip().lower().partition("@")
        invitee = await abroad(bare if domain == services.domain else to.strip().lower())
    if invitee is None or not await services.may(Action.INVITE, inviter, invitee):
        return
    try:
        await services.agreements.invite(inviter, invitee, note=note, expires_at=expires_at, actor=inviter.id)
    except NotAllowed:
        return  # a colleague, oneself, a time that has gone by: nothing to agree on


async def _called(services: Services, to: str) -> Account | None:
    """Nobody who is disabled."""
    record = await services.store.accounts.for_login(to)
    account = record.account if record is not None else None
    if account is None:
        try:
            account = await services.account_of(to)
        except ValueError:
            return None
    return account if account is not None and account.may_log_in else None
