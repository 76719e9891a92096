"""Registration, invitations and new passwords, by a PIN or a link that is sent to an e-mail address."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from rainbow_xmpp.plugin import (
    Account,
    Asked,
    Asker,
    Changed,
    ChangeKind,
    Company,
    Invited,
    Mark,
    PinDesk,
    Plugin,
    Purpose,
    RegistrationMode,
    Services,
    every,
    marks_of,
    on,
)
from rainbow_xmpp.plugins.mfa_pin.common import Common
from rainbow_xmpp.plugins.mfa_pin.desk import Desk
from rainbow_xmpp.plugins.mfa_pin.endpoints import PinEndpoints
from rainbow_xmpp.plugins.mfa_pin.member_endpoints import MemberEndpoints
from rainbow_xmpp.plugins.mfa_pin.options import PinOptions
from rainbow_xmpp.plugins.mfa_pin.pins import Pins

log = logging.getLogger(__name__)


class MfaPin(
    Plugin,
    PinDesk,
    name="mfa_pin",
    audit={
        "mfa_pin.requested": "somebody asked for a PIN",
        "mfa_pin.sent_again": "somebody asked for another PIN of the same request",
        "mfa_pin.failed": "a wrong PIN was typed",
        "mfa_pin.voided": "a PIN was typed wrongly too often",
        "mfa_pin.used": "a PIN was used",
        "mfa_pin.reset_started": "an administrator let somebody set a new password",
        "mfa_pin.invited": "somebody was invited into a company",
        "mfa_pin.invitation_ended": "such an invitation was taken back",
        "mfa_pin.joined": "somebody accepted such an invitation",
    },
):
    """An e-mailed PIN proves an address. It is no second factor, and nobody is logged in by it."""

    Options = PinOptions
    options: PinOptions

    def __init__(self, services: Services, options: PinOptions) -> None:
        super().__init__(services, options)
        pins = Pins(services.secret_for("mfa_pin"), options.digits)
        self.desk = Desk(Common(services, pins, services.hashing, lambda: self.options))
        self._parts = (PinEndpoints(self.desk), MemberEndpoints(services, self.desk))
        self._failed_before = 0

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """Its own, and those of its endpoints."""
        yield from super().marks()
        for part in self._parts:
            yield from marks_of(part)

    @every(hours=1)
    async def tidy(self) -> None:
        """Forget requests that count for nothing any more."""
        await self.desk.tidy()

    @every(minutes=10)
    async def watch(self) -> None:
        """Whoever sprays guesses over many accounts cannot avoid failing."""
        failed = self.services.counters.pins_failed
        lately, self._failed_before = failed - self._failed_before, failed
        if lately > self.options.failures_alarm:
            log.warning("%s wrong PINs were typed in the last ten minutes: somebody may be guessing", lately)

    @on(Changed)
    async def changed(self, event: Changed) -> None:
        """An account that has a password needs no first one."""
        change = event.change
        if change.kind is ChangeKind.CREDENTIALS_CHANGED and change.account_id is not None:
            await self.desk.requests.forget_first_passwords(change.account_id)

    # -- for other plugins (`PinDesk`) -----------------------------------------------------------------

    @property
    def registration(self) -> RegistrationMode:
        return self.desk.registration

    async def ask(self, purpose: Purpose, address: str, asker: Asker) -> Asked:
        return await self.desk.ask(purpose, address, asker)

    async def latest(self, purpose: Purpose, address: str, asker: Asker) -> str:
        return await self.desk.latest(purpose, address, asker)

    async def resend(self, request_id: str, asker: Asker) -> Asked:
        return await self.desk.resend(request_id, asker)

    async def register(
        self, request_id: str, pin: str, password: str, *, name: str = "", asker: Asker
    ) -> Account:
        return await self.desk.register(request_id, pin, password, name=name, asker=asker)

    async def reset(
        self, request_id: str, pin: str, password: str, *, factor_code: str = "", asker: Asker
    ) -> Account:
        return await self.desk.reset(request_id, pin, password, factor_code=factor_code, asker=asker)

    async def start_reset(self, account: Account, *, actor: str, reason: str = "") -> None:
        await self.desk.start_reset(account, actor=actor, reason=reason)

    async def invite(
        self, company: Company, address: str, *, actor: str, language: str = "en", reason: str = ""
    ) -> str:
        return await self.desk.invitations.invite(
            company, address, actor=actor, language=language, reason=reason
        )

    async def welcome(self, account: Account, *, actor: str, language: str = "en", reason: str = "") -> None:
        await self.desk.invitations.welcome(account, actor=actor, language=language, reason=reason)

    async def tell_of_new_password(self, account: Account, language: str = "en") -> None:
        await self.desk.tell_of_new_password(account, language)

    async def invited(self, token: str) -> Invited | None:
        return await self.desk.invitations.invited(token)

    async def join(
        self, token: str, password: str, *, name: str = "", asker: Asker, accepted_at: int = 0
    ) -> Account:
        return await self.desk.invitations.join(
            token, password, name=name, asker=asker, accepted_at=accepted_at
        )
