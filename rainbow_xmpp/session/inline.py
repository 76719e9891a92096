"""What clients may ask for together with their login: inside `<authenticate/>` (XEP-0388) or its `<bind/>` (XEP-0386).

A feature is added before the server listens; what it announces is part of every stream's features from then on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rainbow_xmpp.errors import LocalMisuse, RainbowError
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import UserAgent
from rainbow_xmpp.xml import Element, escape_attr, names

log = logging.getLogger(__name__)

T = TypeVar("T")
BIND = f"{{{names.BIND2}}}bind"
_TAG = f"{{{names.BIND2}}}tag"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login by a mechanism that only one plugin can judge."""

    mechanism: str
    message: bytes
    """The initial response. There is no other."""
    request: Element
    """The element that the mechanism counts beside."""
    agent: UserAgent
    sender: str
    """The bare JID that the stream header names; "" when it names none."""
    names: tuple[str, ...]
    """What the peer calls itself, in the order in which accounts are looked for (`store.accounts.for_login`)."""
    bindings: Mapping[str, bytes]
    """Channel-binding data of the connection by type (XEP-0440)."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who it is. The account must be one that may log in (`may_log_in`)."""

    account: Account
    data: bytes = b""
    """For the client: the mechanism's last word."""
    is_complete: bool = False
    """Nothing else has to be done before the newcomer is let in, such as a second factor."""
    note: object = None
    """What the judge finds again in `Newcomer.vouched`."""


@dataclass(frozen=True, slots=True)
class Distrusted:
    """The proof is right, and does not count any more: told by `credentials-expired`, to whoever has the secret."""

    account: Account


Verdict = Vouched | Distrusted | None
"""None refuses, as a wrong password is refused."""


class Undecided(RainbowError):
    """The judge failed, which is not the fault of what was to be judged."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who has just proved who it is."""

    account: Account
    mechanism: str
    agent: UserAgent
    app_password: str = ""
    """The id of the app password that proved it, which ends what it let in when it is dropped; "" for any other way."""
    bindings: Collection[str] = ()
    """The types of the channel bindings that the connection has."""
    vouched: Vouched | None = None
    """What the plugin said whose mechanism it was."""
    is_lent: bool = False
    """It came by something that can be taken back for itself, an app password or a token of the API: what is given
    out now must not outlive that."""
    source: str = ""
    """The network address it comes from; for limits, never for logs."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A session that goes on with this stream (XEP-0198 §5): nothing is bound then. It is of the same account."""

    session: Session
    results: bytes
    """Elements for `<success/>`, with their namespaces declared."""
    unread: tuple[bytes, ...] = ()
    """Stanzas for the client, behind `<success/>`."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What became of a request."""

    results: bytes = b""
    """Elements for `<success/>`, with their namespaces declared."""
    take_over: Callable[[], TakenOver | bytes] | None = None
    """Called last, if at all, when the newcomer is sure to be let in; it must not wait. Where the session is not to
    be had any more it says so, in bytes for `<success/>`, and a resource is bound."""


Grant = Callable[[Newcomer, Element | None], Awaitable[Granted]]
"""Does what was asked for with `<authenticate/>`. What cannot be done is said in the results."""
Judge = Callable[[Attempt], Awaitable[Verdict]]
NameOf = Callable[[bytes], str]
"""Who the message says that it is of, before anything is proved; "" when it does not say."""
Announce = Callable[[Collection[str]], bytes]
"""The XML that is announced on a connection with these types of channel binding."""
Enable = Callable[[Session], bytes]
"""Does something for a session at the moment it is bound; returns elements for `<bound/>`. It must not wait."""
Prepare = Callable[[Newcomer, Sequence[Element]], Awaitable[Enable | None]]
"""Reads what has to be read before. Called at every inline binding, with the requests that are its, if any."""


@dataclass(frozen=True, slots=True)
class InlineFeature:
    """Something that clients may ask for with `<authenticate/>`, done before a resource is bound."""

    request: str
    """The request's name, `{namespace}name`."""
    announcement: Announce
    """The child of `<inline/>`, if there is one on this connection."""
    grant: Grant
    is_always_asked: bool = False
    """Also where the client did not ask; the request is None then."""


@dataclass(frozen=True, slots=True)
class InlineMechanisms:
    """Mechanisms that count only beside an element of theirs in `<authenticate/>`."""

    mechanisms: frozenset[str]
    request: str
    """That element's name."""
    judge: Judge
    name_of: NameOf


@dataclass(frozen=True, slots=True)
class BindFeature:
    """Something that happens when a resource is bound inline."""

    requests: frozenset[str]
    """Names of the requests that are its."""
    var: str
    """What `<feature var=''/>` calls it; "" for what is not announced."""
    prepare: Prepare


@dataclass(frozen=True, slots=True)
class BindRequest:
    """`<bind xmlns='urn:xmpp:bind:0'/>`, taken apart."""

    tag: str
    features: tuple[Element, ...]

    @classmethod
    def among(cls, inline: Sequence[Element]) -> BindRequest | None:
        """The one among what was asked for inline, if there is one."""
        for element in inline:
            if element.tag == BIND:
                others = tuple(child for child in element if not child.tag.startswith(f"{{{names.BIND2}}}"))
                return cls(element.findtext(_TAG) or "", others)
        return None


class InlineRegistry:
    """All inline features of a server, by owner. One that fails is left out; nobody is kept from logging in by it."""

    def __init__(self) -> None:
        self._features: dict[str, tuple[str, InlineFeature]] = {}
        self._with_binding: list[tuple[str, BindFeature]] = []
        self._mechanisms: dict[str, tuple[str, InlineMechanisms]] = {}

    def add(self, owner: str, feature: InlineFeature) -> Callable[[], None]:
        """Let clients ask for this with `<authenticate/>`; returns what undoes it."""
        name = feature.request
        if name == BIND or name in self._features:
            raise LocalMisuse(f"plugin {owner}: {name} is an inline feature already")
        self._features[name] = (owner, feature)
        return lambda: _drop(self._features, name)

    def add_to_binding(self, owner: str, feature: BindFeature) -> Callable[[], None]:
        """Let this happen when a resource is bound inline; returns what undoes it."""
        entry = (owner, feature)
        self._with_binding.append(entry)
        return lambda: self._with_binding.remove(entry)

    def add_mechanisms(self, owner: str, added: InlineMechanisms) -> Callable[[], None]:
        """Let clients log in by these; returns what undoes it."""
        if added.request in self._mechanisms:
            raise LocalMisuse(f"plugin {owner}: mechanisms beside {added.request} are judged already")
        self._mechanisms[added.request] = (owner, added)
        return lambda: _drop(self._mechanisms, added.request)

    def owners(self) -> set[str]:
        entries = [*self._features.values(), *self._with_binding, *self._mechanisms.values()]
        return {owner for owner, _ in entries}

    @property
    def mechanisms(self) -> dict[str, frozenset[str]]:
        """Which mechanisms count beside which element."""
        return {request: added.mechanisms for request, (_, added) in self._mechanisms.items()}

    def name_in(self, request: Element, message: bytes) -> str:
        """Who a message beside this element says that it is of; "" when it does not say."""
        return self._mechanisms[request.tag][1].name_of(message)

    async def judge(self, attempt: Attempt) -> Verdict:
        """Ask whoever knows the mechanism. Raises Undecided when that fails, and nobody is let in."""
        owner, added = self._mechanisms[attempt.request.tag]
        try:
            return await added.judge(attempt)
        except Exception as error:
            log.exception("a login could not be judged by plugin %s", owner)
            raise Undecided from error

    def announcement(self, bindings: Collection[str] = ()) -> bytes:
        """The children of `<inline/>` (XEP-0388 §2.1, XEP-0386 §3.1) where these types of channel can be bound."""
        listed = "".join(f"<feature var='{escape_attr(f.var)}'/>" for _, f in self._with_binding if f.var)
        within = f"<inline>{listed}</inline>" if listed else ""
        binding = f"<bind xmlns='{names.BIND2}'>{within}</bind>".encode()
        return binding + b"".join(feature.announcement(bindings) for _, feature in self._features.values())

    async def grant(self, newcomer: Newcomer, inline: Sequence[Element]) -> Granted:
        """Do what was asked for, but for the binding; of several sessions to take over it is the first."""
        results, take_over = b"", None
        for owner, feature in list(self._features.values()):
            request = next((element for element in inline if element.tag == feature.request), None)
            if request is None and not feature.is_always_asked:
                continue
            granted = await _or_nothing(owner, feature.grant(newcomer, request), Granted())
            results += granted.results
            take_over = take_over or granted.take_over
        return Granted(results, take_over)

    async def prepare(self, newcomer: Newcomer, request: BindRequest) -> list[Enable]:
        """What is to be done at the moment of binding."""
        found = []
        for owner, feature in list(self._with_binding):
            requests = [element for element in request.features if element.tag in feature.requests]
            enable = await _or_nothing(owner, feature.prepare(newcomer, requests), None)
            if enable is not None:
                found.append(enable)
        return found


def bound(session: Session, prepared: Sequence[Enable]) -> bytes:
    """`<bound/>` with the answers of the features (XEP-0386 §3.2)."""
    results = b""
    for enable in prepared:
        try:
            results += enable(session)
        except Exception:
            log.exception("an inline feature failed and was left out")
    return f"<bound xmlns='{names.BIND2}'>".encode() + results + b"</bound>"


async def _or_nothing(owner: str, step: Awaitable[T], nothing: T) -> T:
    try:
        return await step
    except Exception:
        log.exception("an inline feature of plugin %s failed and was left out", owner)
        return nothing


def _drop(entries: dict[str, T], name: str) -> None:
    entries.pop(name, None)
