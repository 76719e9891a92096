"""Accounts by localpart, those of other regions included: the recipients of stanzas."""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import ContextVar

from rainbow_xmpp.regions.homes import Away, Homes
from rainbow_xmpp.session.directory import AccountDirectory
from rainbow_xmpp.store.values import Account

_asked_for: ContextVar[tuple[str, str]] = ContextVar("asked_for", default=("", ""))
"""Whom the other regions were asked for on behalf of the stanza that is being handled, and which did not answer."""


class WideDirectory:
    """Who is at home here comes first; about all others the other regions are asked.

    To ask takes as long as the way there and back. So whoever is refused waits as long as for somebody who is
    nowhere: `decoy` asks for names that need no asking, once in the time for which it is known that there is nobody.
    """

    def __init__(self, here: AccountDirectory, homes: Homes) -> None:
        self.here = here
        self._homes = homes

    def peek(self, localpart: str) -> Account | None:
        """The account, or None when it is known that there is none anywhere; KeyError when one has to ask."""
        return self.here.peek(localpart) or self._abroad(localpart, self._homes.peek(localpart))

    async def find(self, localpart: str) -> Account | None:
        """The account, asking the database and the other regions when need be. Raises Away."""
        here = await self.here.find(localpart)
        if here is not None:
            return here
        try:
            return self._abroad(localpart, self._homes.peek(localpart))
        except KeyError:
            found = await self._homes.look_up(localpart)
            _asked_for.set((localpart, found.away))
            return self._abroad(localpart, self._homes.resolved(localpart, found))

    def _abroad(self, localpart: str, account: Account | None) -> Account | None:
        """The name of somebody who is disabled here is nobody else's; others are asked for it all the same."""
        return None if self.here.is_disabled(localpart) else account

    def decoy(self, localpart: str) -> Awaitable[object] | None:
        """What a refusal must wait for; None when one of somebody who is nowhere would not, either."""
        asked_for, away = _asked_for.get()
        _asked_for.set(("", ""))
        if asked_for == localpart:
            if away:
                return _be_away(away)
            self._homes.was_refused(localpart)
            return None
        return None if self._homes.was_refused_lately(localpart) else self._homes.ask_in_vain(localpart)


async def _be_away(region: str) -> None:
    raise Away(region)
