"""Senders of other regions, as sessions: the router answers them as it answers anybody who is connected here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from rainbow_xmpp.regions.parcels import Reply
from rainbow_xmpp.session import Home, Session
from rainbow_xmpp.session.layer import Nowhere
from rainbow_xmpp.store.values import Account

MOST_GUESTS = 20_000
"""Who has not said anything for longest is forgotten; nothing but an order of stanzas hangs on it."""

SendBack = Callable[[str, Reply], None]
"""Sends something back to a session of another region."""


class GuestWire(Nowhere):
    """In the place of a connection that a server of another region has. Only stanzas go there."""

    __slots__ = ("_full", "_region", "_send_back", "replies")

    def __init__(self, region: str, full: str, send_back: SendBack) -> None:
        super().__init__()
        self._region = region
        self._full = full
        self._send_back = send_back
        self.replies: list[Reply] | None = None
        """What is sent while this is set goes in here, and back with the receipt."""

    def send(self, data: bytes) -> None:
        reply = Reply(self._full, data)
        if self.replies is None:
            self._send_back(self._region, reply)
        else:
            self.replies.append(reply)


class Guest(Session):
    """Somebody abroad who said something. In no table: nobody finds them but by their address."""

    __slots__ = ("arrival", "region")

    def __init__(self, account: Account, full: str, wire: GuestWire) -> None:
        bare = full.partition("/")[0]
        super().__init__(account, full, Home(account, bare), wire, _says_nothing_here)
        self.region = account.region
        self.arrival: tuple[str, int] | None = None
        """By which the stanza that is being handled is known when it comes again: its region, its number there."""


class Guests:
    """Those who said something lately."""

    def __init__(self, send_back: SendBack) -> None:
        self._send_back = send_back
        self._known: OrderedDict[tuple[str, bool], tuple[Guest, GuestWire]] = OrderedDict()

    def guest(self, account: Account, full: str, *, is_kept: bool) -> tuple[Guest, GuestWire]:
        """The session of this sender; what is known of the account counts from now on.

        What is kept has one of its own: it is on its way beside what is not, and each is known by what it came with.
        """
        key = full, is_kept
        known = self._known.get(key)
        if known is not None and known[0].region == account.region:
            known[0].account = known[0].home.account = account
            self._known.move_to_end(key)
            return known
        wire = GuestWire(account.region, full, self._send_back)
        made = self._known[key] = Guest(account, full, wire), wire
        if len(self._known) > MOST_GUESTS:
            self._known.popitem(last=False)
        return made


def take_arrival(session: Session | None) -> tuple[str, int] | None:
    """By which the stanza of this session is known when it comes again; None for those of sessions here.

    Whoever takes it writes it down with what it keeps.
    """
    if not isinstance(session, Guest):
        return None
    arrival, session.arrival = session.arrival, None
    return arrival


def _says_nothing_here(session: Session, data: bytes) -> None:
    """Its stanzas come in parcels."""
