"""Accounts by localpart, from memory where possible: the recipients of stanzas."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from rainbow_xmpp.store.values import Account


class Source(Protocol):
    async def by_localpart(self, localpart: str) -> Account | None: ...


_LONGEST_KNOWN = 256
"""Longer localparts are looked up each time, so that strangers' inventions cannot fill the memory."""


class AccountDirectory:
    """Remembers who was looked up, and that nobody was; bounded, and told of every change.

    A stanza for somebody who does not exist costs what one for somebody unreachable costs: both are remembered.
    """

    def __init__(self, source: Source, *, most: int = 50_000) -> None:
        self._source = source
        self._most = most
        self._known: OrderedDict[str, Account | None] = OrderedDict()
        self._disabled: set[str] = set()
        self._changes = 0

    def peek(self, localpart: str) -> Account | None:
        """The account, or None when it is known that there is none; KeyError when one has to ask."""
        account = self._known[localpart]
        self._known.move_to_end(localpart)
        return account

    async def find(self, localpart: str) -> Account | None:
        """The account, asking the database when need be; disabled ones do not exist."""
        if localpart in self._known:
            return self._known[localpart]
        changes = self._changes
        account = await self._source.by_localpart(localpart)
        is_disabled = account is not None and not account.may_log_in
        if is_disabled:
            account = None
        # When something changed meanwhile, what was read may be out of date already.
        if changes == self._changes and len(localpart) <= _LONGEST_KNOWN:
            self._known[localpart] = account
            if is_disabled:
                self._disabled.add(localpart)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return account

    def is_disabled(self, localpart: str) -> bool:
        """Of those who were looked up and are still remembered: there is such an account, and it is disabled."""
        return localpart in self._disabled

    def forget_all(self) -> None:
        """Something about companies or accounts changed."""
        self._changes += 1
        self._known.clear()
        self._disabled.clear()
