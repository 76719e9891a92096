"""Who is connected: sessions by full JID, and each account's `Home` by bare JID."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Protocol

from rainbow_xmpp.session.circle import Circle
from rainbow_xmpp.session.session import Session

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

NOBODY: frozenset[str] = frozenset()


class Home:
    """One account's presence on this node: its sessions, and whom its presence concerns.

    `subscribers` (bare JIDs that see us: `from` or `both`) and `contacts` (whom we see: `to` or `both`) are read
    from the roster when the first resource becomes available; until then `is_loaded` is false.
    """

    __slots__ = (
        "account",
        "bare",
        "circle",
        "contacts",
        "is_loaded",
        "requests",
        "roster_changes",
        "sessions",
        "subscribers",
    )

    def __init__(self, account: Account, bare: str) -> None:
        self.account = account
        self.bare = bare
        self.sessions: list[Session] = []
        self.subscribers: frozenset[str] = NOBODY
        self.contacts: frozenset[str] = NOBODY
        self.requests: tuple[bytes, ...] = ()
        """Subscription requests that wait for an answer (RFC 6121 §3.1.3)."""
        self.roster_changes = 0
        """How often the roster was changed since this home is there."""
        self.is_loaded = False
        self.circle: Circle | None = None
        """The colleagues, who see and are seen without being in `subscribers` or `contacts`."""

    def join(self, circle: Circle | None) -> None:
        """Belong to this circle from now on, or to none."""
        if self.circle is not None:
            self.circle.homes.pop(self.bare, None)
        self.circle = circle
        if circle is not None:
            circle.homes[self.bare] = self

    def let_go(self) -> None:
        """Out of the circle, once no session is left."""
        if not self.sessions:
            self.join(None)

    def is_seen_by(self, bare: str) -> bool:
        """A bare JID may see this account's presence."""
        return bare in self.subscribers or self.is_colleague(bare)

    def is_colleague(self, bare: str) -> bool:
        """A bare JID is of the same circle."""
        return self.circle is not None and bare in self.circle.members

    def audience(self) -> Set[str]:
        """The bare JIDs that may see this account's presence, connected or not."""
        return self.subscribers if self.circle is None else self.subscribers | self.circle.members.keys()

    def watched(self) -> Set[str]:
        """The bare JIDs whose presence this account may see, as far as it is concerned."""
        return self.contacts if self.circle is None else self.contacts | self.circle.members.keys()

    def colleagues(self) -> list[Home]:
        """Those of the circle who are connected, without this account."""
        return (
            [] if self.circle is None else [home for home in self.circle.homes.values() if home is not self]
        )

    def available(self) -> list[Session]:
        """Sessions that sent presence."""
        return [s for s in self.sessions if s.presence is not None]

    def interested(self) -> list[Session]:
        """Sessions that asked for the roster."""
        return [s for s in self.sessions if s.is_interested]

    def with_priority(self) -> list[Session]:
        """Available sessions whose priority is not negative: where messages to the bare JID go."""
        return [s for s in self.sessions if s.presence is not None and s.priority >= 0]


class Watcher(Protocol):
    """Hears what happens in the table."""

    def added(self, session: Session) -> None: ...
    def removed(self, session: Session) -> None: ...
    def changed(self, session: Session) -> None: ...
    def roster_changed(self, bare: str) -> None: ...


class _Nobody:
    """Who watches while this node is the only one."""

    def added(self, session: Session) -> None: ...
    def removed(self, session: Session) -> None: ...
    def changed(self, session: Session) -> None: ...
    def roster_changed(self, bare: str) -> None: ...


class SessionTable:
    """Every bound resource, by full JID and in its home: those of this node, and of the region's other nodes.

    As a collection it is those of this node alone.
    """

    def __init__(self) -> None:
        self.by_full: dict[str, Session] = {}
        self.homes: dict[str, Home] = {}
        self.watch: Watcher = _Nobody()
        """Must be told with `changed` when presence, interest in the roster or what plugins note of it changes."""
        self._remote = 0

    def __len__(self) -> int:
        return len(self.by_full) - self._remote

    def __iter__(self) -> Iterator[Session]:
        sessions = list(self.by_full.values())
        return iter([session for session in sessions if not session.is_remote] if self._remote else sessions)

    def home_for(self, account: Account, bare: str) -> Home:
        """The account's home; made when this is its first session. The newest facts about the account win."""
        home = self.homes.get(bare)
        if home is None:
            home = self.homes[bare] = Home(account, bare)
        home.account = account
        return home

    def add(self, session: Session) -> Session | None:
        """Enter a session; return the one it replaces (RFC 6120 §7.7.2.2)."""
        old = self.by_full.get(session.full)
        if old is not None:
            old.home.sessions.remove(old)
            self._remote -= old.is_remote
        self.by_full[session.full] = session
        session.home.sessions.append(session)
        self._remote += session.is_remote
        self.watch.added(session)
        return old

    def remove(self, session: Session) -> bool:
        """Take a session out; False when it was not in (any more)."""
        if self.by_full.get(session.full) is not session:
            return False
        del self.by_full[session.full]
        self._remote -= session.is_remote
        home = session.home
        home.sessions.remove(session)
        if not home.sessions and self.homes.get(home.bare) is home:
            del self.homes[home.bare]
        self.watch.removed(session)
        return True

    def of_account(self, account_id: str) -> list[Session]:
        """All sessions of an account on this node, whatever its localpart is now."""
        return [s for s in self if s.account.id == account_id]
