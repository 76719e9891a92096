"""What asking for a PIN, completing a request and inviting have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rainbow_xmpp.auth.pool import HashPool, PoolFull
from rainbow_xmpp.auth.throttle import Throttle
from rainbow_xmpp.mail.letter import is_mail_address
from rainbow_xmpp.plugin import (
    Account,
    Asker,
    Company,
    RegistrationMode,
    Services,
    TooMany,
    WrongOrExpired,
)
from rainbow_xmpp.plugins.mfa_pin.options import PinOptions
from rainbow_xmpp.plugins.mfa_pin.pins import Pins
from rainbow_xmpp.plugins.mfa_pin.sealing import Addresses
from rainbow_xmpp.plugins.mfa_pin.states import Rules
from rainbow_xmpp.plugins.mfa_pin.store import Requests, Row
from rainbow_xmpp.store.errors import AlreadyExists, NotFound
from rainbow_xmpp.store.joined import Work, joining
from rainbow_xmpp.store.values import NewAccount

T = TypeVar("T")
SELF = "self-service"
"""Who acts, as the audit log names somebody who has proved an address and nothing else."""


class Common:
    """`settings` is asked each time, since a reload may change it."""

    def __init__(
        self, services: Services, pins: Pins, pool: HashPool, settings: Callable[[], PinOptions]
    ) -> None:
        self.services = services
        self.settings = settings
        self.pins = pins
        self.addresses = Addresses(services.secret_for("mfa_pin addresses"))
        self.requests = Requests(services.store)
        self.throttle = Throttle(per_account=0, per_source=20)
        self._pool = pool

    @property
    def registration(self) -> RegistrationMode:
        return RegistrationMode(self.settings().registration)

    async def company(self, name: str) -> Company:
        found = await self.services.store.companies.by_name(name)
        if found is None:
            raise NotFound("company", name)
        return found

    def may_try(self, asker: Asker) -> float:
        """The time. Raises TooMany for a network that was wrong too often."""
        now = self.services.now()
        if wait_s := self.throttle.wait_s("", asker.source, now):
            raise TooMany(max(1, round(wait_s)))
        return now

    async def added(self, new: NewAccount, password: str, use: Work) -> Account:
        """The account, in one transaction with what lets it be made. Raises WrongOrExpired and NotAllowed."""
        try:
            with joining(use):
                made = await self.services.people.add(new, password, actor=SELF)
        except AlreadyExists:
            raise WrongOrExpired("somebody has the address by now") from None
        return made.account

    async def mailboxes(self, account: Account) -> list[str]:
        """Those of an account's addresses that a letter reaches."""
        member = await self.services.store.accounts.member(account.company.id, account.id)
        return [] if member is None else list(filter(is_mail_address, member.emails))

    async def hashed(self, pin: str, request_id: str, purpose: str, subject: str) -> str:
        return await self.in_pool(self.pins.hashed, pin, request_id, purpose, subject)

    async def in_pool(self, function: Callable[..., T], *arguments: str) -> T:
        """A hash, beside the event loop. Raises TooMany."""
        try:
            return await self._pool.run(function, *arguments)
        except PoolFull:
            raise TooMany(5) from None

    async def record(self, kind: str, row: Row) -> None:
        """Neither address nor PIN: what stands for the address, and which request it was."""
        await self.services.audit(
            kind,
            company_id=row.company_id,
            actor=SELF,
            target=row.account_id,
            purpose=row.purpose,
            request=row.id[:12],
            subject=row.subject[:12],
            source=row.source[:12],
        )

    def rules(self) -> Rules:
        settings = self.settings()
        return Rules(
            lifetime_s=settings.lifetime_s,
            tries=settings.tries,
            first_wait_s=settings.resend_after_s,
            sends=settings.per_account_per_day,
        )

    def now(self) -> int:
        return int(self.services.now())
