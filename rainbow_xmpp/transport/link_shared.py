"""What the connections of a server have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from rainbow_xmpp.config import Limits
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.session.entrance import Entrance
from rainbow_xmpp.session.limits import Pace, xml_limits
from rainbow_xmpp.session.session import Session, Wire
from rainbow_xmpp.xml import XmlLimits

if TYPE_CHECKING:
    from rainbow_xmpp.transport.deadlines import Deadlines
    from rainbow_xmpp.transport.gatekeeper import Gatekeeper
    from rainbow_xmpp.transport.outbox import Outbox


@dataclass(slots=True)
class LinkShared:
    """What all links of a server share; a reload puts other limits here."""

    entrance: Entrance
    outbox: Outbox
    counters: Counters
    gatekeeper: Gatekeeper
    deadlines: Deadlines
    """Connections that have not logged in yet."""
    ended: Callable[[Session, Wire, bool], None]
    """This connection of a bound session is over; True: it was lost, and its stream not closed."""
    bindings: Callable[[], Mapping[str, bytes]]
    """Channels that can be bound on TLS connections (XEP-0440)."""
    limits: Limits
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    """What connections are called in the log."""
    xml_before_login: XmlLimits = field(init=False)
    """How much markup there may be before a resource is bound, in the stream header too."""

    def __post_init__(self) -> None:
        self.use(self.limits)

    def use(self, limits: Limits) -> None:
        """These count from now on: for what comes next on every connection, and for new ones altogether."""
        self.limits = limits
        self.xml_before_login = xml_limits(limits.xml_before_login, limits.stanza_bytes_before_login)
        self.gatekeeper.limit(
            limits.connections_per_address, limits.half_open_per_address, limits.half_open_connections
        )
        self.deadlines.set_login_timeout(limits.login_timeout_s)
        self.entrance.resources_per_account = limits.resources_per_account
        self.entrance.pace = Pace.of(limits)

    def entered(self, source: str) -> bool:
        """Count a new connection in, or refuse it."""
        if not self.gatekeeper.admit(source):
            self.counters.connections_refused += 1
            return False
        self.counters.connections += 1
        self.counters.connections_half_open = self.gatekeeper.half_open
        return True

    def logged_in(self, source: str) -> None:
        """One of its connections is no longer half-open."""
        self.gatekeeper.logged_in(source)
        self.counters.connections_half_open = self.gatekeeper.half_open

    def left(self, source: str, *, was_half_open: bool) -> None:
        """Count a connection out."""
        self.gatekeeper.left(source, was_half_open=was_half_open)
        self.counters.connections -= 1
        self.counters.connections_half_open = self.gatekeeper.half_open
