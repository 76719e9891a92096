"""What happens when somebody asks for a PIN, or types one.

Whoever asks is answered alike, and the work is the same: one look at the account, one hash, one row, one letter. Only
the letter tells what the address is, and only its owner reads it.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.languages import N_
from rainbow_xmpp.mail import Letter
from rainbow_xmpp.plugin import (
    Account,
    Asked,
    Asker,
    Company,
    FactorCodeWanted,
    Purpose,
    RegistrationClosed,
    RegistrationMode,
    SecondFactor,
    TooMany,
    WrongCode,
    WrongOrExpired,
)
from rainbow_xmpp.plugins.mfa_pin.addresses import Verdict, for_registration, for_reset, mailbox_of
from rainbow_xmpp.plugins.mfa_pin.common import SELF, Common
from rainbow_xmpp.plugins.mfa_pin.invitations import Invitations
from rainbow_xmpp.plugins.mfa_pin.states import Request
from rainbow_xmpp.plugins.mfa_pin.store import DAY_S, HOUR_S, Load, Row
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.joined import Work, joining
from rainbow_xmpp.store.names import tidy_name
from rainbow_xmpp.store.values import PUBLIC_COMPANY, NewAccount
from rainbow_xmpp.words import translation

log = logging.getLogger(__name__)

_CHANGED = N_(
    "The password of your account was changed, and whatever was logged in with the old one was logged out. "
    "If that was not you, tell your administrator at once."
)
MOST_PIN = 20


class Desk:
    """Requests for PINs, from the first letter to the account or the password; beside it, `invitations`."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._services = common.services
        self.requests = common.requests
        self.invitations = Invitations(common)

    @property
    def registration(self) -> RegistrationMode:
        return self._common.registration

    # -- asking ----------------------------------------------------------------------------------------

    async def ask(self, purpose: Purpose, address: str, asker: Asker) -> Asked:
        """As `PinDesk.ask`."""
        address = mailbox_of(address)
        if purpose is Purpose.REGISTER and self.registration is not RegistrationMode.OPEN:
            raise RegistrationClosed("people are invited here")
        record = await self._services.store.accounts.for_login(address)
        verdict = await self._verdict(purpose, address, None if record is None else record.account)
        return await self._begin(purpose, address, verdict, asker)

    async def _verdict(self, purpose: Purpose, address: str, account: Account | None) -> Verdict:
        settings, public = self._common.settings(), await self._common.company(PUBLIC_COMPANY)
        if purpose is Purpose.RESET:
            return for_reset(account, public)
        domain = address.rpartition("@")[2]
        if owner := settings.company_of(domain):
            home = await self._common.company(owner)
            is_allowed = home.settings.self_registration and not home.disabled
        else:
            home, is_allowed = public, not settings.domains or domain in settings.domains
        return for_registration(account, home, is_allowed=is_allowed)

    async def _begin(
        self,
        purpose: Purpose,
        address: str,
        verdict: Verdict,
        asker: Asker,
        *,
        by_administrator: bool = False,
    ) -> Asked:
        """What an administrator asks for is sent, however often strangers asked for the same address."""
        now, rules = self._common.now(), self._common.rules()
        subject = self._common.pins.subject(address)
        source = self._source(asker)
        # Before any work, so that a flood is cheap to refuse; what counts is counted again below.
        self._refuse_floods(await self.requests.load(subject, source, verdict.company.id, now))
        request_id, pin = secrets.token_hex(16), self._common.pins.new()
        row = Row(
            id=request_id,
            purpose=purpose,
            subject=subject,
            source=source,
            company_id=verdict.company.id,
            account_id=verdict.account_id,
            region=verdict.company.region,
            template=verdict.template,
            language=asker.language,
            address=self._common.addresses.seal(address, request_id),
            hash=await self._common.hashed(pin, request_id, purpose, subject),
            life=Request.begun(now, rules, is_real=verdict.is_real),
        )
        async with self._services.store.write() as connection:
            load = await self.requests.settled_load(connection, subject, source, verdict.company.id, now)
            self._refuse_floods(load)
            is_quiet = not by_administrator and self._is_over(load)
            if is_quiet:  # a PIN that nobody is sent is never right
                row = replace(row, life=Request.begun(now, rules, is_real=False))
            await self.requests.void_others(connection, row, is_quiet=is_quiet)
            await self.requests.add(connection, row)
            await self._write(connection, row, address, pin, is_quiet=is_quiet)
        self._services.mail.hurry()
        self._services.counters.pins_sent += 1
        await self._common.record("mfa_pin.requested", row)
        return Asked(request_id, rules.wait_s(1))

    def _source(self, asker: Asker) -> str:
        """What stands for the asker's network."""
        settings = self._common.settings()
        return self._common.pins.source(asker.source, settings.ipv4_prefix, settings.ipv6_prefix)

    def _refuse_floods(self, load: Load) -> None:
        """Limits that have nothing to do with the address: whoever is refused learns nothing."""
        settings = self._common.settings()
        if load.source >= settings.per_source_per_hour or load.overall >= settings.overall_per_hour:
            raise TooMany(HOUR_S // 6)

    def _is_over(self, load: Load) -> bool:
        """This address, or its company, has had enough: all goes on as ever, and no letter leaves."""
        settings = self._common.settings()
        return load.subject >= settings.per_account_per_day or load.company >= settings.per_company_per_hour

    async def _write(
        self, connection: AsyncConnection, row: Row, address: str, pin: str, *, is_quiet: bool
    ) -> None:
        """The letter, in the same transaction. One that is over before it is sent costs as much as any other."""
        letter = Letter(
            template=row.template,
            to=address,
            language=row.language,
            facts={"pin": pin, "minutes": self._common.settings().lifetime_s // 60, "request": row.id},
            expires_at=self._common.now() - 1 if is_quiet else row.life.expires_at,
            company_id=row.company_id,
            region=row.region,
        )
        await self._services.mail.post(letter, connection)

    async def latest(self, purpose: Purpose, address: str, asker: Asker) -> str:
        """As `PinDesk.latest`. It is no way around the request's id: whoever asks anew has as many tries."""
        subject = self._common.pins.subject(mailbox_of(address))
        found = await self.requests.latest(purpose, subject, self._source(asker))
        return found or secrets.token_hex(16)

    async def resend(self, request_id: str, asker: Asker) -> Asked:
        """As `PinDesk.resend`."""
        rules, now = self._common.rules(), self._common.now()
        row, pin = await self.requests.get(request_id), self._common.pins.new()
        if row is None:
            await self._common.hashed(pin, request_id, "", "")
            return Asked(request_id, rules.wait_s(1))
        if not row.life.may_send(now, rules):
            raise TooMany(max(1, row.life.next_send_at - now))
        self._refuse_floods(await self.requests.load(row.subject, row.source, row.company_id, now))
        stored = await self._common.hashed(pin, row.id, row.purpose, row.subject)
        again = replace(row, life=row.life.sent_again(now, rules))
        async with self._services.store.write() as connection:
            load = await self.requests.settled_load(connection, row.subject, row.source, row.company_id, now)
            self._refuse_floods(load)
            is_quiet = self._is_over(load)
            if not await self.requests.send_again(connection, row, stored, rules, now, is_quiet=is_quiet):
                raise TooMany(rules.wait_s(row.life.sends))
            await self.requests.void_others(connection, row, is_quiet=is_quiet)
            await self._write(
                connection, again, self._common.addresses.open(row.address, row.id), pin, is_quiet=is_quiet
            )
        self._services.mail.hurry()
        self._services.counters.pins_sent += 1
        await self._common.record("mfa_pin.sent_again", row)
        return Asked(request_id, rules.wait_s(again.life.sends))

    # -- completing ------------------------------------------------------------------------------------

    async def register(
        self, request_id: str, pin: str, password: str, *, name: str = "", asker: Asker
    ) -> Account:
        """As `PinDesk.register`."""
        if self.registration is not RegistrationMode.OPEN:
            raise RegistrationClosed("people are invited here")
        name = tidy_name(name)
        address, row = await self._address(request_id)
        home = await self._home(row)
        self._services.people.judge(password, address, name, home.name, company=home)
        used = await self._tried(request_id, Purpose.REGISTER, pin, asker)
        new = NewAccount(company=home.name, email=address, name=name)
        try:
            account = await self._common.added(new, password, self._use(used))
        except (WeakPassword, NotAllowed):
            await self.requests.give_back(used)
            raise
        await self._used(used)
        return account

    async def reset(
        self, request_id: str, pin: str, password: str, *, factor_code: str = "", asker: Asker
    ) -> Account:
        """As `PinDesk.reset`."""
        address, _ = await self._address(request_id)
        self._services.people.judge(password, address)
        used = await self._tried(request_id, Purpose.RESET, pin, asker)
        account = await self._services.store.accounts.by_id(used.account_id)
        if account is None or account.disabled or account.company.disabled:
            raise WrongOrExpired("the account is gone")
        try:
            if account.second_factor:
                await self._services.people.judge_for(account, password)  # before a code is used up
                await self._show_factor(account, used, factor_code, asker)
            with joining(self._use(used)):
                await self._services.people.set_password(account, password, actor=SELF)
        except WeakPassword:  # by what only the account's owner may know of it
            await self.requests.give_back(used)
            raise
        except NotFound:
            raise WrongOrExpired("the account is gone") from None
        await self._used(used)
        await self.tell_of_new_password(account, used.language)
        return account

    async def _show_factor(self, account: Account, used: Row, code: str, asker: Asker) -> None:
        """Use a code of the account's second factor up: a letter alone does not go around it (ASVS 6.4.3).

        A wrong one costs a try of the PIN; without one nothing was tried.
        """
        factor = self._services.offered(SecondFactor)
        if factor is None or not code.strip():
            await self.requests.give_back(used)
            raise FactorCodeWanted("a code is wanted, too")
        try:
            is_right = await factor.check(account, code, asker=asker)
        except TooMany:
            await self.requests.give_back(used)
            raise
        if not is_right:
            raise WrongCode("with a right PIN")

    async def _address(self, request_id: str) -> tuple[str, Row | None]:
        """The address of a request; "" for one that does not exist."""
        row = await self.requests.get(request_id)
        return ("" if row is None else self._common.addresses.open(row.address, row.id)), row

    async def _home(self, row: Row | None) -> Company:
        company = None if row is None else await self._services.store.companies.by_id(row.company_id)
        return company or await self._common.company(PUBLIC_COMPANY)

    async def _tried(self, request_id: str, purpose: Purpose, pin: str, asker: Asker) -> Row:
        """Spend a try; the request whose PIN this is. Raises WrongOrExpired and TooMany."""
        now = self._common.may_try(asker)
        row = await self.requests.spend(request_id, purpose, int(now))
        stored = self._common.pins.nobodys if row is None else row.hash
        subject = "" if row is None else row.subject
        typed = pin.strip()[:MOST_PIN]
        is_right = await self._common.in_pool(
            self._common.pins.is_right, typed, request_id, purpose, subject, stored
        )
        if row is not None and is_right and row.life.is_real:
            return row
        self._common.throttle.failed("", asker.source, now)
        self._services.counters.pins_failed += 1
        if row is not None:
            await self._common.record("mfa_pin.failed", row)
            if not row.life.tries_left:
                await self.requests.void(request_id)
                self._services.counters.pins_void += 1
                await self._common.record("mfa_pin.voided", row)
        raise WrongOrExpired("wrong")

    def _use(self, row: Row) -> Work:
        """What makes a PIN count, in the transaction that it is for."""

        async def use(connection: AsyncConnection) -> None:
            if not await self.requests.use(connection, row):
                raise WrongOrExpired("used")

        return use

    async def _used(self, row: Row) -> None:
        self._services.counters.pins_used += 1
        await self._common.record("mfa_pin.used", row)

    async def tell_of_new_password(self, account: Account, language: str = "en") -> None:
        """As `PinDesk.tell_of_new_password`. The password is changed: that a notice fails undoes nothing."""
        try:
            for address in await self._common.mailboxes(account):
                await self._services.mail.post(
                    Letter(
                        template="password-changed",
                        to=address,
                        language=language,
                        expires_at=self._common.now() + DAY_S,
                        company_id=account.company.id,
                        region=account.region,
                    )
                )
            await self._services.notify(account, body=translation(language).gettext(_CHANGED))
        except Exception:
            log.exception("nobody was told of a new password", extra={"account": account.id})

    # -- administrators --------------------------------------------------------------------------------

    async def start_reset(self, account: Account, *, actor: str, reason: str = "") -> None:
        """As `PinDesk.start_reset`. Raises NotAllowed for somebody without an address, or who is shut out."""
        mailboxes = await self._common.mailboxes(account)
        if not mailboxes or account.disabled:
            raise NotAllowed("nobody can be written to")
        verdict = replace(for_reset(account, account.company), template="reset-started")
        asker = Asker(source=f"administrator {actor}")
        await self._begin(Purpose.RESET, mailboxes[0], verdict, asker, by_administrator=True)
        await self._services.audit(
            "mfa_pin.reset_started",
            company_id=account.company.id,
            actor=actor,
            target=account.id,
            reason=reason,
        )

    async def tidy(self) -> None:
        """Forget what counts for no limit any more."""
        await self.requests.forget_before(self._common.now() - DAY_S)
        await self.requests.forget_invitations(self._common.now())
