"""Who may use the relay, and with which credentials: asked by XMPP and by the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin import Account, Services
from rainbow_xmpp.plugins.webrtc_relay.accounting import Accounting
from rainbow_xmpp.plugins.webrtc_relay.addresses import (
    RelayAddress,
    addresses_of_own,
    addresses_of_region,
    nearest_first,
)
from rainbow_xmpp.plugins.webrtc_relay.credentials import Credential, issue, userid_of
from rainbow_xmpp.plugins.webrtc_relay.options import RelayOptions
from rainbow_xmpp.plugins.webrtc_relay.store import USERIDS, RelayUsage

HOUR_S = 3600
MINUTE_S = 60


class MinutesUsedUp(RainbowError):
    """The person, or the company, has no minutes left in this month."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A credential, and when it ends (Unix seconds)."""

    credential: Credential
    expires_at: int


class Relay(Protocol):
    """The process that relays."""

    def close_user(self, userid: str, revoked_until: int) -> None:
        """End a person's allocations; credentials that end by this Unix time (seconds) are void."""


class CredentialDesk:
    """Hands out credentials, and takes back what was handed out."""

    def __init__(self, services: Services, options: Callable[[], RelayOptions]) -> None:
        self._services = services
        self._options = options
        self._key = services.secret_for(USERIDS)
        self.usage = RelayUsage(services.store)
        self.accounting = Accounting(self.usage, services.now)
        self.relay: Relay | None = None
        """None: another server relays, or nobody."""
        self.longest_s = 0
        """The longest that credentials of this process last; options may have become shorter meanwhile."""
        self._revoked: dict[str, int] = {}
        self._is_on = bool(options().secret)

    async def start(self) -> None:
        """Remember what is void, and tell the relay."""
        self.note_lifetime()
        self._revoked = await self.usage.revoked(int(self._services.now()))
        for userid, until in self._revoked.items():
            self._close(userid, until)

    def note_lifetime(self) -> None:
        self.longest_s = max(self.longest_s, self._options().lifetime_hours * HOUR_S)

    # -- giving ----------------------------------------------------------------------------------------

    def may_call(self, account: Account) -> bool:
        """There is a relay, and the account has the right to use it; whoever has not sees none."""
        options = self._options()
        return bool(
            self._is_on
            and options.secret
            and options.serves(account)
            and account.may_log_in
            and self._services.level_of(account).relay_minutes
        )

    @property
    def minutes_per_company(self) -> int:
        """0 = no limit."""
        return self._options().minutes_per_company

    def userid(self, account: Account) -> str:
        """What the relay knows somebody by."""
        return userid_of(self._key, account.company.id, account.id)

    def addresses(self, account: Account, through: str = "") -> list[RelayAddress]:
        """Where relays are, the nearest first: to the region that the person came in at, or else to their home."""
        return self.addresses_by(self._options(), account, through)

    def addresses_by(self, options: RelayOptions, account: Account, through: str = "") -> list[RelayAddress]:
        """Where they are by these options."""
        configured = [RelayAddress.parse(entry) for entry in options.services]
        if not configured:
            near = [each for each in (through, account.region) if each]
            regional = [
                each
                for region in near
                for each in addresses_of_region(region, self._services.relays_of(region))
            ]
            own = addresses_of_own(self._services.public_url, options.port)
            return list(dict.fromkeys((*regional, *own)))
        return nearest_first(configured, through or account.region)

    async def give(self, account: Account) -> Grant:
        """Raises MinutesUsedUp. Whether somebody may call was asked before."""
        if await self.is_used_up(account):
            raise MinutesUsedUp("the minutes of this month are used up")
        userid = self.userid(account)
        await self.accounting.begin(account, userid)
        ends_at = int(self._services.now()) + self._options().lifetime_hours * HOUR_S
        ends_at = max(ends_at, self._revoked.get(userid, 0) + 1)
        self._services.counters.relay_credentials += 1
        return Grant(issue(self._options().secrets[0], userid, ends_at), ends_at)

    async def is_used_up(self, account: Account) -> bool:
        """The person's minutes of the month, or the company's, are over."""
        used_s = await self.accounting.seconds_of(account, self.userid(account))
        if used_s >= self._services.level_of(account).relay_minutes * MINUTE_S:
            return True
        most = self._options().minutes_per_company * MINUTE_S
        return bool(most) and await self.accounting.seconds_of_company(account.company.id) >= most

    # -- taking back -----------------------------------------------------------------------------------

    async def revoke(self, userid: str) -> None:
        """End the person's calls through the relay; credentials given so far are void, later ones are not."""
        until = int(self._services.now()) + self.longest_s
        self._revoked[userid] = until
        self._close(userid, until)
        await self.usage.revoke(userid, until)

    async def revoke_account(self, company_id: str, account_id: str) -> None:
        """Of an account, which may be gone already."""
        await self.revoke(userid_of(self._key, company_id, account_id))

    async def check(self, userid: str) -> None:
        """Revoke what somebody may not have any more, who has an allocation."""
        owner = await self.accounting.owner_of(userid)
        account = None if owner is None else await self._services.store.accounts.by_id(owner.account_id)
        if account is None or not self.may_call(account) or await self.is_used_up(account):
            await self.revoke(userid)

    async def check_company(self, company_id: str, since_month: int) -> None:
        """Revoke what those of a company have who may not call any more."""
        for account_id in await self.usage.people_of(company_id, since_month):
            account = await self._services.store.accounts.by_id(account_id)
            if account is not None and not self.may_call(account):
                await self.revoke(self.userid(account))

    async def tidy(self) -> None:
        """Forget what is over."""
        now = int(self._services.now())
        self._revoked = {userid: until for userid, until in self._revoked.items() if until > now}
        await self.usage.forget_revocations(now)
        await self.accounting.forget_old()

    def _close(self, userid: str, until: int) -> None:
        if self.relay is not None:
            self.relay.close_user(userid, until)
