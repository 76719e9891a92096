"""What happens when somebody asks for a PIN, types one, is invited, or joins.

Whoever asks is answered alike, and the work is the same: one look at the account, one hash, one row, one letter. Only
the letter tells what the address is, and only its owner reads it.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.people import AccountChange
from rainbow_xmpp.auth.policy import WeakPassword
from rainbow_xmpp.auth.pool import HashPool, PoolFull
from rainbow_xmpp.auth.throttle import Throttle
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.languages import N_
from rainbow_xmpp.mail import Letter
from rainbow_xmpp.mail.letter import is_mail_address
from rainbow_xmpp.plugin import (
    Account,
    Asked,
    Asker,
    Company,
    Invited,
    Purpose,
    RegistrationClosed,
    RegistrationMode,
    Services,
    TooMany,
    WrongOrExpired,
)
from rainbow_xmpp.plugins.mfa_pin.addresses import Verdict, for_registration, for_reset
from rainbow_xmpp.plugins.mfa_pin.options import PinOptions
from rainbow_xmpp.plugins.mfa_pin.pins import Pins
from rainbow_xmpp.plugins.mfa_pin.sealing import Addresses
from rainbow_xmpp.plugins.mfa_pin.states import Request, Rules
from rainbow_xmpp.plugins.mfa_pin.store import DAY_S, HOUR_S, Invitation, Load, Requests, Row
from rainbow_xmpp.store.errors import AlreadyExists, InvalidAddress, NotFound
from rainbow_xmpp.store.joined import Work, joining
from rainbow_xmpp.store.names import normalise_email, tidy_name
from rainbow_xmpp.store.values import PUBLIC_COMPANY, NewAccount
from rainbow_xmpp.words import translation

log = logging.getLogger(__name__)
T = TypeVar("T")

_CHANGED = N_(
    "The password of your account was changed, and whatever was logged in with the old one was logged out. "
    "If that was not you, tell your administrator at once."
)
TOKEN_BYTES = 24
MOST_PIN = 20
SELF = "self-service"
"""Who acts, as the audit log names somebody who has proved an address and nothing else."""


class Desk:
    """`settings` is asked each time, since a reload may change it."""

    def __init__(
        self, services: Services, pins: Pins, pool: HashPool, settings: Callable[[], PinOptions]
    ) -> None:
        self._services = services
        self._settings = settings
        self._pins = pins
        self._pool = pool
        self._addresses = Addresses(services.secret_for("mfa_pin addresses"))
        self.requests = Requests(services.store)
        self._throttle = Throttle(per_account=0, per_source=20)

    @property
    def registration(self) -> RegistrationMode:
        return RegistrationMode(self._settings().registration)

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
        settings, public = self._settings(), await self._company(PUBLIC_COMPANY)
        if purpose is Purpose.RESET:
            return for_reset(account, public)
        domain = address.rpartition("@")[2]
        if owner := settings.company_of(domain):
            home = await self._company(owner)
            is_allowed = home.settings.self_registration and not home.disabled
        else:
            home, is_allowed = public, not settings.domains or domain in settings.domains
        return for_registration(account, home, is_allowed=is_allowed)

    async def _company(self, name: str) -> Company:
        found = await self._services.store.companies.by_name(name)
        if found is None:
            raise NotFound("company", name)
        return found

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
        settings, now, rules = self._settings(), self._now(), self._rules()
        subject = self._pins.subject(address)
        source = self._pins.source(asker.source, settings.ipv4_prefix, settings.ipv6_prefix)
        # Before any work, so that a flood is cheap to refuse; what counts is counted again below.
        self._refuse_floods(await self.requests.load(subject, source, verdict.company.id, now))
        request_id, pin = secrets.token_hex(16), self._pins.new()
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
            address=self._addresses.seal(address, request_id),
            hash=await self._hashed(pin, request_id, purpose, subject),
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
        await self._record("mfa_pin.requested", row)
        return Asked(request_id, rules.wait_s(1))

    def _refuse_floods(self, load: Load) -> None:
        """Limits that have nothing to do with the address: whoever is refused learns nothing."""
        settings = self._settings()
        if load.source >= settings.per_source_per_hour or load.overall >= settings.overall_per_hour:
            raise TooMany(HOUR_S // 6)

    def _is_over(self, load: Load) -> bool:
        """This address, or its company, has had enough: all goes on as ever, and no letter leaves."""
        settings = self._settings()
        return load.subject >= settings.per_account_per_day or load.company >= settings.per_company_per_hour

    async def _write(
        self, connection: AsyncConnection, row: Row, address: str, pin: str, *, is_quiet: bool
    ) -> None:
        """The letter, in the same transaction. One that is over before it is sent costs as much as any other."""
        letter = Letter(
            template=row.template,
            to=address,
            language=row.language,
            facts={"pin": pin, "minutes": self._settings().lifetime_s // 60, "request": row.id},
            expires_at=self._now() - 1 if is_quiet else row.life.expires_at,
            company_id=row.company_id,
            region=row.region,
        )
        await self._services.mail.post(letter, connection)

    async def resend(self, request_id: str, asker: Asker) -> Asked:
        """As `PinDesk.resend`."""
        rules, now = self._rules(), self._now()
        row, pin = await self.requests.get(request_id), self._pins.new()
        if row is None:
            await self._hashed(pin, request_id, "", "")
            return Asked(request_id, rules.wait_s(1))
        if not row.life.may_send(now, rules):
            raise TooMany(max(1, row.life.next_send_at - now))
        self._refuse_floods(await self.requests.load(row.subject, row.source, row.company_id, now))
        stored = await self._hashed(pin, row.id, row.purpose, row.subject)
        again = replace(row, life=row.life.sent_again(now, rules))
        async with self._services.store.write() as connection:
            load = await self.requests.settled_load(connection, row.subject, row.source, row.company_id, now)
            self._refuse_floods(load)
            is_quiet = self._is_over(load)
            if not await self.requests.send_again(connection, row, stored, rules, now, is_quiet=is_quiet):
                raise TooMany(rules.wait_s(row.life.sends))
            await self.requests.void_others(connection, row, is_quiet=is_quiet)
            await self._write(
                connection, again, self._addresses.open(row.address, row.id), pin, is_quiet=is_quiet
            )
        self._services.mail.hurry()
        self._services.counters.pins_sent += 1
        await self._record("mfa_pin.sent_again", row)
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
            account = await self._added(new, password, self._use(used))
        except (WeakPassword, NotAllowed):
            await self.requests.give_back(used)
            raise
        await self._used(used)
        return account

    async def reset(self, request_id: str, pin: str, password: str, *, asker: Asker) -> Account:
        """As `PinDesk.reset`."""
        address, _ = await self._address(request_id)
        self._services.people.judge(password, address)
        used = await self._tried(request_id, Purpose.RESET, pin, asker)
        account = await self._services.store.accounts.by_id(used.account_id)
        if account is None or account.disabled or account.company.disabled:
            raise WrongOrExpired("the account is gone")
        try:
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

    async def _address(self, request_id: str) -> tuple[str, Row | None]:
        """The address of a request; "" for one that does not exist."""
        row = await self.requests.get(request_id)
        return ("" if row is None else self._addresses.open(row.address, row.id)), row

    async def _home(self, row: Row | None) -> Company:
        company = None if row is None else await self._services.store.companies.by_id(row.company_id)
        return company or await self._company(PUBLIC_COMPANY)

    async def _tried(self, request_id: str, purpose: Purpose, pin: str, asker: Asker) -> Row:
        """Spend a try; the request whose PIN this is. Raises WrongOrExpired and TooMany."""
        now = self._may_try(asker)
        row = await self.requests.spend(request_id, purpose, int(now))
        stored = self._pins.nobodys if row is None else row.hash
        subject = "" if row is None else row.subject
        typed = pin.strip()[:MOST_PIN]
        is_right = await self._in_pool(self._pins.is_right, typed, request_id, purpose, subject, stored)
        if row is not None and is_right and row.life.is_real:
            return row
        self._throttle.failed("", asker.source, now)
        self._services.counters.pins_failed += 1
        if row is not None:
            await self._record("mfa_pin.failed", row)
            if not row.life.tries_left:
                await self.requests.void(request_id)
                self._services.counters.pins_void += 1
                await self._record("mfa_pin.voided", row)
        raise WrongOrExpired("wrong")

    def _may_try(self, asker: Asker) -> float:
        """The time. Raises TooMany for a network that was wrong too often."""
        now = self._services.now()
        if wait_s := self._throttle.wait_s("", asker.source, now):
            raise TooMany(max(1, round(wait_s)))
        return now

    def _use(self, row: Row) -> Work:
        """What makes a PIN count, in the transaction that it is for."""

        async def use(connection: AsyncConnection) -> None:
            if not await self.requests.use(connection, row):
                raise WrongOrExpired("used")

        return use

    async def _added(self, new: NewAccount, password: str, use: Work) -> Account:
        """The account, in one transaction with what lets it be made. Raises WrongOrExpired and NotAllowed."""
        try:
            with joining(use):
                added = await self._services.people.add(new, password, actor=SELF)
        except AlreadyExists:
            raise WrongOrExpired("somebody has the address by now") from None
        return added.account

    async def _used(self, row: Row) -> None:
        self._services.counters.pins_used += 1
        await self._record("mfa_pin.used", row)

    async def tell_of_new_password(self, account: Account, language: str = "en") -> None:
        """As `PinDesk.tell_of_new_password`. The password is changed: that a notice fails undoes nothing."""
        try:
            for address in await self._mailboxes(account):
                await self._services.mail.post(
                    Letter(
                        template="password-changed",
                        to=address,
                        language=language,
                        expires_at=self._now() + DAY_S,
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
        mailboxes = await self._mailboxes(account)
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

    async def invite(
        self, company: Company, address: str, *, actor: str, language: str = "en", reason: str = ""
    ) -> str:
        """As `PinDesk.invite`. Whoever has an account already is told so, and whoever invites is not."""
        address = mailbox_of(address)
        record = await self._services.store.accounts.for_login(address)
        template = "invitation" if record is None else "register-taken"
        return await self._invite(
            company, address, template, "", actor=actor, language=language, reason=reason
        )

    async def welcome(self, account: Account, *, actor: str, language: str = "en") -> None:
        """As `PinDesk.welcome`. Raises NotAllowed for somebody without an address."""
        mailboxes = await self._mailboxes(account)
        if not mailboxes:
            raise NotAllowed("nobody can be written to")
        await self._invite(
            account.company, mailboxes[0], "invitation", account.id, actor=actor, language=language, reason=""
        )

    async def _invite(
        self,
        company: Company,
        address: str,
        template: str,
        account_id: str,
        *,
        actor: str,
        language: str,
        reason: str,
    ) -> str:
        now, token = self._now(), secrets.token_urlsafe(TOKEN_BYTES)
        days = self._settings().invitation_days
        invitation_id = new_id()
        invitation = Invitation(
            id=invitation_id,
            company_id=company.id,
            region=company.region,
            address=self._addresses.seal(address, invitation_id),
            created_at=now,
            expires_at=now + days * DAY_S,
            account_id=account_id,
        )
        letter = Letter(
            template=template,
            to=address,
            language=language,
            facts={"company": company.name, "token": token, "days": days},
            expires_at=invitation.expires_at,
            company_id=company.id,
            region=company.region,
        )
        async with self._services.store.write() as connection:
            sent = await self.requests.invited_since(connection, company.id, now - HOUR_S)
            if sent >= self._settings().per_company_per_hour:
                raise TooMany(HOUR_S // 6)
            await self.requests.invite(connection, invitation, _hash_of(token))
            await self._services.mail.post(letter, connection)
        self._services.mail.hurry()
        await self._services.audit(
            "mfa_pin.invited", company_id=company.id, actor=actor, target=invitation_id, reason=reason
        )
        return invitation_id

    async def invitations_of(self, company: Company) -> list[tuple[Invitation, str]]:
        """The open invitations of a company, with their addresses."""
        found = await self.requests.invitations_of(company.id, self._now())
        return [(each, self._addresses.open(each.address, each.id)) for each in found]

    async def take_back(self, company: Company, invitation_id: str, *, actor: str, reason: str = "") -> bool:
        """End an invitation; False when there is none."""
        async with self._services.store.write() as connection:
            if not await self.requests.drop_invitation(connection, company.id, invitation_id):
                return False
        await self._services.audit(
            "mfa_pin.invitation_ended",
            company_id=company.id,
            actor=actor,
            target=invitation_id,
            reason=reason,
        )
        return True

    async def invited(self, token: str) -> Invited | None:
        """As `PinDesk.invited`."""
        found = await self._invitation(token)
        if found is None:
            return None
        invitation, company = found
        address = self._addresses.open(invitation.address, invitation.id)
        return Invited(company.name, address, invitation.expires_at)

    async def join(self, token: str, password: str, *, name: str = "", asker: Asker) -> Account:
        """As `PinDesk.join`."""
        if self.registration is RegistrationMode.CLOSED:
            raise RegistrationClosed("nobody joins by themselves here")
        name = tidy_name(name)
        now = self._may_try(asker)
        found = await self._invitation(token)
        if found is None:
            self._throttle.failed("", asker.source, now)
            raise WrongOrExpired("no such invitation")
        invitation, company = found
        address = self._addresses.open(invitation.address, invitation.id)
        self._services.people.judge(password, address, name, company.name, company=company)

        async def use(connection: AsyncConnection) -> None:
            if not await self.requests.drop_invitation(connection, company.id, invitation.id):
                raise WrongOrExpired("used")

        if invitation.account_id:
            account = await self._first_password(invitation, password, name, use)
        else:
            new = NewAccount(company=company.name, email=address, name=name)
            account = await self._added(new, password, use)
        await self._services.audit(
            "mfa_pin.joined", company_id=company.id, actor=SELF, target=account.id, invitation=invitation.id
        )
        return account

    async def _first_password(self, invitation: Invitation, password: str, name: str, use: Work) -> Account:
        """Of an account that an administrator made. Raises WrongOrExpired when it is gone, or shut out."""
        people = self._services.people
        account = await self._services.store.accounts.by_id(invitation.account_id)
        if account is None or not account.may_log_in:
            raise WrongOrExpired("the account is gone")
        try:
            with joining(use):
                await people.set_password(account, password, actor=SELF)
            return await people.change(account, AccountChange(name=name or None), actor=SELF)
        except NotFound:
            raise WrongOrExpired("the account is gone") from None

    async def _invitation(self, token: str) -> tuple[Invitation, Company] | None:
        invitation = await self.requests.invited(_hash_of(token), self._now())
        if invitation is None:
            return None
        company = await self._services.store.companies.by_id(invitation.company_id)
        return None if company is None or company.disabled else (invitation, company)

    # -- small things ----------------------------------------------------------------------------------

    async def _mailboxes(self, account: Account) -> list[str]:
        """Those of an account's addresses that a letter reaches."""
        member = await self._services.store.accounts.member(account.company.id, account.id)
        return [] if member is None else list(filter(is_mail_address, member.emails))

    async def tidy(self) -> None:
        """Forget what counts for no limit any more."""
        await self.requests.forget_before(self._now() - DAY_S)
        await self.requests.forget_invitations(self._now())

    async def _hashed(self, pin: str, request_id: str, purpose: str, subject: str) -> str:
        return await self._in_pool(self._pins.hashed, pin, request_id, purpose, subject)

    async def _in_pool(self, function: Callable[..., T], *arguments: str) -> T:
        """A hash, beside the event loop. Raises TooMany."""
        try:
            return await self._pool.run(function, *arguments)
        except PoolFull:
            raise TooMany(5) from None

    async def _record(self, kind: str, row: Row) -> None:
        """Neither address nor PIN: what stands for the address, and which request it was."""
        await self._services.audit(
            kind,
            company_id=row.company_id,
            actor=SELF,
            target=row.account_id,
            purpose=row.purpose,
            request=row.id[:12],
            subject=row.subject[:12],
            source=row.source[:12],
        )

    def _rules(self) -> Rules:
        settings = self._settings()
        return Rules(
            lifetime_s=settings.lifetime_s,
            tries=settings.tries,
            first_wait_s=settings.resend_after_s,
            sends=settings.per_account_per_day,
        )

    def _now(self) -> int:
        return int(self._services.now())


def mailbox_of(text: str) -> str:
    """An e-mail address in the one form in which it is kept. Raises ValueError for what no letter reaches."""
    try:
        address = normalise_email(text)
    except InvalidAddress:
        raise ValueError("this is no e-mail address") from None
    if not is_mail_address(address):
        raise ValueError("this is no e-mail address")
    return address


def _hash_of(token: str) -> str:
    """Tokens have 192 random bits: nothing slow is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
