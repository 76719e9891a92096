"""`Plugin` and the decorators that declare what its methods are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin.events import Event
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.router.iq import Target
from rainbow_xmpp.router.stages import Stage

F = TypeVar("F", bound=Callable[..., Any])
_MARKS = "_rainbow_marks"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginOptions:
    """`[plugins.<name>]` of a plugin without options of its own.

    A plugin with options derives from this: a frozen dataclass of keys with types and defaults (`config.key` adds
    the documentation), and `problems()` for what types cannot say.
    """

    enabled: bool = True

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield (key, what is wrong with it)."""
        yield from ()


@dataclass(frozen=True, slots=True)
class HookMark:
    stage: Stage
    before: frozenset[str]
    after: frozenset[str]


@dataclass(frozen=True, slots=True)
class IqMark:
    type: str
    name: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class EventMark:
    event: type[Event]


Mark = HookMark | IqMark | EventMark


class Plugin:
    """One feature. Derive with a name: `class Ping(Plugin, name="ping", implements={"XEP-0199": "2.0"})`.

    Methods marked with `@hook`, `@on_iq` and `@on` are registered before `start` and taken out after `stop`.
    """

    name: ClassVar[str] = ""
    implements: ClassVar[Mapping[str, str]] = {}
    """Specifications and the version that was followed."""
    features: ClassVar[frozenset[str]] = frozenset()
    """Service discovery features of the server."""
    account_features: ClassVar[frozenset[str]] = frozenset()
    """Service discovery features of every account."""
    stream_features: ClassVar[bytes] = b""
    """What is announced in the stream features beside resource binding."""
    Options: ClassVar[type[PluginOptions]] = PluginOptions

    def __init_subclass__(
        cls,
        *,
        name: str,
        implements: Mapping[str, str] | None = None,
        features: tuple[str, ...] = (),
        account_features: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if not name.isidentifier() or not name.islower():
            raise LocalMisuse(f"a plugin's name is a lower-case identifier, not {name!r}")
        cls.name = name
        cls.implements = dict(implements or {})
        cls.features = frozenset(features)
        cls.account_features = frozenset(account_features)

    def __init__(self, services: Services, options: PluginOptions) -> None:
        self.services = services
        self.options = options

    async def start(self) -> None:
        """Called once the database is open and all plugins are made."""

    async def stop(self) -> None:
        """Called when nothing of this plugin is registered any more. Free what `start` took."""

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """The declared handlers, bound to this plugin."""
        for attribute in dir(type(self)):
            function = getattr(type(self), attribute)
            for mark in getattr(function, _MARKS, ()):
                yield mark, getattr(self, attribute)


def _marked(mark: Mark) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        setattr(function, _MARKS, (*getattr(function, _MARKS, ()), mark))
        return function

    return decorate


def hook(
    stage: Stage, *, before: str | tuple[str, ...] = (), after: str | tuple[str, ...] = ()
) -> Callable[[F], F]:
    """This method is a handler of a stage; `before` and `after` name plugins (see `Stage` for its shape)."""
    return _marked(HookMark(stage, _names(before), _names(after)))


def on_iq(type_: str, name: str, *, to: str | tuple[str, ...]) -> Callable[[F], F]:
    """This method answers IQ requests with the payload `{namespace}name`.

    `to` is "server", "self" (the sender's own account), "contact" (somebody else's bare JID), or several of them.
    """
    targets = (to,) if isinstance(to, str) else to
    try:
        return _marked(IqMark(type_, name, tuple(Target(target) for target in targets)))
    except ValueError:
        raise LocalMisuse(f"on_iq(to=…) takes 'server', 'self' and 'contact', not {to!r}") from None


def on(event: type[Event]) -> Callable[[F], F]:
    """This method is called with each such event; it may be `async def`."""
    if not (isinstance(event, type) and issubclass(event, Event)):
        raise LocalMisuse(f"on() takes an event class, not {event!r}")
    return _marked(EventMark(event))


def _names(names: str | tuple[str, ...]) -> frozenset[str]:
    return frozenset((names,) if isinstance(names, str) else names)
