"""Telling many people, in slices: everything else on the server goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from rainbow_xmpp.plugin import Account, Services
from rainbow_xmpp.plugins.announcements.notices import EVERYBODY, Words

Slices = AsyncIterator[Sequence[Account]]

SLICE = 100
"""So many people are told before others have their turn: some milliseconds."""
PAGE = 500


class Crowd:
    """The people of a scope: of one company, or of all."""

    def __init__(self, services: Services, serves: Callable[[Account], bool]) -> None:
        self._services = services
        self._serves = serves

    async def online(self, scope: str) -> Slices:
        """Those with a session here, as they are now, in slices."""
        homes = list(self._services.sessions.homes.values())
        for start in range(0, len(homes), SLICE):
            accounts = [home.account for home in homes[start : start + SLICE]]
            yield [account for account in accounts if self._is_of(scope, account)]
            await asyncio.sleep(0)

    async def everybody(self, scope: str) -> Slices:
        """Everybody who may log in, in slices."""
        for company_id in await self._company_ids(scope):
            last = ""
            while page := await self._services.store.accounts.page(
                company_id, after=last, most=PAGE, disabled=False
            ):
                last = page[-1].id
                for start in range(0, len(page), SLICE):
                    yield [a for a in page[start : start + SLICE] if self._is_of(scope, a)]
                    await asyncio.sleep(0)

    async def tell(self, accounts: Sequence[Account], words: Words, *, type: str) -> None:
        """A message from the server to each of them."""
        notify = self._services.notify
        await asyncio.gather(
            *(notify(account, *words.elements(), type=type, body=words.body) for account in accounts)
        )

    async def _company_ids(self, scope: str) -> list[str]:
        if scope != EVERYBODY:
            return [scope]
        return [company.id for company in await self._services.store.companies.list() if not company.disabled]

    def _is_of(self, scope: str, account: Account) -> bool:
        return (scope in (EVERYBODY, account.company.id)) and self._serves(account)
