"""The server's side of a client stream until a resource is bound.

What arrives is told to `opened` and `received`; what comes out is a list of `Output`: bytes to send, and questions
for those who know accounts (`FindKeys`, `CheckPassword`, `Proven`, `Bind` …), answered by `found`, `checked`,
`welcomed`, `bound` and so on.
"""

from __future__ import annotations

from collections.abc import Sequence

from rainbow_xmpp import sasl
from rainbow_xmpp.errors import Condition, PeerViolation, StanzaError, StreamCondition
from rainbow_xmpp.jid import JID
from rainbow_xmpp.sasl import FailureCondition
from rainbow_xmpp.sasl.scram import Keys, OtherKeys
from rainbow_xmpp.stream import bind_elements, early_elements, features, sasl_elements
from rainbow_xmpp.stream.framing import Framing
from rainbow_xmpp.stream.header import Header, claimed_sender, judge_header
from rainbow_xmpp.stream.outputs import (
    Authenticated,
    AuthFailed,
    Bind,
    CheckMessage,
    Closed,
    EarlyRequest,
    Open,
    Output,
    Proven,
    Restart,
    Resume,
    Send,
    StartTls,
    StreamSettings,
    TaskChosen,
    TaskData,
)
from rainbow_xmpp.stream.sasl_elements import Abort, Begin, Data, Next, Respond
from rainbow_xmpp.stream.states import TRANSITIONS, Seen, State
from rainbow_xmpp.xml import Element, View, names

MAX_SASL_ATTEMPTS = 3
"""How often one connection may fail to log in before it is closed (RFC 6120 §6.4.5 asks for 2 to 5)."""

MAX_BIND_ATTEMPTS = 5
"""How often one connection may ask for a resource in vain before it is closed (RFC 6120 §7.7.3 asks for 5 to 10)."""

MAX_EARLY_REQUESTS = 20
"""How often one connection may ask something before it logs in; then it is closed."""

_NOT_YET = (
    State.SECURING,
    State.NEGOTIATING,
    State.AUTHENTICATING,
    State.ANSWERING,
    State.CONVERSING,
)
"""Where whoever says something else has not proved who it is."""


class ServerStream:
    """One client's stream, from its header to the bound resource; starts in WAIT_OPEN."""

    __slots__ = (
        "_attempts",
        "_begun",
        "_bind_attempts",
        "_early_requests",
        "_exchange",
        "_framing",
        "_proof",
        "_secure",
        "_settings",
        "_task",
        "_tasks",
        "header",
        "offer",
        "proven",
        "state",
    )

    def __init__(
        self, settings: StreamSettings, framing: Framing, offer: sasl.Offer, *, is_secure: bool = True
    ) -> None:
        self.state = State.WAIT_OPEN
        self.header = Header()
        """What the peer said of itself when it opened the stream."""
        self.offer = offer
        """What the peer may log in with; changes once, when TLS begins on a plain connection."""
        self.proven = ""
        """Which of the other keys that were found the last mechanism proved; "" for the account's own."""
        self._settings = settings
        self._framing = framing
        self._secure = is_secure
        self._begun: Begin | None = None
        self._exchange: sasl.Exchange | None = None
        self._proof = b""
        self._tasks: tuple[str, ...] = ()
        self._task = ""
        self._attempts = 0
        self._bind_attempts = 0
        self._early_requests = 0

    def see(self, what: Seen) -> None:
        """Move on; what the table does not list is a violation."""
        try:
            self.state = TRANSITIONS[self.state][what]
        except KeyError:
            not_yet = self.state in _NOT_YET
            condition = StreamCondition.NOT_AUTHORIZED if not_yet else StreamCondition.POLICY_VIOLATION
            raise PeerViolation(condition, detail=f"{what.name} while {self.state.name}") from None

    # -- the header --------------------------------------------------------------------------------

    def opened(self, header: Open, stream_id: str, identities: frozenset[str] | None = None) -> list[Output]:
        """Answer a stream header with ours and the features of this state; raise PeerViolation.

        Our header goes out before any stream error, as RFC 6120 §4.9.1.2 asks; see `greeting`. `identities` are
        the bare JIDs that the peer may call itself once it has logged in.
        """
        # Nothing is believed that an earlier stream said (RFC 6120 §5.4.3.3, §6.4.6).
        sender = claimed_sender(header)
        self.header = Header(sender)
        self.header = judge_header(header, self._framing.open_ns, self._settings.domain, sender)
        if identities is not None and self.header.sender and self.header.sender not in identities:
            raise PeerViolation(StreamCondition.INVALID_FROM, detail="the header is of somebody else")
        self.see(Seen.OPEN if self._secure else Seen.OPEN_WITHOUT_TLS)
        return [Send(self.greeting(stream_id)), Send(self._framing.features(self._features()))]

    @property
    def framing_name(self) -> str:
        """How the stream is carried."""
        return self._framing.name

    def greeting(self, stream_id: str) -> bytes:
        """Our stream header."""
        return self._framing.open(self._settings.domain, stream_id, self.header.sender)

    def _features(self) -> bytes:
        if self.state is State.SECURING:
            return features.STARTTLS
        if self.state is State.NEGOTIATING:
            inline = self._settings.inline_features(self.offer.bindings)
            return features.logins(self.offer, inline) + self._settings.early_features
        binding = features.BINDING if self.state is State.BINDING else b""
        return binding + self._settings.bound_features

    # -- elements ----------------------------------------------------------------------------------

    def received(self, view: View) -> list[Output]:
        """One top-level element before the resource is bound; raise PeerViolation."""
        if view.ns in sasl_elements.NAMESPACES:
            return self._sasl(view)
        if view.ns == names.STREAM and view.name == "error":
            return self.peer_closed()
        if view.ns == names.TLS and view.name == "starttls":
            self.see(Seen.START_TLS)
            self._secure = True
            return [Send(f"<proceed xmlns='{names.TLS}'/>".encode()), StartTls()]
        if view.ns == names.SM and self.state is State.BINDING and view.name in ("enable", "resume"):
            return self._before_binding(view)
        if self.state in _NOT_YET and (asked := early_elements.read(view, self._settings)) is not None:
            return self._asked_early(asked)
        if view.ns == names.CLIENT and view.name in ("iq", "message", "presence"):
            return self._early_stanza(view)
        raise PeerViolation(StreamCondition.UNSUPPORTED_STANZA_TYPE, detail="unknown top-level element")

    def _asked_early(self, request: EarlyRequest) -> list[Output]:
        """Not inside a SASL exchange: the table says when."""
        self.see(Seen.EARLY_REQUEST)
        self._early_requests += 1
        if self._early_requests > MAX_EARLY_REQUESTS:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, "too many requests before login")
        return [request]

    def answered(self, data: bytes, *, is_question: bool = False) -> list[Output]:
        """The answer to `EarlyRequest`; after a question the peer cannot log in before it has been settled."""
        self.see(Seen.EARLY_QUESTION if is_question else Seen.EARLY_ANSWER)
        return [Send(data)] if data else []

    def blank(self) -> None:
        """White space between elements; raise PeerViolation inside a SASL2 exchange (XEP-0388 §2.4)."""
        if self._begun is not None and self._begun.ns == names.SASL2:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="white space inside SASL2")

    def peer_closed(self) -> list[Output]:
        """The peer ended its stream (RFC 6120 §4.4, RFC 7395 §3.6)."""
        if self.state is State.CLOSED:
            return []
        self.see(Seen.CLOSE)
        return [Send(self._framing.close), Closed()]

    def _early_stanza(self, view: View) -> list[Output]:
        if self.state is not State.BINDING:
            raise PeerViolation(StreamCondition.NOT_AUTHORIZED, detail=f"stanza while {self.state.name}")
        request = bind_elements.read(view)
        if request is None:  # RFC 6120 §7.1: nothing but binding may happen now
            raise PeerViolation(StreamCondition.NOT_AUTHORIZED, detail="stanza before resource binding")
        if not request.stanza_id:  # RFC 6120 §8.1.3
            return self.not_bound(request, StanzaError(Condition.BAD_REQUEST))
        return [request]

    def _over(self, violation: PeerViolation) -> list[Output]:
        """Close the stream for this."""
        self.see(Seen.CLOSE)
        return [*map(Send, self._framing.farewell(violation)), Closed()]

    # -- SASL (RFC 6120 §6, XEP-0388) --------------------------------------------------------------

    def _sasl(self, view: View) -> list[Output]:
        said = sasl_elements.read(view)
        self.see(Seen.TASK if isinstance(said, Next | Data | Abort) and self._tasks else Seen.SASL)
        begun, exchange = self._begun, self._exchange
        if begun is not None and begun.ns != view.ns:
            raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail="both SASL profiles at once")
        match said:
            case Begin() if begun is None:
                return self._begin(said)
            case Respond(text) if exchange is not None:
                return self._step(exchange.respond(text))
            case Abort() if begun is not None or view.ns == names.SASL:
                return self.refuse(FailureCondition.ABORTED)
            case Next(name, payload) if name in self._tasks and not self._task:
                self._task = name
                return [TaskChosen(name, payload)]
            case Data(payload) if self._task:
                return [TaskData(payload)]
        raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail=f"SASL {view.name} out of turn")

    def _begin(self, begin: Begin) -> list[Output]:
        self._begun = begin
        if self.state is State.SECURING:
            return self.refuse(FailureCondition.ENCRYPTION_REQUIRED)
        known = self._settings.inline_mechanisms
        for element in begin.inline:
            if begin.mechanism in known.get(element.tag, ()):
                return self._check_message(begin, element)
        self._exchange = sasl.Exchange(self.offer, begin.mechanism, self._settings.new_nonce())
        return self._step(self._exchange.start(begin.initial))

    def _check_message(self, begin: Begin, beside: Element) -> list[Output]:
        if begin.initial is None:
            return self.refuse(FailureCondition.MALFORMED_REQUEST, "a mechanism of one message without it")
        try:
            return [CheckMessage(begin, beside, sasl.decode(begin.initial))]
        except ValueError:
            return self.refuse(FailureCondition.INCORRECT_ENCODING)

    def vouched(self, data: bytes) -> list[Output]:
        """The answer to `CheckMessage`, with the mechanism's last word for the client."""
        assert self._begun is not None
        return self._proven(self._begun, data)

    @property
    def can_ask_for_more(self) -> bool:
        """A task can follow the mechanism that is under way (XEP-0388 §2.6.3)."""
        return self._begun is not None and self._begun.ns == names.SASL2

    def found(
        self, keys: Keys, others: Sequence[OtherKeys] = (), *, may_act: bool = True, refusal: str = ""
    ) -> list[Output]:
        """The answer to `FindKeys`; see `Exchange.found`."""
        assert self._exchange is not None
        return self._step(self._exchange.found(keys, others, may_act=may_act, refusal=refusal))

    def checked(self, is_right: bool) -> list[Output]:
        """The answer to `CheckPassword`."""
        assert self._exchange is not None
        return self._step(self._exchange.checked(is_right))

    def _step(self, step: sasl.Step) -> list[Output]:
        begun = self._begun
        assert begun is not None
        match step:
            case sasl.Failure(condition, detail):
                return self.refuse(condition, detail)
            case sasl.Challenge(data):
                return [Send(sasl_elements.challenge(begun.ns, data))]
            case sasl.Success(data):
                return self._proven(begun, data)
        if begun.ns == names.SASL2 and not self._may_speak_for(step.authzid):
            return self.refuse(FailureCondition.INVALID_AUTHZID, "not whom the stream header names")
        return [step]

    def _may_speak_for(self, authzid: str) -> bool:
        """Whoever named somebody in the stream header acts as nobody else (XEP-0388 §2.3)."""
        if not authzid or not self.header.sender:
            return True
        try:
            return str(JID.parse(authzid)) == self.header.sender
        except ValueError:
            return False

    def _proven(self, begun: Begin, data: bytes) -> list[Output]:
        self.proven = "" if self._exchange is None else self._exchange.proven
        self._exchange = None
        if begun.ns == names.SASL2:
            self.see(Seen.PROOF)
            self._proof = data
            return [Proven(begun)]
        self._begun = None
        self.see(Seen.SASL_SUCCESS)
        return [Authenticated(begun.mechanism), Send(sasl_elements.classic_success(data)), Restart()]

    def must_do(self, tasks: Sequence[str], text: str = "") -> list[Output]:
        """The proof was right, and one of these tasks comes next (XEP-0388 §2.6.3)."""
        self.see(Seen.CONTINUE)
        self._tasks, self._task = tuple(tasks), ""
        proof, self._proof = self._proof, b""
        return [Send(sasl_elements.continue_with(tasks, proof, text))]

    def task_data(self, payload: bytes) -> list[Output]:
        """What the task that the peer chose says next."""
        return [Send(sasl_elements.task_data(payload))]

    def welcomed(self, jid: str, results: bytes = b"", *, is_bound: bool = False) -> list[Output]:
        """The peer is logged in as `jid`, a full one when `is_bound`; no restart follows (XEP-0388 §2.6.1)."""
        begun = self._begun
        assert begun is not None
        self.see(Seen.BIND if is_bound else Seen.SUCCESS_UNBOUND)
        success = sasl_elements.success(jid, self._proof, results)
        self._begun, self._proof, self._tasks = None, b"", ()
        offered = self._features()
        if features.SM_ENABLED in results:  # with the binding, and so not once more (XEP-0198 §3)
            offered = offered.replace(features.SM, b"")
        told = self._framing.features(offered)
        return [Authenticated(begun.mechanism), Send(success), Send(told)]

    def welcomed_back(self, jid: str, results: bytes) -> list[Output]:
        """As `welcomed`; it goes on with a session that it had, so no features follow (XEP-0198 §9.2)."""
        return self.welcomed(jid, results, is_bound=True)[:-1]

    def refuse(self, condition: FailureCondition, detail: str = "", text: str = "") -> list[Output]:
        """End this attempt to log in; the peer may try again a few times (RFC 6120 §6.4.5)."""
        self.see(Seen.REFUSAL)
        ns = self._begun.ns if self._begun is not None else names.SASL
        self._exchange, self._begun, self._proof, self._tasks = None, None, b"", ()
        self._attempts += 1
        told: list[Output] = [
            AuthFailed(condition, detail),
            Send(sasl_elements.failure(ns, condition, text)),
        ]
        if self._attempts < MAX_SASL_ATTEMPTS:
            return told
        return [*told, *self._over(PeerViolation(StreamCondition.POLICY_VIOLATION, "too many failed logins"))]

    # -- binding (RFC 6120 §7) ---------------------------------------------------------------------

    def bound(self, request: Bind, full_jid: str) -> list[Output]:
        """The resource that `Bind` asked for exists now (§7.6.1)."""
        self.see(Seen.BIND)
        return [Send(bind_elements.result(request, full_jid))]

    def not_bound(self, request: Bind, error: StanzaError) -> list[Output]:
        """The resource cannot be had (§7.6.2, §7.7.2); the peer may try again a few times (§7.7.3)."""
        self._bind_attempts += 1
        refusal = Send(bind_elements.refusal(request, error))
        if self._bind_attempts < MAX_BIND_ATTEMPTS:
            return [refusal]
        violation = PeerViolation(StreamCondition.POLICY_VIOLATION, "too many attempts to bind a resource")
        return [refusal, *self._over(violation)]

    # -- resumption in the place of binding (XEP-0198 §5) ----------------------------------------------

    def _before_binding(self, view: View) -> list[Output]:
        if view.name == "resume":
            return [Resume(view.attrs)]
        unexpected = f"<unexpected-request xmlns='{names.STANZAS}'/>"  # §3: there is nothing to count yet
        return self.not_resumed(f"<failed xmlns='{names.SM}'>{unexpected}</failed>".encode())

    def resumed(self, results: bytes) -> list[Output]:
        """The session that `Resume` asked for is the peer's again."""
        self.see(Seen.BIND)
        return [Send(results)]

    def not_resumed(self, results: bytes) -> list[Output]:
        """It is not to be had; the peer may bind a resource, or try again a few times."""
        self._bind_attempts += 1
        if self._bind_attempts < MAX_BIND_ATTEMPTS:
            return [Send(results)]
        violation = PeerViolation(StreamCondition.POLICY_VIOLATION, "too many attempts to resume")
        return [Send(results), *self._over(violation)]
