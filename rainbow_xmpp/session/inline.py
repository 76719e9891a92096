"""What clients may ask for together with their login: inside `<authenticate/>` (XEP-0388) or its `<bind/>` (XEP-0386).

A feature is added before the server listens; what it announces is part of every stream's features from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.session.session import Session
from rainbow_xmpp.store.values import Account
from rainbow_xmpp.stream import UserAgent
from rainbow_xmpp.xml import Element, escape_attr, names

T = TypeVar("T")
BIND = f"{{{names.BIND2}}}bind"
_TAG = f"{{{names.BIND2}}}tag"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who has just proved who it is."""

    account: Account
    agent: UserAgent


@dataclass(frozen=True, slots=True)
class Granted:
    """What became of a request."""

    results: bytes = b""
    """Elements for `<success/>`, with their namespaces declared."""
    session: Session | None = None
    """A session that this stream takes over (XEP-0198 §5): nothing is bound then."""
    unread: tuple[bytes, ...] = ()
    """Stanzas for the client, behind `<success/>` and the features."""


class InlineFeature(Protocol):
    """Something a client may ask for with `<authenticate/>`. It is done before a resource is bound."""

    announcement: bytes
    """The child of `<inline/>`."""
    request: str
    """The request's name, `{namespace}name`."""

    async def grant(self, newcomer: Newcomer, request: Element) -> Granted:
        """Do it. What cannot be done is said in the results."""


Enable = Callable[[Session], bytes]
"""Does something for a session at the moment it is bound; returns elements for `<bound/>`. It must not wait."""


class BindFeature(Protocol):
    """Something that happens when a resource is bound inline."""

    var: str
    """What `<feature var=''/>` calls it; "" for what is not announced."""
    requests: frozenset[str]
    """Names of the requests that are its, `{namespace}name`."""

    async def prepare(self, newcomer: Newcomer, requests: Sequence[Element]) -> Enable | None:
        """Read what has to be read. Called at every inline binding, whatever was asked for."""


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
    """All inline features of a server."""

    def __init__(self) -> None:
        self._features: list[InlineFeature] = []
        self._with_binding: list[BindFeature] = []

    def add(self, feature: InlineFeature) -> Callable[[], None]:
        """Let clients ask for this with `<authenticate/>`; returns what undoes it."""
        if feature.request == BIND or any(known.request == feature.request for known in self._features):
            raise LocalMisuse(f"{feature.request} is an inline feature already")
        return _added(self._features, feature)

    def add_to_binding(self, feature: BindFeature) -> Callable[[], None]:
        """Let this happen when a resource is bound inline; returns what undoes it."""
        return _added(self._with_binding, feature)

    @property
    def announcement(self) -> bytes:
        """The children of `<inline/>` (XEP-0388 §2.1, XEP-0386 §3.1)."""
        listed = "".join(f"<feature var='{escape_attr(f.var)}'/>" for f in self._with_binding if f.var)
        within = f"<inline>{listed}</inline>" if listed else ""
        binding = f"<bind xmlns='{names.BIND2}'>{within}</bind>".encode()
        return binding + b"".join(feature.announcement for feature in self._features)

    async def grant(self, newcomer: Newcomer, inline: Sequence[Element]) -> Granted:
        """Do what was asked for, but for the binding; the first that brings a session is the last."""
        results = b""
        for feature in self._features:
            for request in inline:
                if request.tag == feature.request:
                    granted = await feature.grant(newcomer, request)
                    results += granted.results
                    if granted.session is not None:
                        return Granted(results, granted.session, granted.unread)
        return Granted(results)

    async def prepare(self, newcomer: Newcomer, request: BindRequest) -> list[Enable]:
        """What is to be done at the moment of binding."""
        found = []
        for feature in self._with_binding:
            requests = [element for element in request.features if element.tag in feature.requests]
            enable = await feature.prepare(newcomer, requests)
            if enable is not None:
                found.append(enable)
        return found


def bound(results: Sequence[bytes]) -> bytes:
    """`<bound/>` with the answers of the features (XEP-0386 §3.2)."""
    return f"<bound xmlns='{names.BIND2}'>".encode() + b"".join(results) + b"</bound>"


def _added(features: list[T], feature: T) -> Callable[[], None]:
    features.append(feature)
    return lambda: features.remove(feature)
