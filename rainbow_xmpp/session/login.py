"""From a new connection to a bound session: walks a `ServerStream` and asks the database for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from time import monotonic

from rainbow_xmpp import ids, sasl
from rainbow_xmpp.auth.authenticator import Refused
from rainbow_xmpp.auth.tokens import InvalidToken
from rainbow_xmpp.errors import Condition, PeerViolation, SeeOther, StanzaError, StreamCondition
from rainbow_xmpp.jid import JID
from rainbow_xmpp.languages import choose_language
from rainbow_xmpp.session.early import Stranger
from rainbow_xmpp.session.entrance import Entered, Entrance, GoneHome, LoginLink, Redirected, Step, TakenBack
from rainbow_xmpp.session.homeward import HomeUnknown, Opening, Relayed
from rainbow_xmpp.session.inline import Attempt, Distrusted, Newcomer, Undecided, Vouched
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.session.welcome import Welcome
from rainbow_xmpp.store.outage import is_outage
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import (
    Authenticated,
    AuthFailed,
    Bind,
    CheckMessage,
    CheckPassword,
    CheckToken,
    Closed,
    EarlyRequest,
    FindKeys,
    Framing,
    Open,
    Proven,
    Restart,
    Resume,
    Send,
    ServerStream,
    StartTls,
    State,
    TaskChosen,
    TaskData,
)
from rainbow_xmpp.xml import View

log = logging.getLogger(__name__)

_WHERE_A_LOGIN_CAN_FAIL = (State.AUTHENTICATING, State.PROVEN, State.TASKS)
_ON_THE_WAY = (sasl.FailureCondition.TEMPORARY_AUTH_FAILURE, "on the way to another region")
_THROUGH_OTHERS = "SCRAM-"
"""How mechanisms begin that show a password to nobody, not even to the server of another region in between."""
_NOT_ENOUGH = (
    "the password is right, a second factor is wanted, and this way of logging in cannot ask for one"
)


class Login:
    """One connection that has not bound a resource yet."""

    __slots__ = (
        "_account",
        "_app_password",
        "_entrance",
        "_family",
        "_generation",
        "_is_complete",
        "_link",
        "_names",
        "_relayed",
        "_said",
        "_source",
        "_strangers",
        "_stream",
        "_vouched",
        "_welcome",
        "began",
        "busy",
        "has_greeted",
        "is_retold",
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
        relayed: Relayed | None = None,
    ) -> None:
        """`relayed`: another region took the client in, made the offer, and has said the stream's beginning."""
        self._entrance = entrance
        self._link = link
        self._source = source
        self._relayed = relayed
        if relayed is None:
            offer = sasl.Offer.of(entrance.mechanisms, bindings)
        else:
            taken = frozenset(m for m in entrance.mechanisms if m.startswith(_THROUGH_OTHERS))
            offer = sasl.Offer(relayed.mechanisms, relayed.bindings, taken)
        self.is_retold = False
        """What arrives has been answered elsewhere already: nothing is sent."""
        self._said: list[bytes] = []
        """The stream header, and what was said of the login that is under way; only where people may be at home
        elsewhere."""
        self._stream = ServerStream(entrance.settings, framing, offer, is_secure=is_secure)
        self._account: Account | None = None
        self._family = ""
        """Of whoever came by a token: the login that the token is of."""
        self._app_password = ""
        """The id of the app password that was proven, which ends the session when it is dropped."""
        self._names: tuple[str, ...] = ()
        """What the peer calls itself, in the order in which accounts are looked for."""
        self._generation = 0
        """How far changes of accounts were known when this account was looked up."""
        self._welcome: Welcome | None = None
        self._strangers: dict[str, Stranger] = {}
        """What plugins know of the peer before it logs in, by plugin."""
        self._vouched: Vouched | None = None
        """What a plugin said of the peer, when the mechanism was one of its own."""
        self._is_complete = False
        """No tasks are asked for."""
        self.began = monotonic()
        self.has_greeted = False
        """The peer has our header of the stream that it is in now."""
        self.busy = False
        """A step waits for the database or a hash; hand in nothing until `proceed` is called."""

    def opened(self, header: Open, raw: bytes = b"") -> None:
        """A stream header arrived. Raises PeerViolation."""
        self._said = [raw]
        outputs = self._stream.opened(header, ids.new_stream_id(), self._identities())
        if self._entrance.is_stopping:
            raise PeerViolation(StreamCondition.SYSTEM_SHUTDOWN)
        elsewhere = self._entrance.elsewhere
        if elsewhere is not None and self._stream.state is not State.SECURING:
            raise elsewhere.violation()  # said inside TLS only, where the client knows who says it
        if self._account is not None and (other := self._redirect()) is not None:
            raise other
        self.has_greeted = True
        self._entrance.counters.streams_opened += 1
        self._act(outputs)

    def received(self, view: View) -> None:
        """A top-level element arrived. Raises PeerViolation."""
        if not self.has_greeted:
            raise PeerViolation(StreamCondition.INVALID_NAMESPACE, detail="no stream header")
        self._note(view)
        outputs = self._stream.received(view)
        if self._entrance.homeward is not None and any(isinstance(each, AuthFailed) for each in outputs):
            self._wait_for(_given(outputs), tells_of_names=True)  # not sooner than what another region says
        else:
            self._act(outputs)

    def _note(self, view: View) -> None:
        """What the home has to be told if this client's is another region."""
        if self._entrance.homeward is None or self._relayed is not None:
            return
        if view.name in ("auth", "authenticate"):
            self._said[1:] = [view.data]
        elif view.name == "response" and len(self._said) == 2:
            self._said.append(view.data)

    def blank(self) -> None:
        """White space arrived between elements. Raises PeerViolation."""
        self._stream.blank()

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

    def _act(self, outputs: Sequence[Step]) -> None:
        for output in outputs:
            match output:
                case Send(data):
                    if not self.is_retold:
                        self._link.send(data)
                case Restart():
                    self.has_greeted = False
                    self._link.restart_stream()
                case StartTls():
                    self._link.start_tls()
                    self.has_greeted = False
                case Closed():
                    self._link.end()
                case Authenticated(mechanism):
                    self._app_password = self._app_password or self._stream.proven
                    self._authenticated(mechanism)
                case AuthFailed():
                    self._failed(output)
                case Bind():
                    self._bind(output)
                case Entered(session):
                    self._mark(session)
                    self._entrance.started(session)
                case TakenBack(session):
                    self._mark(session)
                case GoneHome(way):
                    self._link.go_home(way)
                case FindKeys() | CheckPassword() | CheckToken() | CheckMessage():
                    self._wait_for(self._step(output), tells_of_names=True)
                case Redirected(violation):
                    raise violation
                case _:
                    self._wait_for(self._step(output))

    def _mark(self, session: Session) -> None:
        session.family, session.app_password = self._family, self._app_password
        session.through = "" if self._relayed is None else self._relayed.region

    def _wait_for(self, step: Awaitable[Sequence[Step]], *, tells_of_names: bool = False) -> None:
        self.busy = True
        self._entrance.spawn(self._finish(step, monotonic() if tells_of_names else None))

    async def _finish(self, step: Awaitable[Sequence[Step]], asked_at: float | None) -> None:
        """`asked_at`: when somebody asked who may want to know by the time of the answer who exists."""
        try:
            outputs = await self._unless_away(step)
            if asked_at is not None:
                await self._even_out(outputs, asked_at)
            self.busy = False
            self._act(outputs)
            self._link.proceed()
        except PeerViolation as violation:
            self._link.fail(violation)
        except Exception:  # around one connection
            log.exception("a login failed", extra={"stream": self._link.number})
            self._link.fail(PeerViolation(StreamCondition.INTERNAL_SERVER_ERROR))

    async def _even_out(self, outputs: Sequence[Step], asked_at: float) -> None:
        """Until somebody has proved who it is, an answer takes as long as one of another region would."""
        homeward = self._entrance.homeward
        if homeward is None or self._relayed is not None:
            return
        if any(isinstance(each, GoneHome | Authenticated | Proven) for each in outputs):
            return
        early_s = asked_at + homeward.answer_s - monotonic()
        if early_s > 0:
            await asyncio.sleep(early_s)

    async def _unless_away(self, step: Awaitable[Sequence[Step]]) -> Sequence[Step]:
        """What the step says; while the database is away an attempt to log in is to be repeated later."""
        try:
            return await step
        except Exception as error:
            if self._stream.state not in _WHERE_A_LOGIN_CAN_FAIL or not is_outage(error):
                raise
            log.warning(
                "a login has to wait: the database does not answer (%s)",
                type(error).__name__,
                extra={"stream": self._link.number},
            )
            return self._stream.refuse(sasl.FailureCondition.TEMPORARY_AUTH_FAILURE)

    async def _step(self, asked: Step) -> Sequence[Step]:
        """A step of authentication that asks somebody."""
        match asked:
            case FindKeys():
                return await self._find_keys(asked)
            case CheckPassword():
                return await self._check_password(asked)
            case Resume():
                return await self._resume(asked)
            case CheckToken():
                return await self._check_token(asked)
            case CheckMessage():
                return await self._check_message(asked)
            case EarlyRequest():
                return await self._answer_early(asked)
            case Proven(request):
                account = self._known()
                if self._is_on_the_way(account):
                    return self._stream.refuse(*_ON_THE_WAY)
                self._app_password = self._app_password or self._stream.proven
                newcomer = Newcomer(
                    account,
                    request.mechanism,
                    request.agent,
                    self._app_password,
                    self._stream.offer.bindings,
                    self._vouched,
                    is_lent=bool(self._family or self._app_password),
                    source=self._source,
                )
                self._welcome = Welcome(
                    self._entrance,
                    self._stream,
                    self._link,
                    newcomer,
                    request.inline,
                    self._is_current,
                    self._redirect,
                )
                if (self._is_complete or self._app_password) and not account.must_enrol:
                    return await self._welcome.let_in()
                return await self._welcome.go_on()
            case TaskChosen() if self._welcome is not None:
                return await self._welcome.chosen(asked)
            case TaskData() if self._welcome is not None:
                return await self._welcome.told(asked)
        raise AssertionError(f"nobody does {asked!r}")

    async def _answer_early(self, asked: EarlyRequest) -> Sequence[Step]:
        if not self._entrance.authenticator.may_ask(self._source):
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, "too many requests before login")
        reply = await self._entrance.early.answer(asked, self._strangers, self._new_stranger)
        return self._stream.answered(reply.data, is_question=reply.is_question)

    def _new_stranger(self) -> Stranger:
        return Stranger(self._source, choose_language(self._stream.header.lang), self._link.allow_time)

    # -- accounts ------------------------------------------------------------------------------------

    async def _find_keys(self, asked: FindKeys) -> Sequence[Step]:
        names = self._called(asked.name)
        found = await self._entrance.authenticator.scram_keys(names, asked.hash_name, self._source)
        if isinstance(found, Refused):
            return self._stream.refuse(found.condition, found.detail)
        if self._is_on_the_way(found.account):  # a proof could only be refused as a wrong one is
            return self._stream.refuse(*_ON_THE_WAY)
        if found.account is None and (gone := await self._go_home()):
            return gone
        self._account = found.account
        may_act, refusal = self._may_act_as(asked.authzid), self._refusal(found.account)
        return self._stream.found(found.keys, found.others, may_act=may_act, refusal=refusal)

    async def _go_home(self) -> Sequence[Step]:
        """On to the region of somebody who is at home elsewhere; nothing for whoever is here, or to be refused here."""
        homeward = self._entrance.homeward
        if (
            homeward is None
            or self._relayed is not None
            or await self._entrance.authenticator.knows(self._names)
        ):
            return ()
        try:
            region = await homeward.region_of(self._names)
            if not region:
                return ()
            offer = self._stream.offer
            framing = self._stream.framing_name
            opening = Opening(framing, self._source, offer.mechanisms, offer.bindings, tuple(self._said))
            return [GoneHome(await homeward.open(region, self._names, opening))]
        except HomeUnknown as error:
            return self._stream.refuse(sasl.FailureCondition.TEMPORARY_AUTH_FAILURE, str(error))

    async def _check_password(self, asked: CheckPassword) -> Sequence[Step]:
        names = self._called(asked.name)
        found = await self._entrance.authenticator.check_password(names, asked.password, self._source)
        if isinstance(found, Refused):
            return self._stream.refuse(found.condition, found.detail)
        if self._is_on_the_way(found.account):
            return self._stream.refuse(*_ON_THE_WAY)
        self._account, self._app_password = found.account, found.app_password
        if not found.app_password and (refusal := self._refusal(found.account)):
            return self._stream.refuse(sasl.FailureCondition.NOT_AUTHORIZED, refusal)
        if not self._may_act_as(asked.authzid):
            return self._stream.refuse(sasl.FailureCondition.INVALID_AUTHZID)
        return self._stream.checked(True)

    def _is_on_the_way(self, account: Account | None) -> bool:
        """To another region: nobody logs in until it is there."""
        return account is not None and self._entrance.changes.is_frozen(account.id)

    def _refusal(self, account: Account | None) -> str:
        """Why the account's own password does not suffice, for the log; the peer hears what wrong ones hear."""
        if account is None or self._stream.can_ask_for_more:
            return ""
        return _NOT_ENOUGH if account.second_factor or account.must_enrol else ""

    async def _check_token(self, asked: CheckToken) -> Sequence[Step]:
        """A token of the API (RFC 7628). The session ends with the login that the token is of."""
        self._called(asked.authzid or "a token")
        logins = self._entrance.token_logins
        if logins is None or not self._entrance.authenticator.may_try(self._names[0], self._source):
            return self._stream.refuse(sasl.FailureCondition.TEMPORARY_AUTH_FAILURE)
        try:
            self._account, claims = await logins.who(asked.token)
        except InvalidToken:
            return self._stream.checked(False)
        if self._is_on_the_way(self._account):
            return self._stream.refuse(*_ON_THE_WAY)
        if self._account.must_enrol:  # the token is from before the company wanted that
            return self._stream.checked(False)
        if not self._may_act_as(asked.authzid):
            return self._stream.refuse(sasl.FailureCondition.INVALID_AUTHZID)
        self._family, self._is_complete = claims.family, True  # tokens are given after all factors
        return self._stream.checked(True)

    async def _check_message(self, asked: CheckMessage) -> Sequence[Step]:
        begin, sender, inline = asked.request, self._stream.header.sender, self._entrance.inline
        names = self._called(inline.name_in(asked.beside, asked.message) or sender)
        if not self._entrance.authenticator.may_try(names[0], self._source):
            return self._stream.refuse(sasl.FailureCondition.TEMPORARY_AUTH_FAILURE)
        attempt = Attempt(
            begin.mechanism,
            asked.message,
            asked.beside,
            begin.agent,
            sender,
            names,
            self._stream.offer.bindings,
        )
        try:
            verdict = await inline.judge(attempt)
        except Undecided:  # a client that heard more than that would throw its secret away
            return self._stream.refuse(sasl.FailureCondition.TEMPORARY_AUTH_FAILURE)
        if verdict is None:
            return await self._go_home() or self._stream.refuse(sasl.FailureCondition.NOT_AUTHORIZED)
        if isinstance(verdict, Distrusted):
            return self._stream.refuse(sasl.FailureCondition.CREDENTIALS_EXPIRED)
        self._account, self._vouched, self._is_complete = verdict.account, verdict, verdict.is_complete
        if sender and sender not in (self._identities() or ()):
            return self._stream.refuse(sasl.FailureCondition.INVALID_AUTHZID, "not whom the header names")
        return self._stream.vouched(verdict.data)

    def _called(self, name: str) -> tuple[str, ...]:
        self._names = sasl.login_names(name, self._entrance.settings.domain)
        self._generation = self._entrance.changes.generation
        return self._names

    def _failed(self, failed: AuthFailed) -> None:
        self._account, self._welcome, self._is_complete = None, None, False
        self._family = self._app_password = ""
        self._vouched = None
        self._entrance.counters.logins_failed += 1
        if failed.condition is sasl.FailureCondition.NOT_AUTHORIZED and self._names:
            self._entrance.authenticator.failed(self._names[0], self._source)

    def _may_act_as(self, authzid: str) -> bool:
        """Nobody may log in as one account and act as another (RFC 6120 §6.3.8)."""
        if not authzid:
            return True
        try:
            wanted: JID | None = JID.parse(authzid)  # also where there is no account, or the time would tell
        except ValueError:
            wanted = None
        return self._account is None or wanted == JID.parse(self._entrance.bare(self._account))

    def _identities(self) -> frozenset[str] | None:
        """What whoever has logged in may call itself: its bare JID, and the name it used (RFC 6120 §4.9.3.9)."""
        if self._account is None:
            return None
        domain = self._entrance.settings.domain
        names = [name.replace("@", "\\40") for name in self._names]  # XEP-0106, as `login_names` reads it
        return frozenset((self._entrance.bare(self._account), *(f"{name}@{domain}" for name in names)))

    def _authenticated(self, mechanism: str) -> None:
        self._entrance.authenticator.succeeded(self._names[0], self._source)
        self._entrance.counters.logins_ok += 1
        through = "" if self._relayed is None else self._relayed.region
        self._entrance.succeeded(self._known(), mechanism, through)
        if self._relayed is not None:
            self._relayed.authenticated()
        by = f"{mechanism}, through {through}" if through else mechanism
        log.info("login of %s by %s", self._known().id, by, extra={"stream": self._link.number})

    def _redirect(self) -> SeeOther | None:
        """What ends the stream of somebody who has logged in and should come to this region directly."""
        redirects = self._entrance.redirects
        if redirects is None or self._relayed is None:
            return None
        return redirects.of(self._known().id)

    def _known(self) -> Account:
        assert self._account is not None, "SASL succeeded without an account"
        return self._account

    async def _is_current(self) -> bool:
        """Whether the account is still what it was: only bound sessions are told to end when it changes."""
        changes = self._entrance.changes
        generation = changes.generation
        if generation != self._generation and not await changes.is_current(self._known(), self._family):
            return False
        self._generation = generation
        return True

    # -- classic binding (RFC 6120 §7) -----------------------------------------------------------------

    def _bind(self, request: Bind) -> None:
        if self._generation == self._entrance.changes.generation:
            self._act(self._bound(request))
        else:
            self._wait_for(self._bind_if_current(request))

    async def _bind_if_current(self, request: Bind) -> Sequence[Step]:
        if not await self._is_current():
            raise PeerViolation(StreamCondition.NOT_AUTHORIZED, "log in again")
        return [] if self._link.is_closing else self._bound(request)

    async def _resume(self, request: Resume) -> Sequence[Step]:
        """A session that was there before, in the place of binding (XEP-0198 §5)."""
        account = self._known()
        found = await self._entrance.resume(account, request.attrs)
        if not await self._is_current():
            raise PeerViolation(StreamCondition.NOT_AUTHORIZED, "log in again")
        if self._link.is_closing:
            return []
        taken = found if isinstance(found, bytes) else found()
        if isinstance(taken, bytes):
            return self._stream.not_resumed(taken)
        self._entrance.hand_over(taken.session, account, self._link, self._stream.header.lang)
        return [*self._stream.resumed(taken.results), TakenBack(taken.session), *map(Send, taken.unread)]

    def _bound(self, request: Bind) -> Sequence[Step]:
        account, entrance = self._known(), self._entrance
        try:
            resource = entrance.resources.wanted(request.resource)
            if not entrance.has_room_for(entrance.bare(account)):
                raise StanzaError(Condition.RESOURCE_CONSTRAINT)  # §7.6.2.1
        except StanzaError as error:
            return self._stream.not_bound(request, error)
        session = entrance.new_session(account, resource, self._link, self._stream.header.lang)
        return [*self._stream.bound(request, session.full), Entered(session)]


async def _given(outputs: Sequence[Step]) -> Sequence[Step]:
    """What is known already, as a step that waits."""
    return outputs
