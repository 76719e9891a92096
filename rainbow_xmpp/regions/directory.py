"""Accounts by localpart, those of other regions included: the recipients of stanzas."""

from __future__ import annotations

from collections.abc import Awaitable

from rainbow_xmpp.regions.homes import Homes
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.store.values import Account


class WideDirectory:
    """Who is at home here comes first; about all others the other regions are asked.

    To ask takes as long as the way there and back. So whoever is refused waits as long as for somebody who is
    nowhere: `decoy` asks for names that need no asking.
    """

    def __init__(self, here: AccountDirectory, homes: Homes) -> None:
        self.here = here
        self._homes = homes

    def peek(self, localpart: str) -> Account | None:
        """The account, or None when it is known that there is none anywhere; KeyError when one has to ask."""
        return self.here.peek(localpart) or self._homes.peek(localpart)

    async def find(self, localpart: str) -> Account | None:
        """The account, asking the database and the other regions when need be. Raises Away."""
        return await self.here.find(localpart) or await self._homes.find(localpart)

    def decoy(self, localpart: str) -> Awaitable[object] | None:
        """What a refusal must wait for; None when a question about somebody who is nowhere would not, either."""
        return None if self._homes.was_asked_lately(localpart) else self._homes.ask_in_vain(localpart)
