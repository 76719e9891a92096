"""From a new connection to a bound session: walks a `ServerStream` and asks the database for it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rainbow_xmpp import ids, sasl
from rainbow_xmpp.auth.authenticator import Authenticator, Refused
from rainbow_xmpp.errors import Condition, PeerViolation, StanzaError, StreamCondition
from rainbow_xmpp.jid import JID
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.session.limits import Pace
from rainbow_xmpp.session.session import Handler, Session, Wire
from rainbow_xmpp.session.table import SessionTable
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import (
    Authenticate,
    AuthFailed,
    Bind,
    CheckPassword,
    Closed,
    FindKeys,
    Framing,
    Open,
    Output,
    Restart,
    Send,
    ServerStream,
    StartTls,
    State,
    StreamSettings,
)
from rainbow_xmpp.xml import View

log = logging.getLogger(__name__)

MAX_RESOURCE_BYTES = 200
"""Of what the client asks for; the server's suffix comes on top."""


class LoginLink(Wire, Protocol):
    """What a login needs of its connection beside writing."""

    is_closing: bool
    """The stream has ended, or the connection is gone."""

    def restart_stream(self) -> None:
        """The next thing from the peer is a stream header."""

    def start_tls(self) -> None:
        """Begin the TLS handshake on this connection."""

    def become(self, session: Session) -> None:
        """From now on everything received goes to this session."""

    def proceed(self) -> None:
        """A step that waited is done: hand over what arrived meanwhile."""


class Changes(Protocol):
    """What other processes did to accounts while somebody was logging in."""

    generation: int
    """Rises with every change."""

    async def is_current(self, account: Account) -> bool:
        """The account may still log in, with the password that it had."""


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
    spawn: Callable[[Awaitable[None]], None]
    """Run a login step that waits."""
    succeeded: Callable[[Account, str], None]
    """Told of each login and its mechanism (the audit log may want it)."""
    resources_per_account: int
    pace: Pace

    def enter(self, session: Session) -> None:
        """Put a bound session into the table; a session with the same full JID gives way."""
        self.counters.sessions += 1
        replaced = self.sessions.add(session)
        if replaced is not None:
            replaced.replace_with_conflict()


class Login:
    """One connection that has not bound a resource yet."""

    __slots__ = (
        "_account",
        "_entrance",
        "_framing",
        "_generation",
        "_link",
        "_name",
        "_source",
        "_stream",
        "busy",
        "has_greeted",
    )

    def __init__(
        self,
        entrance: Entrance,
        link: LoginLink,
        framing: Framing,
        source: str,
        bindings: Mapping[str, bytes],
        *,
        is_secure: bool = True,
    ) -> None:
        self._entrance = entrance
        self._link = link
        self._framing = framing
        self._source = source
        offer = sasl.Offer.of(entrance.mechanisms, bindings)
        self._stream = ServerStream(entrance.settings, framing, offer, is_secure=is_secure)
        self._account: Account | None = None
        self._name = ""
        self._generation = 0
        """How far changes of accounts were known when this account was looked up."""
        self.has_greeted = False
        """The peer has our header of the stream that it is in now."""
        self.busy = False
        """A step waits for the database or a hash; hand in nothing until `proceed` is called."""

    def opened(self, header: Open) -> None:
        """A stream header arrived. Raises PeerViolation."""
        outputs = self._stream.opened(header, ids.new_stream_id())
        self.has_greeted = True
        self._entrance.counters.streams_opened += 1
        self._act(outputs)

    def received(self, view: View) -> None:
        """A top-level element arrived. Raises PeerViolation."""
        if not self.has_greeted:
            raise PeerViolation(StreamCondition.INVALID_NAMESPACE, detail="no stream header")
        self._act(self._stream.received(view))

    def secured(self, bindings: Mapping[str, bytes]) -> None:
        """TLS begins; these channels can be bound from then on."""
        self._stream.offer = sasl.Offer.of(self._entrance.mechanisms, bindings)

    def peer_closed(self) -> None:
        """The peer ended its stream."""
        self._act(self._stream.peer_closed())

    def greeting(self) -> bytes:
        """Our stream header, for an error before the peer's was accepted (RFC 6120 §4.9.1.2)."""
        self.has_greeted = True
        return self._stream.greeting(ids.new_stream_id())

    def _act(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send(data):
                    self._link.send(data)
                case Restart():
                    self.has_greeted = False
                    self._link.restart_stream()
                case StartTls():
                    self._link.start_tls()
                    self.has_greeted = False
                case Closed():
                    self._link.end()
                case Authenticate(mechanism):
                    self._authenticated(mechanism)
                case AuthFailed():
                    self._failed(output)
                case Bind():
                    self._bind(output)
                case FindKeys():
                    self._wait_for(self._find_keys(output))
                case CheckPassword():
                    self._wait_for(self._check_password(output))

    def _wait_for(self, step: Awaitable[list[Output]]) -> None:
        self.busy = True
        self._entrance.spawn(self._finish(step))

    async def _finish(self, step: Awaitable[list[Output]]) -> None:
        try:
            outputs = await self._unless_away(step)
            self.busy = False
            self._act(outputs)
            self._link.proceed()
        except PeerViolation as violation:
            self._link.fail(violation)
        except Exception:  # around one connection
            log.exception("a login failed")
            self._link.fail(PeerViolation(StreamCondition.INTERNAL_SERVER_ERROR))

    async def _unless_away(self, step: Awaitable[list[Output]]) -> list[Output]:
        """What the step says; while the database is away an attempt to log in is to be repeated later."""
        try:
            return await step
        except Exception as error:
            if self._stream.state is not State.NEGOTIATING or not is_outage(error):
                raise
            log.warning("a login has to wait: the database does not answer (%s)", type(error).__name__)
            return self._stream.refuse(sasl.FailureCondition.TEMPORARY_AUTH_FAILURE)

    # -- accounts ------------------------------------------------------------------------------------

    async def _find_keys(self, asked: FindKeys) -> list[Output]:
        names = sasl.login_names(asked.name, self._entrance.settings.domain)
        self._name = names[0]
        self._generation = self._entrance.changes.generation
        found = await self._entrance.authenticator.scram_keys(names, asked.hash_name, self._source)
        if isinstance(found, Refused):
            return self._refuse(found)
        self._account = found.account
        return self._stream.found(found.keys, may_act=self._may_act_as(asked.authzid))

    async def _check_password(self, asked: CheckPassword) -> list[Output]:
        names = sasl.login_names(asked.name, self._entrance.settings.domain)
        self._name = names[0]
        self._generation = self._entrance.changes.generation
        found = await self._entrance.authenticator.check_password(names, asked.password, self._source)
        if isinstance(found, Refused):
            return self._refuse(found)
        self._account = found
        if not self._may_act_as(asked.authzid):
            return self._stream.refuse(sasl.FailureCondition.INVALID_AUTHZID)
        return self._stream.checked(True)

    def _refuse(self, refused: Refused) -> list[Output]:
        return self._stream.refuse(refused.condition, refused.detail)

    def _failed(self, failed: AuthFailed) -> None:
        self._account = None
        self._entrance.counters.logins_failed += 1
        if failed.condition is sasl.FailureCondition.NOT_AUTHORIZED and self._name:
            self._entrance.authenticator.failed(self._name, self._source)

    def _may_act_as(self, authzid: str) -> bool:
        """Nobody may log in as one account and act as another (RFC 6120 §6.3.8)."""
        if not authzid or self._account is None:
            return True
        try:
            return JID.parse(authzid) == JID.parse(self._bare(self._account))
        except ValueError:
            return False

    def _bare(self, account: Account) -> str:
        return f"{account.localpart}@{self._entrance.settings.domain}"

    def _authenticated(self, mechanism: str) -> None:
        assert self._account is not None, "SASL succeeded without an account"
        self._entrance.authenticator.succeeded(self._name, self._source)
        self._entrance.counters.logins_ok += 1
        self._entrance.succeeded(self._account, mechanism)
        log.info("login of %s by %s", self._account.id, mechanism)

    # -- binding -------------------------------------------------------------------------------------

    def _bind(self, request: Bind) -> None:
        if self._generation == self._entrance.changes.generation:
            self._act(self._bound(request))
        else:
            self._wait_for(self._bind_if_current(request))

    async def _bind_if_current(self, request: Bind) -> list[Output]:
        """Accounts were changed since this one was looked up, and only bound sessions are told to end."""
        assert self._account is not None, "binding before authentication"
        if not await self._entrance.changes.is_current(self._account):
            raise PeerViolation(StreamCondition.NOT_AUTHORIZED, "log in again")
        return [] if self._link.is_closing else self._bound(request)

    def _bound(self, request: Bind) -> list[Output]:
        account = self._account
        assert account is not None, "binding before authentication"
        sessions = self._entrance.sessions
        bare = self._bare(account)
        try:
            full = f"{bare}/{_resource(request.resource)}"
            home = sessions.homes.get(bare)
            if home is not None and len(home.sessions) >= self._entrance.resources_per_account:
                raise StanzaError(Condition.RESOURCE_CONSTRAINT)  # §7.6.2.1
        except StanzaError as error:
            return self._stream.not_bound(request, error)
        home = sessions.home_for(account, bare)
        session = Session(account, full, home, self._link, self._entrance.handle, self._entrance.pace)
        outputs = self._stream.bound(request, full)
        self._entrance.enter(session)
        self._link.become(session)
        return outputs


def _resource(wanted: str) -> str:
    """The wanted resource with a suffix nobody can guess (RFC 6120 §7.7.2.1), or only that. Raise StanzaError."""
    suffix = ids.new_resource_suffix()
    wanted = wanted.strip()
    if not wanted:
        return suffix
    try:
        prepared = JID.parse(f"a@b/{wanted}").resource
    except ValueError:
        raise StanzaError(Condition.BAD_REQUEST) from None
    if len(prepared.encode()) > MAX_RESOURCE_BYTES:
        raise StanzaError(Condition.BAD_REQUEST)
    return f"{prepared}.{suffix}"
