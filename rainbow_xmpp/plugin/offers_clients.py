"""Clients of people, as interfaces: which may come back without a password, and which nobody looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.router.events import Event
from rainbow_xmpp.session import Session
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


class ClientActivity(Offer):
    """Whether somebody looks at a client, by what it says (XEP-0352). That is told to nobody outside the server."""

    def is_inactive(self, session: Session) -> bool:
        """The client said so, and has not said otherwise since."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class BecameActive(Event):
    """A client that was inactive says that it is not any more."""

    session: Session


@dataclass(frozen=True, slots=True)
class ClientLoggedOut(Event):
    """Somebody, the account's owner or an administrator, logged out an installation of a client: it is not to come
    back by itself."""

    owner: Account
    agent: str
    """Its id, as in `Session.agent`; "" when it has not said one."""

    @property
    def account(self) -> Account:
        return self.owner
