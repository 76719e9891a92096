"""The states of a client's stream until a resource is bound, and what moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    """Where a stream is."""

    WAIT_OPEN = auto()
    """Before the first stream header, on a connection that still has to start TLS or to log in."""
    SECURING = auto()
    """STARTTLS is the only thing on offer (RFC 6120 §5.3.1)."""
    NEGOTIATING = auto()
    """SASL is on offer, and what plugins do for those who have not logged in."""
    AUTHENTICATING = auto()
    """A SASL exchange is under way."""
    ANSWERING = auto()
    """A plugin works on a request of somebody who has not logged in."""
    CONVERSING = auto()
    """It asked something back: this has to be finished, or given up, before anybody logs in."""
    AUTHENTICATED = auto()
    """Logged in by classic SASL; the client must restart the stream (RFC 6120 §6.4.6)."""
    PROVEN = auto()
    """The mechanism of a SASL2 login succeeded; what was asked for with it is being done (XEP-0388 §2.6.1)."""
    TASKS = auto()
    """As before, and `<continue/>` was sent: there is more to do (XEP-0388 §2.6.3)."""
    GIVEN_UP = auto()
    """A task failed. Only the first mechanism counts as authentication, so nothing but the end can come."""
    BINDING = auto()
    """Logged in; resource binding is on offer (RFC 6120 §7)."""
    BOUND = auto()
    CLOSED = auto()


class Seen(Enum):
    """What moves a stream from state to state."""

    OPEN = auto()
    OPEN_WITHOUT_TLS = auto()
    START_TLS = auto()
    EARLY_REQUEST = auto()
    EARLY_ANSWER = auto()
    EARLY_QUESTION = auto()
    SASL = auto()
    SASL_SUCCESS = auto()
    PROOF = auto()
    CONTINUE = auto()
    TASK = auto()
    REFUSAL = auto()
    SUCCESS_UNBOUND = auto()
    BIND = auto()
    CLOSE = auto()


_CLOSES = {Seen.CLOSE: State.CLOSED}
_ENDS_OF_SASL2 = {Seen.SUCCESS_UNBOUND: State.BINDING, Seen.BIND: State.BOUND, Seen.CONTINUE: State.TASKS}

TRANSITIONS: Mapping[State, Mapping[Seen, State]] = {
    State.WAIT_OPEN: {Seen.OPEN: State.NEGOTIATING, Seen.OPEN_WITHOUT_TLS: State.SECURING} | _CLOSES,
    State.SECURING: {Seen.START_TLS: State.WAIT_OPEN, Seen.SASL: State.SECURING, Seen.REFUSAL: State.SECURING}
    | _CLOSES,
    State.NEGOTIATING: {Seen.SASL: State.AUTHENTICATING, Seen.EARLY_REQUEST: State.ANSWERING} | _CLOSES,
    State.ANSWERING: {Seen.EARLY_ANSWER: State.NEGOTIATING, Seen.EARLY_QUESTION: State.CONVERSING} | _CLOSES,
    State.CONVERSING: {Seen.EARLY_REQUEST: State.ANSWERING} | _CLOSES,
    State.AUTHENTICATING: {
        Seen.SASL: State.AUTHENTICATING,
        Seen.REFUSAL: State.NEGOTIATING,
        Seen.SASL_SUCCESS: State.AUTHENTICATED,
        Seen.PROOF: State.PROVEN,
    }
    | _CLOSES,
    State.AUTHENTICATED: {Seen.OPEN: State.BINDING} | _CLOSES,
    State.PROVEN: {Seen.REFUSAL: State.NEGOTIATING} | _ENDS_OF_SASL2 | _CLOSES,
    State.TASKS: {Seen.TASK: State.TASKS, Seen.REFUSAL: State.GIVEN_UP} | _ENDS_OF_SASL2 | _CLOSES,
    State.GIVEN_UP: _CLOSES,
    State.BINDING: {Seen.BIND: State.BOUND} | _CLOSES,
    State.BOUND: _CLOSES,
    State.CLOSED: {},
}
