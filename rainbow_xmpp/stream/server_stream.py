"""The server's side of a client stream until a resource is bound.

What arrives is told to `opened` and `received`; what comes out is a list of `Output`: bytes to send, and questions
for those who know accounts (`FindKeys`, `CheckPassword`, `Bind`), answered by `found`, `checked` and `bound`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from rainbow_xmpp import ids, sasl
from rainbow_xmpp.errors import PeerViolation, StanzaError, StreamCondition
from rainbow_xmpp.sasl import CheckPassword, FindKeys
from rainbow_xmpp.sasl.scram import Keys
from rainbow_xmpp.stream.framing import Framing
from rainbow_xmpp.xml import View, escape, escape_attr, names

MAX_SASL_ATTEMPTS = 3
"""How often one connection may fail to log in before it is closed (RFC 6120 §6.4.5 asks for 2 to 5)."""

MAX_BIND_ATTEMPTS = 5
"""How often one connection may ask for a resource in vain before it is closed (RFC 6120 §7.7.3 asks for 5 to 10)."""

_MAX_LANG = 35


class State(Enum):
    """Where a stream is."""

    WAIT_OPEN = auto()
    """Before the first stream header, on a connection that still has to start TLS or to log in."""
    SECURING = auto()
    """STARTTLS is the only thing on offer (RFC 6120 §5.3.1)."""
    NEGOTIATING = auto()
    """SASL is on offer, or under way."""
    AUTHENTICATED = auto()
    """Logged in; the client must restart the stream (RFC 6120 §6.4.6)."""
    BINDING = auto()
    """Restarted; resource binding is on offer (RFC 6120 §7)."""
    BOUND = auto()
    CLOSED = auto()


class Seen(Enum):
    """What moves a stream from state to state."""

    OPEN = auto()
    OPEN_WITHOUT_TLS = auto()
    START_TLS = auto()
    SASL = auto()
    SASL_SUCCESS = auto()
    BIND = auto()
    CLOSE = auto()


_CLOSES = {Seen.CLOSE: State.CLOSED}

TRANSITIONS: Mapping[State, Mapping[Seen, State]] = {
    State.WAIT_OPEN: {Seen.OPEN: State.NEGOTIATING, Seen.OPEN_WITHOUT_TLS: State.SECURING} | _CLOSES,
    State.SECURING: {Seen.START_TLS: State.WAIT_OPEN} | _CLOSES,
    State.NEGOTIATING: {Seen.SASL: State.NEGOTIATING, Seen.SASL_SUCCESS: State.AUTHENTICATED} | _CLOSES,
    State.AUTHENTICATED: {Seen.OPEN: State.BINDING} | _CLOSES,
    State.BINDING: {Seen.BIND: State.BOUND} | _CLOSES,
    State.BOUND: _CLOSES,
    State.CLOSED: {},
}


@dataclass(frozen=True, slots=True)
class Open:
    """A stream header, whichever way it came."""

    name: str
    ns: str
    attrs: Mapping[str, str]
    content_ns: str = names.CLIENT
    """The default namespace it declares for stanzas (TCP only)."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the peer: one frame on a WebSocket."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Authenticate:
    """The peer proved to be the account whose keys were handed in last."""

    mechanism: str


@dataclass(frozen=True, slots=True)
class AuthFailed:
    """An attempt to log in failed; the peer has been told."""

    condition: sasl.FailureCondition
    detail: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The next thing from the peer is a new stream header."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """`<proceed/>` is on its way; begin the handshake."""


@dataclass(frozen=True, slots=True)
class Bind:
    """The peer asks for a resource ("" = any); answer with `bound`."""

    stanza_id: str
    resource: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer closed its stream; the closing tag has been sent back."""


Output = Send | Authenticate | AuthFailed | Restart | StartTls | Bind | Closed | FindKeys | CheckPassword


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What every stream of this server has in common."""

    domain: str
    bound_features: bytes = b""
    """What plugins and services announce beside resource binding."""
    new_nonce: Callable[[], str] = ids.new_nonce


class ServerStream:
    """One client's stream, from its header to the bound resource; starts in WAIT_OPEN."""

    __slots__ = (
        "_attempts",
        "_bind_attempts",
        "_exchange",
        "_framing",
        "_lang",
        "_secure",
        "_settings",
        "_to",
        "offer",
        "state",
    )

    def __init__(
        self, settings: StreamSettings, framing: Framing, offer: sasl.Offer, *, is_secure: bool = True
    ) -> None:
        self.state = State.WAIT_OPEN
        self._settings = settings
        self._framing = framing
        self.offer = offer
        """What the peer may log in with; changes once, when TLS begins on a plain connection."""
        self._secure = is_secure
        self._exchange: sasl.Exchange | None = None
        self._attempts = 0
        self._bind_attempts = 0
        self._to = ""
        self._lang = "en"

    def see(self, what: Seen) -> None:
        """Move on; what the table does not list is a violation."""
        try:
            self.state = TRANSITIONS[self.state][what]
        except KeyError:
            condition = StreamCondition.POLICY_VIOLATION
            if self.state in (State.NEGOTIATING, State.SECURING):
                condition = StreamCondition.NOT_AUTHORIZED
            raise PeerViolation(condition, detail=f"{what.name} while {self.state.name}") from None

    @property
    def lang(self) -> str:
        """The peer's default language (RFC 6120 §4.7.4)."""
        return self._lang

    # -- the header --------------------------------------------------------------------------------

    def opened(self, header: Open, stream_id: str) -> list[Output]:
        """Answer a stream header with ours and the features of this state; raise PeerViolation.

        Our header goes out before any stream error, as RFC 6120 §4.9.1.2 asks; see `greeting`.
        """
        self._judge_header(header)
        self.see(Seen.OPEN if self._secure else Seen.OPEN_WITHOUT_TLS)
        return [Send(self.greeting(stream_id)), Send(self._framing.features(self._features()))]

    def greeting(self, stream_id: str) -> bytes:
        """Our stream header."""
        return self._framing.open(self._settings.domain, stream_id, self._to, self._lang)

    def _judge_header(self, header: Open) -> None:
        if header.name not in ("stream", "open") or header.ns != self._framing.open_ns:
            raise PeerViolation(
                StreamCondition.INVALID_NAMESPACE, detail="stream header in a wrong namespace"
            )
        if header.content_ns != names.CLIENT:
            raise PeerViolation(
                StreamCondition.INVALID_NAMESPACE, detail="content namespace is not jabber:client"
            )
        lang = header.attrs.get("xml:lang", "")
        if lang and len(lang) <= _MAX_LANG and lang.replace("-", "").isalnum() and lang.isascii():
            self._lang = lang
        to = header.attrs.get("to", "")
        if to.casefold().rstrip(".") != self._settings.domain:
            raise PeerViolation(StreamCondition.HOST_UNKNOWN, detail="stream is for another host")
        major = header.attrs.get("version", "").partition(".")[0]
        if not (major.isascii() and major.isdigit()) or int(major[:4]) < 1:
            raise PeerViolation(StreamCondition.UNSUPPORTED_VERSION, detail="version 1.0 is needed")
        sender = header.attrs.get("from", "")
        if len(sender) <= 3071 and self.state is State.WAIT_OPEN:
            self._to = sender

    def _features(self) -> bytes:
        if self.state is State.SECURING:
            return f"<starttls xmlns='{names.TLS}'><required/></starttls>".encode()
        if self.state is State.NEGOTIATING:
            return self._mechanisms()
        return (
            f"<bind xmlns='{names.BIND}'/><session xmlns='{names.SESSION}'><optional/></session>".encode()
            + self._settings.bound_features
        )

    def _mechanisms(self) -> bytes:
        listed = "".join(f"<mechanism>{m}</mechanism>" for m in self.offer.mechanisms)
        text = f"<mechanisms xmlns='{names.SASL}'>{listed}</mechanisms>"
        if self.offer.has_plus:
            types = "".join(f"<channel-binding type='{t}'/>" for t in self.offer.bindings)
            text += f"<sasl-channel-binding xmlns='{names.SASL_CB}'>{types}</sasl-channel-binding>"
        return text.encode()

    # -- elements ----------------------------------------------------------------------------------

    def received(self, view: View) -> list[Output]:
        """One top-level element before the resource is bound; raise PeerViolation."""
        if view.ns == names.STREAM and view.name == "error":
            return self.peer_closed()
        if view.ns == names.SASL:
            self.see(Seen.SASL)
            return self._sasl(view)
        if view.ns == names.TLS and view.name == "starttls":
            self.see(Seen.START_TLS)
            self._secure = True
            return [Send(f"<proceed xmlns='{names.TLS}'/>".encode()), StartTls()]
        if view.ns == names.CLIENT and view.name in ("iq", "message", "presence"):
            return self._early_stanza(view)
        raise PeerViolation(StreamCondition.UNSUPPORTED_STANZA_TYPE, detail="unknown top-level element")

    def peer_closed(self) -> list[Output]:
        """The peer ended its stream (RFC 6120 §4.4, RFC 7395 §3.6)."""
        if self.state is State.CLOSED:
            return []
        self.see(Seen.CLOSE)
        return [Send(self._framing.close), Closed()]

    def _early_stanza(self, view: View) -> list[Output]:
        if self.state is not State.BINDING:
            raise PeerViolation(StreamCondition.NOT_AUTHORIZED, detail=f"stanza while {self.state.name}")
        children = view.children
        if (
            view.name == "iq"
            and view.attrs.get("type") == "set"
            and len(children) == 1
            and (children[0].name, children[0].ns) == ("bind", names.BIND)
        ):
            stanza_id = view.attrs.get("id", "")
            resource = view.element()[0].findtext(f"{{{names.BIND}}}resource") or ""
            return [Bind(stanza_id, resource)]
        # RFC 6120 §7.1: nothing but binding may happen now.
        raise PeerViolation(StreamCondition.NOT_AUTHORIZED, detail="stanza before resource binding")

    # -- SASL --------------------------------------------------------------------------------------

    def _sasl(self, view: View) -> list[Output]:
        if view.name == "auth" and self._exchange is None:
            exchange = sasl.Exchange(self.offer, view.attrs.get("mechanism", ""), self._settings.new_nonce())
            self._exchange = exchange
            return self._step(exchange.start(view.text))
        if view.name == "response" and self._exchange is not None:
            return self._step(self._exchange.respond(view.text))
        if view.name == "abort":
            return self._step(sasl.Failure(sasl.FailureCondition.ABORTED))
        raise PeerViolation(StreamCondition.POLICY_VIOLATION, detail=f"SASL {view.name[:20]} out of turn")

    def found(self, keys: Keys, *, may_act: bool = True) -> list[Output]:
        """The answer to `FindKeys`; see `Exchange.found`."""
        assert self._exchange is not None
        return self._step(self._exchange.found(keys, may_act=may_act))

    def checked(self, is_right: bool) -> list[Output]:
        """The answer to `CheckPassword`."""
        assert self._exchange is not None
        return self._step(self._exchange.checked(is_right))

    def refuse(self, condition: sasl.FailureCondition, detail: str = "") -> list[Output]:
        """End this attempt: throttled, disabled, or the database does not answer."""
        return self._step(sasl.Failure(condition, detail))

    def _step(self, step: sasl.Step) -> list[Output]:
        if isinstance(step, FindKeys | CheckPassword):
            return [step]
        if isinstance(step, sasl.Challenge):
            return [Send(_sasl_element("challenge", step.data))]
        exchange, self._exchange = self._exchange, None
        if isinstance(step, sasl.Success):
            assert exchange is not None
            self.see(Seen.SASL_SUCCESS)
            return [Authenticate(exchange.mechanism), Send(_sasl_element("success", step.data)), Restart()]
        self._attempts += 1
        failed = AuthFailed(step.condition, step.detail)
        failure = Send(f"<failure xmlns='{names.SASL}'><{step.condition}/></failure>".encode())
        if self._attempts < MAX_SASL_ATTEMPTS:
            return [failed, failure]
        error = PeerViolation(StreamCondition.POLICY_VIOLATION, "too many failed logins")
        self.see(Seen.CLOSE)
        return [failed, failure, Send(self._framing.error(error)), Send(self._framing.close), Closed()]

    # -- binding -----------------------------------------------------------------------------------

    def bound(self, request: Bind, full_jid: str) -> list[Output]:
        """The resource that `Bind` asked for exists now (RFC 6120 §7.6.1)."""
        self.see(Seen.BIND)
        return [
            Send(
                f"<iq xmlns='{names.CLIENT}' type='result' id='{escape_attr(request.stanza_id)}'>"
                f"<bind xmlns='{names.BIND}'><jid>{escape(full_jid)}</jid></bind></iq>".encode()
            )
        ]

    def not_bound(self, request: Bind, error: StanzaError) -> list[Output]:
        """The resource cannot be had (RFC 6120 §7.6.2, §7.7.2); the peer may try again. Raise PeerViolation."""
        self._bind_attempts += 1
        refusal = (
            f"<iq xmlns='{names.CLIENT}' type='error' id='{escape_attr(request.stanza_id)}'>"
            f"<error type='{error.type}'><{error.condition} xmlns='{names.STANZAS}'/></error></iq>"
        )
        if self._bind_attempts < MAX_BIND_ATTEMPTS:
            return [Send(refusal.encode())]
        violation = PeerViolation(StreamCondition.POLICY_VIOLATION, "too many attempts to bind a resource")
        self.see(Seen.CLOSE)
        return [
            Send(refusal.encode()),
            Send(self._framing.error(violation)),
            Send(self._framing.close),
            Closed(),
        ]


def _sasl_element(name: str, data: bytes) -> bytes:
    text = base64.b64encode(data).decode()
    return (
        f"<{name} xmlns='{names.SASL}'>{text}</{name}>".encode()
        if text
        else f"<{name} xmlns='{names.SASL}'/>".encode()
    )
