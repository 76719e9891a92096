"""What a `ServerStream` is told, and what it wants done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from rainbow_xmpp import ids, sasl
from rainbow_xmpp.sasl import CheckPassword, CheckToken, FindKeys
from rainbow_xmpp.stream.sasl_elements import Begin
from rainbow_xmpp.xml import Element, View, names


class EarlyName(NamedTuple):
    """What somebody may ask before having logged in."""

    kind: str
    """The type of an IQ request, "get" or "set"; "" for an element of its own at the top of the stream."""
    ns: str
    """Of that element, or of the request's payload."""
    name: str


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What every stream of this server has in common."""

    domain: str
    bound_features: bytes = b""
    """What plugins and services announce to those who have logged in."""
    inline_features: Callable[[Collection[str]], bytes] = lambda _: b""
    """What can be asked for inside `<authenticate/>` (XEP-0388 §2.1): the children of `<inline/>`, on a connection
    with these types of channel binding."""
    inline_mechanisms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Mechanisms that count only beside an element of `<authenticate/>`, by its name; they are announced inline."""
    early_features: bytes = b""
    """What plugins announce to those who have TLS and have not logged in."""
    early_requests: frozenset[EarlyName] = frozenset()
    """What plugins answer to them."""
    new_nonce: Callable[[], str] = ids.new_nonce


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
class CheckMessage:
    """Somebody else judges this mechanism's one message; answer with `vouched` or `refuse`."""

    request: Begin
    beside: Element
    """The element that the mechanism counts beside."""
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The peer is logged in as the account whose keys were handed in last."""

    mechanism: str


@dataclass(frozen=True, slots=True)
class Proven:
    """By SASL2 the peer proved to be that account.

    Answer with `welcomed`, `must_do` or `refuse`, once what it asked for with it has been done.
    """

    request: Begin


@dataclass(frozen=True, slots=True)
class TaskChosen:
    """The peer begins one of the tasks that `must_do` named; answer with `task_data`, or as `Proven`."""

    name: str
    payload: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class TaskData:
    """The peer goes on with the task it chose; answer as `TaskChosen`."""

    payload: tuple[Element, ...]


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
    """The peer asks for a resource ("" = any); answer with `bound` or `not_bound`."""

    stanza_id: str
    resource: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Instead of binding, the peer asks for a session that it had (XEP-0198 §5); tell `resumed` or `not_resumed`."""

    attrs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EarlyRequest:
    """Somebody who has not logged in asks what a plugin answers; tell `answered`."""

    name: EarlyName
    view: View


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer's stream is closed, and ours; end the connection."""


Output = (
    Send
    | Authenticated
    | Proven
    | TaskChosen
    | TaskData
    | AuthFailed
    | Restart
    | StartTls
    | Bind
    | Resume
    | EarlyRequest
    | Closed
    | FindKeys
    | CheckPassword
    | CheckToken
    | CheckMessage
)
