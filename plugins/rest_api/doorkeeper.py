"""Who calls, and whether they may: decided here, for every endpoint, by what it declares.

A method of an endpoint never sees an id of a company or a person that the caller must not know: it is handed the
company and the person themselves, or it is not called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from rainbow_xmpp.auth.tokens import InvalidToken
from rainbow_xmpp.plugin import Access, Account, Company, EndpointMark, Problem, Role, absent
from rainbow_xmpp.plugin.api_tokens import bearer, unauthenticated

if TYPE_CHECKING:
    from rainbow_xmpp.auth.token_logins import TokenLogins
    from rainbow_xmpp.store import Store

_ID = re.compile(r"[0-9a-f]{24}").fullmatch


class Visitor(NamedTuple):
    """Who was let in, and what the path names."""

    account: Account | None
    family: str
    company: Company | None
    user: Account | None


class Doorkeeper:
    """`logins` knows whose token is good, `store` whose company is whose."""

    def __init__(self, logins: TokenLogins, store: Store) -> None:
        self._logins = logins
        self._store = store

    async def who_calls(self, authorization: str) -> tuple[Account, str]:
        """The account and the login of a token. Raises Problem (401)."""
        token = bearer(authorization)
        if token is None:
            raise unauthenticated()
        try:
            account, claims = await self._logins.who(token)
        except InvalidToken:
            raise unauthenticated("invalid_token") from None
        return account, claims.family

    async def admit(
        self, mark: EndpointMark, account: Account, family: str, path: Mapping[str, str]
    ) -> Visitor:
        """Let somebody in who is known by now, or raise Problem: 404 for what is not theirs to see, 403 else."""
        company = await self._company(account, path.get("company_id"))
        user = await self._user(company, path.get("user_id"))
        if not _may(mark.access, account, company):
            raise Problem(403, "forbidden")
        return Visitor(account, family, company, user)

    async def _company(self, account: Account, company_id: str | None) -> Company | None:
        """The one in the path: the caller's own, or any for operators."""
        if company_id is None:
            return None
        if company_id == account.company.id:
            return account.company
        found = None
        if account.role is Role.OPERATOR and _ID(company_id):
            found = await self._store.companies.by_id(company_id)
        if found is None:
            raise absent()
        return found

    async def _user(self, company: Company | None, user_id: str | None) -> Account | None:
        """The person in the path, who is of the company in the path."""
        if user_id is None:
            return None
        found = await self._store.accounts.by_id(user_id) if _ID(user_id) else None
        if found is None or company is None or found.company.id != company.id:
            raise absent()
        return found


def _may(access: Access, account: Account, company: Company | None) -> bool:
    match access:
        case Access.ANYBODY | Access.PERSON:
            return True
        case Access.MEMBER:
            return company is not None
        case Access.COMPANY_ADMIN:
            is_own = company is not None and company.id == account.company.id
            return account.role is Role.OPERATOR or (is_own and account.role is Role.COMPANY_ADMIN)
        case Access.OPERATOR:
            return account.role is Role.OPERATOR
