"""The decorators: what a method of a plugin is for. They only leave a mark; `binding` registers what is marked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin.api import EndpointMark
from rainbow_xmpp.plugin.marking import F, marked
from rainbow_xmpp.router.events import Event
from rainbow_xmpp.router.iq import Target
from rainbow_xmpp.router.stages import Stage
from rainbow_xmpp.stanza.payload import Payload
from rainbow_xmpp.store.values import Role

DEADLINE_S = 10.0
"""How long a handler that waits may take, unless its mark says otherwise."""
JOB_DEADLINE_S = 3600.0
"""How long one run of a job may take, unless its mark says otherwise."""

_TARGETS = {
    "server": (Target.SERVER,),
    "self": (Target.SELF,),
    "contact": (Target.CONTACT,),
    "account": (Target.SELF, Target.CONTACT),
}


@dataclass(frozen=True, slots=True)
class HookMark:
    stage: Stage
    before: frozenset[str]
    after: frozenset[str]
    is_needed: bool
    deadline_s: float


@dataclass(frozen=True, slots=True)
class IqMark:
    kind: str
    payload: type[Payload] | str
    targets: tuple[Target, ...]
    deadline_s: float


@dataclass(frozen=True, slots=True)
class MessageMark:
    payload: type[Payload] | None
    types: frozenset[str]
    to_server: bool
    deadline_s: float


@dataclass(frozen=True, slots=True)
class PresenceMark:
    payload: type[Payload] | None
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class NonzaMark:
    name: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class EventMark:
    event: type[Event]
    deadline_s: float


@dataclass(frozen=True, slots=True)
class JobMark:
    every_s: float
    option: str
    deadline_s: float = JOB_DEADLINE_S


@dataclass(frozen=True, slots=True)
class RouteMark:
    method: str
    path: str
    deadline_s: float = DEADLINE_S


@dataclass(frozen=True, slots=True)
class DiscoMark:
    """Answered by whoever does service discovery (`plugins/disco`)."""

    what: Literal["info", "items"]
    target: Target
    node: str | None
    deadline_s: float = DEADLINE_S


@dataclass(frozen=True, slots=True)
class RoutesMark:
    """Asked for its paths when the server begins to listen."""


@dataclass(frozen=True, slots=True)
class AccessMark:
    """Asked by `Services.may`."""

    is_late: bool


@dataclass(frozen=True, slots=True)
class CommandMark:
    """Offered by whoever does ad-hoc commands (`plugins/adhoc`)."""

    node: str
    title: str
    roles: frozenset[Role]


class LoginMark:
    """Does something for logins; see `login_marks`."""


Mark = (
    HookMark
    | IqMark
    | MessageMark
    | PresenceMark
    | EventMark
    | JobMark
    | RouteMark
    | DiscoMark
    | CommandMark
    | LoginMark
    | NonzaMark
    | AccessMark
    | EndpointMark
    | RoutesMark
)


def hook(
    stage: Stage,
    *,
    before: str | tuple[str, ...] = (),
    after: str | tuple[str, ...] = (),
    needed: bool = True,
    deadline_s: float = DEADLINE_S,
) -> Callable[[F], F]:
    """This method is a handler of a stage; `before` and `after` name plugins (see `Stage` for its shape).

    A `Stage.RECORD` handler that is not `needed` may fail: that is logged, and the stanza goes on.
    """
    if not needed and stage is not Stage.RECORD:
        raise LocalMisuse(f"needed=False is for Stage.RECORD; a failure in {stage} has a meaning of its own")
    return marked(HookMark(stage, _names(before), _names(after), needed, _in_seconds(deadline_s)))


def on_iq(
    type_: str,
    payload: type[Payload] | str,
    *,
    to: str | tuple[str, ...],
    deadline_s: float = DEADLINE_S,
) -> Callable[[F], F]:
    """This method answers IQ requests: `(self, ctx, payload)`, where what is returned is the answer.

    `payload` is a `Payload` class, or `{namespace}name` for an element as it is. `to` is "server", "self" (the
    sender's own account), "contact" (somebody else's bare JID, after the gate), "account" (both), or several.
    """
    named = (to,) if isinstance(to, str) else to
    if not named or not set(named) <= _TARGETS.keys():
        raise LocalMisuse(f"on_iq(to=…) takes {', '.join(map(repr, _TARGETS))}, not {to!r}")
    targets = tuple(dict.fromkeys(target for name in named for target in _TARGETS[name]))
    return marked(IqMark(type_, payload, targets, _in_seconds(deadline_s)))


def on_message(
    payload: type[Payload] | None = None,
    *,
    type: str | tuple[str, ...] = (),
    to: Literal["account", "server"] = "account",
    deadline_s: float = DEADLINE_S,
) -> Callable[[F], F]:
    """This method sees messages with this payload, or all: `(self, ctx, payload)`, or `(self, ctx)`.

    To an account: once, after the gate and before delivery; StanzaError refuses the message. To the server:
    the first handler that fits takes it, and one that is a plain `def` may leave it to others by returning False.
    """
    if to not in ("account", "server"):
        raise LocalMisuse(f"on_message(to=…) takes 'account' and 'server', not {to!r}")
    return marked(MessageMark(payload, _names(type), to == "server", _in_seconds(deadline_s)))


def on_presence(
    payload: type[Payload] | None = None, *, type: str | tuple[str, ...] = ()
) -> Callable[[F], F]:
    """This method sees presence of clients before anybody else does, once: `(self, ctx, payload)`, or `(self, ctx)`.

    `type` is "available", "unavailable", "subscribe" and so on; StanzaError refuses. It may not wait. A `View` that it
    returns goes on in place of the presence, such as `ctx.stanza.plus(element)`.
    """
    return marked(PresenceMark(payload, _names(type)))


def on_nonza(name: str, *, deadline_s: float = DEADLINE_S) -> Callable[[F], F]:
    """This method takes an element that is no stanza, named `{namespace}name`: `(self, session, element)`.

    Such as those of client state indication (XEP-0352). It comes in its place among the client's stanzas, which wait
    for it when it is `async def`. An answer that is no stanza either goes to `session.link`. PeerViolation ends the
    stream.
    """
    if not re.fullmatch(r"\{[^{}]+\}[^{}]+", name):
        raise LocalMisuse(f"an element is named '{{namespace}}name', not {name!r}")
    return marked(NonzaMark(name, _in_seconds(deadline_s)))


def on(event: type[Event], *, deadline_s: float = DEADLINE_S) -> Callable[[F], F]:
    """This method is called with each such event; it may be `async def`."""
    if not (isinstance(event, type) and issubclass(event, Event)):
        raise LocalMisuse(f"on() takes an event class, not {event!r}")
    return marked(EventMark(event, _in_seconds(deadline_s)))


def every(
    *,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    option: str = "",
    deadline_s: float = JOB_DEADLINE_S,
) -> Callable[[F], F]:
    """This `async def` method runs at intervals; `option` names the option that holds them, in seconds.

    A run that fails, or takes too long, is logged; the next one comes at its time.
    """
    every_s = hours * 3600 + minutes * 60 + seconds
    if bool(option) == (every_s > 0):
        raise LocalMisuse("every() takes an interval, such as hours=1, or the name of an option")
    return marked(JobMark(every_s, option, _in_seconds(deadline_s)))


def route(method: str, path: str, *, deadline_s: float = DEADLINE_S) -> Callable[[F], F]:
    """This `async def` method answers HTTPS requests for a path (aiohttp's): `(self, request) -> Response`.

    A failure is answered with 500, one that takes too long with 503.
    """
    if method not in ("GET", "POST", "PUT", "PATCH", "DELETE") or not path.startswith("/"):
        raise LocalMisuse(
            f"route() takes a method such as 'GET' and a path from '/', not {method!r}, {path!r}"
        )
    return marked(RouteMark(method, path, _in_seconds(deadline_s)))


def disco_info(
    *,
    to: Literal["server", "account"] = "server",
    node: str | None = "",
    deadline_s: float = DEADLINE_S,
) -> Callable[[F], F]:
    """This method adds to what service discovery says of the server or of accounts: `(self, ctx, node)`.

    It returns a `DiscoInfo`, or None, which a failure counts as. `node` is "" for the thing itself; None for every
    node but that: then the method knows by the node it is asked for whether it has an answer.
    """
    return marked(DiscoMark("info", _disco_target(to), node, _in_seconds(deadline_s)))


def disco_items(
    *,
    to: Literal["server", "account"] = "server",
    node: str | None = "",
    deadline_s: float = DEADLINE_S,
) -> Callable[[F], F]:
    """As `disco_info`, for items: it returns `DiscoItem`s, or None for a node it does not know."""
    return marked(DiscoMark("items", _disco_target(to), node, _in_seconds(deadline_s)))


def routes() -> Callable[[F], F]:
    """This method gives paths of the HTTPS side that are known only once all plugins run: `Route` values."""
    return marked(RoutesMark())


def access(*, late: bool = False) -> Callable[[F], F]:
    """This `async def` method answers `Services.may`: `(self, action, actor, target) -> bool`.

    All of them must say yes; one that fails says no. `late`: asked only when all others have said yes, so that
    nothing is looked up about people who do not exist for the actor.
    """
    return marked(AccessMark(late))


def command(node: str, title: str, *, roles: tuple[Role, ...] = ()) -> Callable[[F], F]:
    """This `async def` method is an ad-hoc command (XEP-0050) for people of these roles, or for everybody.

    Its shape is `(self, ctx, dialog)`: `dialog.ask(form)` shows a form and waits for the answer, as often as need
    be; what is returned is shown at the end (see `rainbow_xmpp.plugin.dialog`).
    """
    return marked(CommandMark(node, title, frozenset(roles)))


def _disco_target(to: str) -> Target:
    if to not in ("server", "account"):
        raise LocalMisuse(f"service discovery is to 'server' or 'account', not {to!r}")
    return Target.SERVER if to == "server" else Target.CONTACT


def _names(names: str | tuple[str, ...]) -> frozenset[str]:
    return frozenset((names,) if isinstance(names, str) else names)


def _in_seconds(deadline_s: float) -> float:
    if not 0 < deadline_s < float("inf"):
        raise LocalMisuse(f"a deadline is a number of seconds above 0, not {deadline_s!r}")
    return deadline_s
