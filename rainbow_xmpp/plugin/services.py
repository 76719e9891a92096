"""What every plugin is given."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from rainbow_xmpp.auth.app_passwords import AppPasswords
from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.auth.box import Box
from rainbow_xmpp.auth.people import People
from rainbow_xmpp.auth.token_logins import TokenLogins
from rainbow_xmpp.company.access import Action
from rainbow_xmpp.company.agreements import Agreements
from rainbow_xmpp.company.desk import CompanyDesk
from rainbow_xmpp.company.levels import ServiceLevels
from rainbow_xmpp.config.levels import ServiceLevel
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.plugin.marks import AccessMark
from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.plugin.speech import Speech
from rainbow_xmpp.router.events import Event
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.router.questions import Questions
from rainbow_xmpp.session import Home, Session, SessionTable
from rainbow_xmpp.stanza.disco import DiscoInfo
from rainbow_xmpp.stanza.payload import Payload
from rainbow_xmpp.xml import Element, serialise

if TYPE_CHECKING:
    from rainbow_xmpp.auth.box import Box
    from rainbow_xmpp.auth.pool import HashPool
    from rainbow_xmpp.mail import Mail
    from rainbow_xmpp.store import Store
    from rainbow_xmpp.store.outbox import Leaving
    from rainbow_xmpp.store.values import Account

M = TypeVar("M")
P = TypeVar("P", bound=Payload)
T = TypeVar("T", bound=Offer)
log = logging.getLogger(__name__)


class ShowsPresence(Protocol):
    """What presence does beside what sessions send."""

    def show_to(self, home: Home, jid: str) -> None:
        """The presence of every available session, to this address."""

    def hide_from(self, home: Home, jid: str) -> None:
        """Unavailable presence of every available session, to this address."""

    def hide_directed(self, home: Home, concerns: Callable[[str], bool]) -> None:
        """Unavailable presence for those of `concerns` to whom presence was directed; that is over."""

    def show_contact(self, home: Home, contact: str) -> None:
        """A contact's presence to the account's available sessions, when they may see it."""

    def part(self, one: Home, other: Home) -> None:
        """Each hears that the other is gone, whatever the gate says: what they agreed on is over."""

    def part_from_afar(self, home: Home, contact: str) -> None:
        """The account hears that somebody of another region (a bare JID) is gone, if it saw them."""


class KnowsRosters(Protocol):
    """What the roster does beside what clients ask for."""

    async def may_see(self, owner: Account, viewer: str) -> bool:
        """A bare JID is a subscriber of an account's presence."""

    def is_answering(self, owner: Account, contact: str) -> bool:
        """What the roster says of this contact is just being agreed on."""

    async def forget(self, account: Account, bare: str, contact: str) -> None:
        """Take a contact out of an account's roster (`bare` is its address), and ask nobody."""

    async def circle_changed(self, home: Home, contacts: Iterable[str]) -> None:
        """Tell an account's devices of these people of its circle: they came, went, or have another name."""


class InvitesByAddress(Protocol):
    """Lets somebody invite by an e-mail address or a JID; see `rainbow_xmpp.roster.courier`."""

    async def __call__(self, inviter: Account, to: str, /, *, note: str, expires_at: int | None) -> None:
        """Returns when it is written down; `expires_at` is Unix time in seconds."""


class Declared(Protocol):
    """What the running plugins declare, all taken together."""

    def features(self, account: Account | None) -> frozenset[str]: ...
    def account_features(self, account: Account | None) -> frozenset[str]: ...
    def declared(self, mark: type[M], account: Account | None) -> Iterator[tuple[M, Callable[..., Any]]]: ...
    def server_info(self, account: Account | None) -> Iterator[DiscoInfo]: ...
    def offered(self, kind: type[T], account: Account | None) -> T | None: ...
    @property
    def is_same_for_all(self) -> bool: ...


class Audit(Protocol):
    """Into the log that nobody can change unnoticed; identifiers only (see `rainbow_xmpp.observe.audit`)."""

    async def __call__(
        self,
        kind: str,
        *,
        company_id: str,
        actor: str,
        target: str = "",
        reason: str = "",
        **facts: str | int | bool,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    """The server as plugins see it."""

    domain: str
    """What stands after the @."""
    public_url: str
    """Where clients reach the HTTPS side, without a slash at the end."""
    relays_of: Callable[[str], tuple[str, ...]]
    """The relays for calls that the configuration names for a region: hosts, with or without a port."""
    has_regions: bool
    """Other regions are configured: people may be at home elsewhere."""
    store: Store
    """The database: `read()` and `write()` give a connection for a plugin's own tables."""
    node: int
    """This node's number among those that share the database; 0 where it is the only one."""
    sessions: SessionTable
    """Who is connected, here and to the region's other nodes; to be read."""
    route: Callable[[Passage], Awaitable[None] | None]
    """Send a stanza on its way, through every stage, as its sender."""
    may_pass: Callable[[Passage], Awaitable[None]]
    """Ask the gate, which may have to look something up: raises StanzaError when these two may not speak."""
    spread: Callable[[Account, str, Sequence[bytes], Iterable[Session]], Awaitable[None] | None]
    """Send the same headlines from an account's address to many sessions, each asked about at the gate; see
    `rainbow_xmpp.router.spreading`. Await what is returned, if anything."""
    find_account: Callable[[str], Awaitable[Account | None]]
    """Who has this bare JID of ours, from memory where possible; nobody has one of a disabled account."""
    presence: ShowsPresence
    """Shows an account's presence to somebody, or hides it, beside what its sessions send."""
    counters: Counters
    now: Callable[[], float]
    """Unix time in seconds."""
    spawn: Callable[[Awaitable[None]], None]
    """Run something beside everything else; it is ended when the server stops."""
    tell: Callable[[Event], Awaitable[None] | None]
    """Tell other plugins of an event; await what is returned, if anything."""
    plugins: Declared
    questions: Questions
    rosters: KnowsRosters
    agreements: Agreements
    """What people and companies agree on: invitations, authorisations, links."""
    invite: InvitesByAddress
    """Invite whoever has an address, if there is somebody and the inviter may; nobody learns which from the time."""
    apply_changes: Callable[[], Awaitable[None]]
    """Apply at once what was written to the database just now, instead of within a second. Not while handling
    `Changed`, which is a part of that."""
    tell_nodes: Callable[[str, str], None]
    """Say something (topic, data) to the region's other nodes, which hear it as `ToldByNode`, before whatever is sent
    to their sessions afterwards. For what plugins have in memory and just wrote. The topic begins with the plugin's
    name. Nothing happens where there are no others."""
    leaving: Callable[[Passage], Leaving | None]
    """What is to be written down, with the sender's copy, of a message to somebody of another region (`abroad`): a row
    of the outbox, or nothing where nothing of it may cross."""
    secret_for: Callable[[str], bytes]
    """32 bytes for a purpose, the same after a restart, known to nobody but this server."""
    box_for: Callable[[str], Box]
    """Seals for a purpose; what was sealed opens after a restart, and under every sealing key that is known."""
    app_passwords: AppPasswords
    """Passwords that the server makes for clients which know no second factor."""
    token_logins: TokenLogins | None
    """Logins of the API; None when no key for tokens is configured."""
    people: People
    """Adds, disables, logs out and removes accounts, as administrators do; it is recorded."""
    companies: CompanyDesk
    """Adds and changes companies, as administrators do; it is recorded."""
    levels: ServiceLevels
    """The configured service levels."""
    mail: Mail
    """Letters to people."""
    confirm_password: Callable[[Account, str, str], Awaitable[Account | Refused]]
    """Whether this is the account's own password, asked from this network address (`Authenticator.confirm`)."""
    hashing: HashPool
    """Where slow hashes run."""
    tls_files: Callable[[], tuple[str, str]]
    """Paths of the server's certificate and its key (PEM), as configured now."""
    audit: Audit
    """Record what happened, with a kind that the plugin declares (`audit=` of its class)."""

    # -- who is who ------------------------------------------------------------------------------------

    def bare_jid(self, account: Account) -> str:
        """The account's address."""
        return f"{account.localpart}@{self.domain}"

    async def account_of(self, jid: str | JID) -> Account | None:
        """The account with this address, disabled ones too; None when nobody here has it."""
        parsed = jid if isinstance(jid, JID) else JID.parse(jid)
        if parsed.domain != self.domain or not parsed.local:
            return None
        return await self.store.accounts.by_localpart(parsed.local)

    def sessions_of(self, account: Account) -> list[Session]:
        """The account's sessions on this node."""
        home = self.sessions.homes.get(self.bare_jid(account))
        return [] if home is None else list(home.sessions)

    def level_of(self, account: Account) -> ServiceLevel:
        """What somebody gets: by a service level of their own, or by the company's. Ask each time; it may change."""
        return self.levels.of(account)

    async def may(self, action: Action, actor: Account, target: Account) -> bool:
        """Whether one person may do this with another: what every path asks that is no stanza.

        Fails closed: a plugin that cannot say means no.
        """
        if actor.id == target.id:
            return True
        asked = sorted(self.plugins.declared(AccessMark, None), key=lambda entry: entry[0].is_late)
        for _, permits in asked:
            try:
                if not await permits(action, actor, target):
                    return False
            except Exception:
                log.exception("whether somebody may %s somebody could not be decided; it means no", action)
                return False
        return True

    async def sees_presence(self, viewer: Account, owner: Account) -> bool:
        """The viewer is a subscriber of the owner's presence."""
        return await self.rosters.may_see(owner, self.bare_jid(viewer))

    # -- speaking --------------------------------------------------------------------------------------

    @overload
    async def ask(
        self, session: Session, payload: Payload | Element, *, type: str = "get", timeout_s: float = 30.0
    ) -> Element | None: ...
    @overload
    async def ask(
        self,
        session: Session,
        payload: Payload | Element,
        answer: type[P],
        *,
        type: str = "get",
        timeout_s: float = 30.0,
    ) -> P: ...
    async def ask(
        self,
        session: Session,
        payload: Payload | Element,
        answer: type[P] | None = None,
        *,
        type: str = "get",
        timeout_s: float = 30.0,
    ) -> P | Element | None:
        """Ask a client something (an IQ request from the server); its answer, as `answer` where that is given.

        Raises StanzaError: what the client says, remote-server-timeout when it says nothing, bad-request when it
        says something else. A handler that the client's own stanzas wait for does it in a task:
        `services.spawn(self.look_at(session))`.
        """
        element = payload.to_xml() if isinstance(payload, Payload) else payload
        found = await self.questions.ask(session, type, serialise(element), timeout_s=timeout_s)
        if answer is None:
            return found
        if found is None:
            raise StanzaError(Condition.BAD_REQUEST, detail="the client's answer is empty")
        return answer.from_xml(found)

    async def send_message(
        self,
        *content: Payload | Element,
        sender: Account,
        to: str | JID,
        from_: str = "",
        type: str = "normal",
        body: str = "",
    ) -> None:
        """A message of an account's, through every stage, the gate first. Nobody is told of a refusal."""
        message = Speech(from_ or self.bare_jid(sender), str(to), type, body, content)
        await self._send(message.passage(sender))

    async def notify(
        self, account: Account, *content: Payload | Element, type: str = "normal", body: str = ""
    ) -> None:
        """A message from the server to one of its accounts, through every stage: kept when nobody is online."""
        message = Speech(self.domain, self.bare_jid(account), type, body, content)
        await self._send(message.passage(account))

    async def _send(self, passage: Passage) -> None:
        pending = self.route(passage)
        if pending is not None:
            await pending

    # -- what plugins declare --------------------------------------------------------------------------

    def features(self, account: Account | None = None) -> frozenset[str]:
        """Service discovery features of the server: all, or those that serve this account."""
        return self.plugins.features(account)

    def account_features(self, account: Account | None = None) -> frozenset[str]:
        """What accounts can do (disco#info of a bare JID): all, or what serves this one."""
        return self.plugins.account_features(account)

    def declared(
        self, mark: type[M], account: Account | None = None
    ) -> Iterator[tuple[M, Callable[..., Any]]]:
        """What plugins declare with this kind of mark, and the method: for those that serve this account."""
        return self.plugins.declared(mark, account)

    def server_info(self, account: Account | None = None) -> Iterator[DiscoInfo]:
        """What plugins add to what the server says of itself: all, or those that serve this account."""
        return self.plugins.server_info(account)

    def offered(self, kind: type[T], account: Account | None = None) -> T | None:
        """What another plugin offers (see `rainbow_xmpp.plugin.offers`); None when none does, for this account.

        Ask each time: plugins come and go.
        """
        return self.plugins.offered(kind, account)
