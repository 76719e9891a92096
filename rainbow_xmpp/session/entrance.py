"""What all logins of a server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rainbow_xmpp.auth.authenticator import Authenticator
from rainbow_xmpp.auth.token_logins import TokenLogins
from rainbow_xmpp.config import Config
from rainbow_xmpp.errors import LocalMisuse, SeeOther
from rainbow_xmpp.observe.histogram import Histogram
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.session.early import AnswersStrangers, NobodyAnswers
from rainbow_xmpp.session.homeward import Homeward, WayHome
from rainbow_xmpp.session.inline import InlineRegistry, TakenOver
from rainbow_xmpp.session.limits import Pace
from rainbow_xmpp.session.redirects import Redirects
from rainbow_xmpp.session.resources import Resources
from rainbow_xmpp.session.session import Handler, Session, Wire
from rainbow_xmpp.session.table import SessionTable
from rainbow_xmpp.session.tasks import NoTasks, Tasks
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import NO_AGENT, Output, StreamSettings, UserAgent


class LoginLink(Wire, Protocol):
    """What a login needs of its connection beside writing."""

    is_closing: bool
    """The stream has ended, or the connection is gone."""

    def restart_stream(self) -> None:
        """The next thing from the peer is a stream header."""

    def allow_time(self, seconds: int) -> None:
        """The peer has so much more time to log in, from now on; this counts once."""

    def start_tls(self) -> None:
        """Begin the TLS handshake on this connection."""

    def go_home(self, way: WayHome) -> None:
        """From now on everything the peer says goes there, and what is said there goes to the peer."""

    def become(self, session: Session) -> None:
        """From now on everything received goes to this session."""

    def proceed(self) -> None:
        """A step that waited is done: hand over what arrived meanwhile."""


class Changes(Protocol):
    """What other processes did to accounts while somebody was logging in."""

    generation: int
    """Rises with every change."""

    def is_frozen(self, account_id: str) -> bool:
        """Nobody may log in to it for the moment."""

    async def is_current(self, account: Account, family: str = "") -> bool:
        """The account may still log in, with the password that it had, or by the login of the API that this is."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another server of the same service."""

    host: str
    """Its name or address, with or without a port."""
    websocket_uri: str

    @classmethod
    def of(cls, config: Config) -> Elsewhere | None:
        """Where the configuration sends clients; None = they stay here."""
        host = config.listen.drain_to
        return cls(host, config.drain_websocket_url) if host else None

    @classmethod
    def directly(cls, config: Config) -> Elsewhere:
        """The first host of this server's own region."""
        host = config.regions[config.home_region].hosts[0]
        return cls(host, f"wss://{host}/xmpp-websocket")

    def violation(self) -> SeeOther:
        """What ends the stream of somebody who is sent there."""
        return SeeOther(self.host, self.websocket_uri)


@dataclass(frozen=True, slots=True)
class Entered:
    """The client knows that this session is its own: others may be told."""

    session: Session


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The client goes on with a session that it had before."""

    session: Session


@dataclass(frozen=True, slots=True)
class GoneHome:
    """The client is at home in another region, and its login goes on there."""

    way: WayHome


@dataclass(frozen=True, slots=True)
class Redirected:
    """The client has logged in, and is asked to come in elsewhere."""

    violation: SeeOther


Step = Output | Entered | TakenBack | GoneHome | Redirected
"""What a login does next: what its stream says, or this."""


FindSession = Callable[[Account, Mapping[str, str]], Awaitable[Callable[[], TakenOver | bytes] | bytes]]
"""Asked with the attributes of `<resume/>`; see `Granted.take_over`. Bytes say that there is none."""


@dataclass(slots=True)
class Entrance:
    """What all logins of a server share; a reload changes what new logins find here."""

    settings: StreamSettings
    mechanisms: tuple[str, ...]
    authenticator: Authenticator
    changes: Changes
    sessions: SessionTable
    handle: Handler
    counters: Counters
    login_times: Histogram
    """From the connection to the bound resource."""
    spawn: Callable[[Awaitable[None]], None]
    """Run a login step that waits."""
    started: Callable[[Session], None]
    """Told of each session that is in the table now."""
    succeeded: Callable[[Account, str, str], None]
    """Told of each login, its mechanism, and the region it came through or "" (the audit log may want it)."""
    resources_per_account: int
    pace: Pace
    resources: Resources
    inline: InlineRegistry
    """What can be asked for together with SASL2 (XEP-0388, XEP-0386)."""
    resume: FindSession
    """Finds a session that a client had before (XEP-0198 §5)."""
    token_logins: TokenLogins | None = None
    """Whose token is whose; None without a key for tokens."""
    early: AnswersStrangers = field(default_factory=NobodyAnswers)
    """What plugins do for those who have not logged in."""
    tasks: Tasks = field(default_factory=NoTasks)
    """What some accounts have to do beyond SASL."""
    is_stopping: bool = False
    """The server stops: nobody comes in any more who was on the way, since there may be no plugins any more."""
    homeward: Homeward | None = None
    """Where people are at home who are not here; None = who is not here is nobody."""
    redirects: Redirects | None = None
    """Who came through another region and is asked to come here directly; None = nobody."""
    elsewhere: Elsewhere | None = None
    """Where clients are sent while this server is being emptied."""

    def bare(self, account: Account) -> str:
        """The account's bare JID."""
        return f"{account.localpart}@{self.settings.domain}"

    def new_session(
        self, account: Account, resource: str, link: LoginLink, lang: str, agent: UserAgent = NO_AGENT
    ) -> Session:
        """Bind this resource: from now on the link's stanzas are the session's.

        What the stream has to say of it must come before anything else does; then the session is `Entered`.
        """
        bare = self.bare(account)
        home = self.sessions.home_for(account, bare)
        session = Session(account, f"{bare}/{resource}", home, link, self.handle, self.pace, lang, agent)
        self._enter(session)
        link.become(session)
        return session

    def hand_over(self, session: Session, account: Account, link: LoginLink, lang: str) -> None:
        """Let this link go on with a session of the account; the link that carried it gives way."""
        if session.account.id != account.id or self.sessions.by_full.get(session.full) is not session:
            raise LocalMisuse("a session goes on with its own account only, and while it is there")
        session.account = session.home.account = account  # its epoch is that of this login
        session.move_to(link, lang)
        link.become(session)

    def _enter(self, session: Session) -> None:
        """Put a bound session into the table; one with the same full JID, or of the same client, gives way."""
        self.counters.sessions += 1
        superseded = [other for other in session.home.sessions if other.is_of_same_client(session)]
        replaced = self.sessions.add(session)
        if replaced is not None and replaced not in superseded:
            superseded.append(replaced)
        for other in superseded:
            other.replace_with_conflict()

    def has_room_for(self, bare: str, agent_id: str = "") -> bool:
        """The account may have one more session (RFC 6120 §7.6.2.1); those of the same client give way to it."""
        home = self.sessions.homes.get(bare)
        if home is None:
            return True
        staying = [s for s in home.sessions if not s.is_adrift and (not agent_id or s.agent.id != agent_id)]
        if len(staying) < self.resources_per_account:
            return True
        self.counters.limit_resources += 1
        return False
