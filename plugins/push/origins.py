"""Whether a device may still be told: its registration ends with what let in whoever made it."""

from __future__ import annotations

from rainbow_xmpp.plugin import Account, Services
from rainbow_xmpp.plugins.push.store import Subscriptions
from rainbow_xmpp.plugins.push.values import Registered


class Origins:
    """Asked after each administrative change of an account."""

    def __init__(self, services: Services, kept: Subscriptions) -> None:
        self._services = services
        self._kept = kept

    async def judge(self, owner_id: str) -> bool:
        """Forget what is over; whether anything was."""
        found = await self._kept.origins(owner_id)
        if not found:
            return False
        account = await self._services.store.accounts.by_id(owner_id)
        gone = [each.key for each in found if account is None or not await self._is_good(account, each)]

        return await self._kept.drop(gone) > 0

    async def _is_good(self, account: Account, registered: Registered) -> bool:
        origin = registered.origin
        if not account.may_log_in:
            return False
        if origin.epoch != account.epoch and not await self._goes_on(account, registered):
            return False
        if origin.family and not await self._services.store.refresh_tokens.is_alive(origin.family):
            return False
        return not origin.app_password or origin.app_password in await self._services.app_passwords.ids(
            account
        )

    async def _goes_on(self, account: Account, registered: Registered) -> bool:
        """Its client set the new password itself, and was not logged out by that."""
        sessions = self._services.sessions.of_account(account.id)
        goes_on = bool(registered.agent) and any(
            session.agent.id == registered.agent and session.account.epoch == account.epoch
            for session in sessions
        )
        if goes_on:
            await self._kept.carry_over(registered.key, account.epoch)
        return goes_on
