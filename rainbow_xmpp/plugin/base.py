"""`Plugin` and its options: what a plugin says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from rainbow_xmpp.config import key
from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin.marking import MARKS
from rainbow_xmpp.plugin.marks import Mark
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.stanza.disco import DiscoInfo

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account, Company


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(key,))
@dataclass(frozen=True, kw_only=True)
class PluginOptions:
    """`[plugins.<name>]` of a plugin without options of its own.

    A plugin with options derives from this and declares each with `option(default, "what it means", ge=…, le=…)`;
    `problems()` is for what types and bounds cannot say.
    """

    enabled: bool = key(True, "Whether the plugin runs.")
    companies: tuple[str, ...] = key(
        (),
        "The companies (names or ids) whose people it serves; empty = all.",
        reload="live",
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, kw_only=True)(cls)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield (key, what is wrong with it)."""
        yield from ()

    def serves(self, account: Account) -> bool:
        """The account's company is among those that are served."""
        return self.serves_company(account.company)

    def serves_company(self, company: Company) -> bool:
        """The company is among those that are served."""
        return not self.companies or company.name in self.companies or company.id in self.companies


class Plugin:
    """One feature. Derive with a name: `class Ping(Plugin, name="ping", implements={"XEP-0199": "2.0"})`.

    Methods marked with the decorators of `rainbow_xmpp.plugin` are registered before `start` and taken out before
    `stop`.
    """

    name: ClassVar[str] = ""
    implements: ClassVar[Mapping[str, str]] = {}
    """Specifications and the version that was followed."""
    features: ClassVar[frozenset[str]] = frozenset()
    """Service discovery features of the server."""
    account_features: ClassVar[frozenset[str]] = frozenset()
    """Service discovery features of every account."""
    audit: ClassVar[Mapping[str, str]] = {}
    """The audit events it records, such as "nudge.refused", and what each means."""
    is_for_all: ClassVar[bool] = False
    """It serves every company, whatever is configured: nobody can be left outside a guard."""
    Options: ClassVar[type[PluginOptions]] = PluginOptions

    def __init_subclass__(
        cls,
        *,
        name: str,
        implements: Mapping[str, str] | None = None,
        features: tuple[str, ...] = (),
        account_features: tuple[str, ...] = (),
        audit: Mapping[str, str] | None = None,
        for_all: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if not name.isidentifier() or not name.islower():
            raise LocalMisuse(f"a plugin's name is a lower-case identifier, not {name!r}")
        if not (isinstance(cls.Options, type) and issubclass(cls.Options, PluginOptions)):
            raise LocalMisuse(f"plugin {name}: Options must derive from PluginOptions")
        cls.name = name
        cls.implements = dict(implements or {})
        cls.features = frozenset(features)
        cls.account_features = frozenset(account_features)
        cls.audit = dict(audit or {})
        cls.is_for_all = for_all

    def __init__(self, services: Services, options: PluginOptions) -> None:
        self.services = services
        self.options = options

    async def start(self) -> None:
        """Called once the database is open and all plugins are made."""

    async def stop(self) -> None:
        """Called when nothing of this plugin is registered any more. Free what `start` took."""

    def reconfigured(self, before: PluginOptions) -> None:
        """Called after `options` got new values of live options; `before` are the old ones."""

    def stream_features(self) -> bytes:
        """What is announced in the stream features beside resource binding; asked at start and at each reload."""
        return b""

    def early_features(self) -> bytes:
        """What is announced in the stream features beside SASL, to those who have TLS; asked as `stream_features`."""
        return b""

    def server_info(self) -> DiscoInfo | None:
        """What is added to what the server says of itself (XEP-0030), such as forms: the same for all it serves.

        What depends on who asks is added by a method marked `@disco_info()`.
        """
        return None

    def marks(self) -> Iterator[tuple[Mark, Callable[..., Any]]]:
        """The declared handlers, bound to this plugin."""
        yield from marks_of(self)

    @classmethod
    def declarations(cls) -> Iterator[tuple[Mark, str]]:
        """The marks of its methods, and what these are called."""
        for attribute in dir(cls):
            for mark in getattr(getattr(cls, attribute), MARKS, ()):
                yield mark, attribute


def marks_of(part: object) -> Iterator[tuple[Mark, Callable[..., Any]]]:
    """What the methods of an object declare, bound to it."""
    for attribute in dir(type(part)):
        function = getattr(type(part), attribute)
        for mark in getattr(function, MARKS, ()):
            yield mark, getattr(part, attribute)
