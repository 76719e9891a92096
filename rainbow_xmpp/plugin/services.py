"""What every plugin is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.router.iq import IqRegistry
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.session import SessionTable

if TYPE_CHECKING:
    from rainbow_xmpp.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """The server as plugins see it."""

    domain: str
    """What stands after the @."""
    store: Store
    """The database: `read()` and `write()` give a connection for a plugin's own tables."""
    sessions: SessionTable
    """Who is connected here; to be read."""
    route: Callable[[Passage], Awaitable[None] | None]
    """Send a stanza on its way, through every stage, as its sender."""
    may_pass: Callable[[Passage], None]
    """Ask the gate: raises StanzaError when these two may not speak."""
    counters: Counters
    now: Callable[[], float]
    """Unix time in seconds."""
    iqs: IqRegistry
    features: Callable[[], frozenset[str]]
    """The service discovery features of all plugins."""
    account_features: Callable[[], frozenset[str]]
    """What accounts can do, by all plugins (disco#info of a bare JID)."""
    spawn: Callable[[Awaitable[None]], None]
    """Run something beside everything else; it is ended when the server stops."""
