"""Makes plugins, registers what they declare, and takes it back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rainbow_xmpp.config.changes import changes, merged
from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin.base import Plugin, PluginOptions
from rainbow_xmpp.plugin.binding import Binding
from rainbow_xmpp.plugin.offers import Offer
from rainbow_xmpp.plugin.registries import Registries
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.stanza.disco import DiscoInfo

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

log = logging.getLogger(__name__)

M = TypeVar("M")
T = TypeVar("T", bound=Offer)


class PluginManager:
    """Owns the plugins of a running server."""

    def __init__(self, registries: Registries) -> None:
        self.registries = registries
        self._running: dict[str, Plugin] = {}
        self._bindings: dict[str, Binding] = {}

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self._running.values())

    # -- what they declare, all together ---------------------------------------------------------------

    def features(self, account: Account | None = None) -> frozenset[str]:
        """Service discovery features of the server: of all plugins, or of those that serve this account."""
        return frozenset().union(*(p.features for p in self._serving(account)))

    def account_features(self, account: Account | None = None) -> frozenset[str]:
        return frozenset().union(*(p.account_features for p in self._serving(account)))

    def stream_features(self) -> bytes:
        return b"".join(p.stream_features() for p in self._running.values())

    def early_features(self) -> bytes:
        return b"".join(p.early_features() for p in self._running.values())

    def declared(
        self, mark: type[M], account: Account | None = None
    ) -> Iterator[tuple[M, Callable[..., Any]]]:
        """Marks of a kind that the core makes nothing of, with their methods."""
        for owner, found, handler in self.registries.contributions.of(mark):
            if account is None or self._running[owner].options.serves(account):
                yield found, handler

    def server_info(self, account: Account | None = None) -> Iterator[DiscoInfo]:
        """What plugins add to what the server says of itself: all, or those that serve this account."""
        for plugin in self._serving(account):
            info = plugin.server_info()
            if info is not None:
                yield info

    @property
    def is_same_for_all(self) -> bool:
        """No running plugin is limited to some companies."""
        return not any(plugin.options.companies for plugin in self)

    def offered(self, kind: type[T], account: Account | None = None) -> T | None:
        """The plugin that offers this, if one is running (and serves the account)."""
        serving: Iterator[object] = self._serving(account)
        return next((plugin for plugin in serving if isinstance(plugin, kind)), None)

    def _serving(self, account: Account | None) -> Iterator[Plugin]:
        return (p for p in self if account is None or p.options.serves(account))

    # -- start, change, stop ---------------------------------------------------------------------------

    async def start(
        self, classes: Iterable[type[Plugin]], options: Mapping[str, PluginOptions], services: Services
    ) -> None:
        """Make, register and start these plugins; a failure stops those already started and is raised."""
        try:
            for cls in classes:
                chosen = options.get(cls.name) or cls.Options()
                if cls.is_for_all and chosen.companies:
                    raise LocalMisuse(f"plugin {cls.name} is there for every company")
                self._refuse_second_offer(cls)
                plugin = cls(services, chosen)
                self._running[plugin.name] = plugin
                binding = self._bindings[plugin.name] = Binding(plugin, self.registries)
                binding.register()
            for plugin in self._running.values():
                await plugin.start()
        except BaseException:
            await self.stop()
            raise

    def _refuse_second_offer(self, cls: type[Plugin]) -> None:
        for kind in cls.__mro__:
            if kind is Offer or kind is cls or not issubclass(kind, Offer):
                continue
            other = self.offered(kind)
            if isinstance(other, Plugin):
                raise LocalMisuse(f"plugin {cls.name} offers {kind.__name__} as plugin {other.name} does")

    def reconfigure(self, options: Mapping[str, PluginOptions]) -> list[str]:
        """Give running plugins their new options, as far as these are live; returns the keys that need a restart.

        A plugin without new ones, since it is switched off at the next start, keeps those that it has.
        """
        waiting: list[str] = []
        for name, plugin in self._running.items():
            before = plugin.options
            wanted = options.get(name, before)
            waiting += changes(before, wanted, f"plugins.{name}.").restart
            plugin.options = merged(before, wanted)
            if plugin.options == before:
                continue
            if before.companies != plugin.options.companies:
                self._bindings[name].rebind()
            try:
                plugin.reconfigured(before)
            except Exception:
                log.exception("a plugin could not use its new options", extra={"plugin": name})
        return waiting

    async def stop(self) -> None:
        """Take back everything that was registered, newest plugin first, then let each plugin clean up."""
        for plugin in reversed(list(self._running.values())):
            self._unregister(plugin)
            try:
                await plugin.stop()
            except Exception:
                log.exception("a plugin did not stop cleanly", extra={"plugin": plugin.name})
        self._running.clear()

    def _unregister(self, plugin: Plugin) -> None:
        if binding := self._bindings.pop(plugin.name, None):
            binding.undo()
        if left := self.registries.holds(plugin.name):
            log.error("plugin %s left something behind in: %s", plugin.name, ", ".join(left))
