"""Clients that may come back without a password, as an interface: whoever shows people their logins asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.store.values import Account


@dataclass(frozen=True, slots=True)
class RememberedClient:
    """An installation of a client, by what it said of itself (XEP-0388 §2.3): for the account's own user only."""

    agent: str
    """Its id, as in `Session.agent`."""
    software: str
    device: str
    used_at: int
    """When it last came back so, to the hour or so; Unix time in seconds, 0 = never."""
    since: int
    """When it was given what it comes back with."""


class RememberedClients(Offer):
    """Who may come back without a password, as with tokens of XEP-0484."""

    async def clients_of(self, account: Account) -> Sequence[RememberedClient]:
        """The account's clients that may."""
        raise NotImplementedError

    async def forget_client(self, account: Account, agent: str) -> bool:
        """This one may not any more, and logs in anew; False when it could not anyway."""
        raise NotImplementedError
