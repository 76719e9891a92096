"""Invitations into a company: a link in a letter, by which somebody joins or chooses a first password."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy.ext.asyncio import AsyncConnection

from rainbow_xmpp.auth.people import AccountChange
from rainbow_xmpp.company.agreements import NotAllowed
from rainbow_xmpp.ids import new_id
from rainbow_xmpp.mail import Letter
from rainbow_xmpp.plugin import (
    Account,
    Asker,
    Company,
    Invited,
    RegistrationClosed,
    RegistrationMode,
    TooMany,
    WrongOrExpired,
)
from rainbow_xmpp.plugins.mfa_pin.addresses import mailbox_of
from rainbow_xmpp.plugins.mfa_pin.common import SELF, Common
from rainbow_xmpp.plugins.mfa_pin.store import DAY_S, HOUR_S, Invitation
from rainbow_xmpp.store.errors import NotFound
from rainbow_xmpp.store.joined import Work, joining
from rainbow_xmpp.store.names import tidy_name
from rainbow_xmpp.store.values import NewAccount

TOKEN_BYTES = 24


class Invitations:
    """Whoever invites never learns whether the address has an account; only its owner is told."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._services = common.services
        self._requests = common.requests

    async def invite(
        self, company: Company, address: str, *, actor: str, language: str = "en", reason: str = ""
    ) -> str:
        """As `PinDesk.invite`. Whoever has an account already is told so, and whoever invites is not."""
        address = mailbox_of(address)
        record = await self._services.store.accounts.for_login(address)
        template = "invitation" if record is None else "register-taken"
        return await self._send(company, address, template, "", actor=actor, language=language, reason=reason)

    async def welcome(self, account: Account, *, actor: str, language: str = "en", reason: str = "") -> None:
        """As `PinDesk.welcome`. Raises NotAllowed for somebody without an address."""
        mailboxes = await self._common.mailboxes(account)
        if not mailboxes:
            raise NotAllowed("nobody can be written to")
        await self._send(
            account.company,
            mailboxes[0],
            "invitation",
            account.id,
            actor=actor,
            language=language,
            reason=reason,
        )

    async def _send(
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
        now, token = self._common.now(), secrets.token_urlsafe(TOKEN_BYTES)
        days = self._common.settings().invitation_days
        invitation_id = new_id()
        invitation = Invitation(
            id=invitation_id,
            company_id=company.id,
            region=company.region,
            address=self._common.addresses.seal(address, invitation_id),
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
            sent = await self._requests.invited_since(connection, company.id, now - HOUR_S)
            if sent >= self._common.settings().per_company_per_hour:
                raise TooMany(HOUR_S // 6)
            await self._requests.invite(connection, invitation, _hash_of(token))
            await self._services.mail.post(letter, connection)
        self._services.mail.hurry()
        await self._services.audit(
            "mfa_pin.invited", company_id=company.id, actor=actor, target=invitation_id, reason=reason
        )
        return invitation_id

    async def of(self, company: Company) -> list[tuple[Invitation, str]]:
        """The open invitations of a company, with their addresses."""
        found = await self._requests.invitations_of(company.id, self._common.now())
        return [(each, self._common.addresses.open(each.address, each.id)) for each in found]

    async def take_back(self, company: Company, invitation_id: str, *, actor: str, reason: str = "") -> bool:
        """End an invitation; False when there is none."""
        async with self._services.store.write() as connection:
            if not await self._requests.drop_invitation(connection, company.id, invitation_id):
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
        address = self._common.addresses.open(invitation.address, invitation.id)
        return Invited(company.name, address, invitation.expires_at)

    async def join(
        self, token: str, password: str, *, name: str = "", asker: Asker, accepted_at: int = 0
    ) -> Account:
        """As `PinDesk.join`."""
        if self._common.registration is RegistrationMode.CLOSED:
            raise RegistrationClosed("nobody joins by themselves here")
        name = tidy_name(name)
        now = self._common.may_try(asker)
        found = await self._invitation(token, accepted_at)
        if found is None:
            self._common.throttle.failed("", asker.source, now)
            raise WrongOrExpired("no such invitation")
        invitation, company = found
        address = self._common.addresses.open(invitation.address, invitation.id)
        self._services.people.judge(password, address, name, company.name, company=company)

        async def use(connection: AsyncConnection) -> None:
            if not await self._requests.drop_invitation(connection, company.id, invitation.id):
                raise WrongOrExpired("used")

        if invitation.account_id:
            account = await self._first_password(invitation, password, name, use)
        else:
            new = NewAccount(company=company.name, email=address, name=name)
            account = await self._common.added(new, password, use)
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

    async def _invitation(self, token: str, good_at: int = 0) -> tuple[Invitation, Company] | None:
        """The invitation that is good, or was at this time."""
        invitation = await self._requests.invited(_hash_of(token), good_at or self._common.now())
        if invitation is None:
            return None
        company = await self._services.store.companies.by_id(invitation.company_id)
        return None if company is None or company.disabled else (invitation, company)


def _hash_of(token: str) -> str:
    """Tokens have 192 random bits: nothing slow is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
