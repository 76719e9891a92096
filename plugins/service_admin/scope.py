"""Whom an administrator knows of, and whom they may change: operators everybody, others their own company."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator

from rainbow_xmpp.plugin import JID, Account, Company, Condition, FormError, Home, Role, Services, StanzaError

PAGE = 500


class Scope:
    """One administrator's view. Who is outside it does not exist in it."""

    def __init__(self, services: Services, admin: Account) -> None:
        self._services = services
        self.admin = admin
        self.is_everything = admin.role is Role.OPERATOR

    def covers(self, account: Account) -> bool:
        """The account is one of those the administrator is responsible for."""
        return self.is_everything or account.company.id == self.admin.company.id

    def judge_reason(self, reason: str) -> str:
        """Why something is done, for the audit log. Raises FormError for operators who do not say."""
        if self.is_everything and not reason.strip():
            raise FormError("operators say why", field="x-reason")
        return reason.strip()

    async def find(self, who: Iterable[JID], *, field: str) -> list[tuple[JID, Account]]:
        """The accounts with these addresses. Raises FormError that names all who are nobody here."""
        asked = list(who)
        found = list(zip(asked, await asyncio.gather(*map(self._account, asked)), strict=True))
        missing = ", ".join(str(jid) for jid, account in found if account is None)
        if missing:
            raise FormError(f"{missing}: nobody is called that", field=field)
        return [(jid, account) for jid, account in found if account is not None]

    async def find_to_change(self, who: Iterable[JID], *, field: str) -> list[tuple[JID, Account]]:
        """As `find`, of people this administrator may shut out or remove. Raises StanzaError."""
        found = await self.find(who, field=field)
        for _, account in found:
            if account.id == self.admin.id:
                raise StanzaError(Condition.NOT_ALLOWED, "nobody does this to their own account")
            if account.role is Role.OPERATOR and not self.is_everything:
                raise StanzaError(Condition.FORBIDDEN, "operators are changed by operators only")
        return found

    async def _account(self, who: JID) -> Account | None:
        """By JID or else by e-mail address; who is outside takes as long to find as nobody."""
        account = await self._services.account_of(who)
        if account is not None and self.covers(account):
            return account
        record = await self._services.store.accounts.for_login(str(who.bare)) if who.local else None
        return record.account if record is not None and self.covers(record.account) else None

    async def companies(self) -> list[Company]:
        """By name."""
        return await self._services.store.companies.list() if self.is_everything else [self.admin.company]

    async def company_called(self, name: str) -> Company:
        """The company to add somebody to; "" is the own one. Raises FormError."""
        if not name:
            return self.admin.company
        found = await self._services.store.companies.by_name(name)
        if found is None or not (self.is_everything or found.id == self.admin.company.id):
            raise FormError(f"there is no company {name}", field="x-company")
        return found

    async def people(self, *, disabled: bool | None = None) -> AsyncIterator[Account]:
        """Everybody, company by company; `disabled`: only those who are shut out, or who are not."""
        for company in await self.companies():
            last = ""
            while page := await self._services.store.accounts.page(
                company.id, after=last, most=PAGE, disabled=disabled
            ):
                for account in page:
                    yield account
                last = page[-1].id

    def online(self) -> Iterator[Home]:
        """Everybody with a session here."""
        return (home for home in self._services.sessions.homes.values() if self.covers(home.account))

    async def headcount(self) -> tuple[int, int]:
        """How many are registered, and how many of these are shut out."""
        counts = await self._services.store.accounts.counts()
        if not self.is_everything:
            counts = {id: count for id, count in counts.items() if id == self.admin.company.id}
        return sum(c.registered for c in counts.values()), sum(c.disabled for c in counts.values())
