"""The decorators of methods that take part in logins (XEP-0388, XEP-0386), or are there before them (XEP-0077)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin.marking import F, marked
from rainbow_xmpp.plugin.marks import DEADLINE_S, LoginMark
from rainbow_xmpp.stanza.payload import Payload


@dataclass(frozen=True, slots=True)
class InlineMark(LoginMark):
    request: str
    announcement: str | Callable[[Collection[str]], str]
    is_always_asked: bool
    deadline_s: float


@dataclass(frozen=True, slots=True)
class BindMark(LoginMark):
    requests: frozenset[str]
    feature: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class MechanismMark(LoginMark):
    mechanisms: frozenset[str]
    request: str
    name_of: Callable[[bytes], str]
    deadline_s: float


@dataclass(frozen=True, slots=True)
class EarlyMark(LoginMark):
    kind: str
    payload: type[Payload] | str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class EarlyElementMark(LoginMark):
    name: str
    excuse: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class TasksMark(LoginMark):
    deadline_s: float


def with_login(
    request: str,
    *,
    announcement: str | Callable[[Collection[str]], str],
    always: bool = False,
    deadline_s: float = DEADLINE_S,
) -> Callable[[F], F]:
    """This method does what clients ask for with their login: `async (self, newcomer, request) -> Granted`.

    `request` is the element's name, `{namespace}name`; `announcement` the XML that stands for it in `<inline/>`, or a
    function that makes it from the types of channel binding that a connection has. With `always` the method is called
    at every login by SASL2, with None where it was not asked for.
    """
    _check_name(request)
    return marked(InlineMark(request, announcement, always, deadline_s))


def with_binding(*requests: str, feature: str = "", deadline_s: float = DEADLINE_S) -> Callable[[F], F]:
    """This method is asked at each inline binding: `async (self, newcomer, requests) -> Enable | None`.

    It gets those elements of `<bind/>` that have one of these names, and reads what it needs. What it returns is
    called with the session at the moment of binding, must not wait, and gives bytes for `<bound/>`. `feature` is
    announced.
    """
    for request in requests:
        _check_name(request)
    return marked(BindMark(frozenset(requests), feature, deadline_s))


def with_tasks(*, deadline_s: float = DEADLINE_S) -> Callable[[F], F]:
    """This method says what somebody must do after the mechanism: `async (self, newcomer, done) -> Sequence[Task]`.

    The client does one of them (`rainbow_xmpp.session.tasks`), then the method is asked again, with its name in `done`;
    () lets the newcomer in. One that fails, or is late, lets nobody in.
    """
    return marked(TasksMark(deadline_s))


def with_mechanism(
    *mechanisms: str,
    request: str,
    name_of: Callable[[bytes], str] = lambda message: "",
    deadline_s: float = DEADLINE_S,
) -> Callable[[F], F]:
    """This method judges logins by mechanisms of its own: `async (self, attempt) -> Vouched | Distrusted | None`.

    They count only beside the element `request` in `<authenticate/>`, such as FAST's (XEP-0484 §3.4), take one message,
    and are announced by a `with_login`, not with the others. `name_of` finds in the message whom it is of, so that
    failures count for that name; without it, or where it says "", they count for whom the stream header names. None
    refuses. Whom the header names must be the account that is vouched for; that is seen to.
    """
    _check_name(request)
    if not mechanisms:
        raise LocalMisuse("with_mechanism names the mechanisms that the method judges")
    return marked(MechanismMark(frozenset(mechanisms), request, name_of, deadline_s))


def before_login(
    kind: str, payload: type[Payload] | str, *, deadline_s: float = DEADLINE_S
) -> Callable[[F], F]:
    """This method answers IQ requests of whoever has TLS and has not logged in: `async (self, stranger, payload)`.

    `kind` is "get" or "set"; the payload is a type, or an element's name `{namespace}name`. What the method returns is
    the payload of the result, None for an empty one; a StanzaError is the error. Announce it by `early_features`.
    """
    if kind not in ("get", "set"):
        raise LocalMisuse(f"before_login expects 'get' or 'set', not {kind!r}")
    if isinstance(payload, str):
        _check_name(payload)
    return marked(EarlyMark(kind, payload, deadline_s))


def before_login_element(name: str, *, excuse: str, deadline_s: float = DEADLINE_S) -> Callable[[F], F]:
    """This method answers an element at the top of the stream, as XEP-0389 has them:
    `async (self, stranger, element) -> EarlyReply`.

    `excuse` is the XML that is sent when the method fails, or is late. A PeerViolation ends the stream.
    """
    _check_name(name)
    return marked(EarlyElementMark(name, excuse, deadline_s))


def _check_name(name: str) -> None:
    namespace, found, local = name.removeprefix("{").partition("}")
    if not (name.startswith("{") and found and namespace and local):
        raise LocalMisuse(f"an element is named '{{namespace}}name', not {name!r}")
