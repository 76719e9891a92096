"""Finds plugins, makes them, registers what they declare and takes it back."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import pkgutil
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from rainbow_xmpp.errors import LocalMisuse, RainbowError
from rainbow_xmpp.plugin.base import EventMark, HookMark, IqMark, Plugin, PluginOptions
from rainbow_xmpp.plugin.events import Event
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.router.pipeline import Pipeline
from rainbow_xmpp.router.stages import Hook

log = logging.getLogger(__name__)

ENTRY_POINTS = "rainbow_xmpp.plugins"
Listener = Callable[[Event], Awaitable[None] | None]


class PluginError(RainbowError):
    """A plugin cannot be used; the message is for the administrator."""


def find_plugins(paths: Iterable[str] = ()) -> dict[str, type[Plugin]]:
    """All plugin classes by name: ours, those of `plugin_paths`, then entry points. A name may stand only once."""
    found: dict[str, type[Plugin]] = {}
    for module in _modules(paths):
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, Plugin) and value is not Plugin):
                continue
            if value.__module__.partition(module.__name__)[0]:
                continue  # imported from elsewhere
            if found.setdefault(value.name, value) is not value:
                raise PluginError(
                    f"two plugins are called {value.name}: {found[value.name].__module__}, {value.__module__}"
                )
    return found


def _modules(paths: Iterable[str]) -> Iterable[ModuleType]:
    package = importlib.import_module("rainbow_xmpp.plugins")
    for info in pkgutil.iter_modules(package.__path__):
        with _loading(f"{package.__name__}.{info.name}"):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
        yield module
    for folder in map(Path, paths):
        if not folder.is_dir():
            raise PluginError(f"plugin_paths: {folder} is not a folder")
        for info in pkgutil.iter_modules([str(folder)]):
            with _loading(str(folder / info.name)):
                module = _import_from(folder, info.name)
            yield module
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        with _loading(entry.value):
            loaded = entry.load()
        yield loaded if isinstance(loaded, ModuleType) else sys.modules[loaded.__module__]


@contextmanager
def _loading(what: str) -> Iterator[None]:
    """A plugin that cannot be imported is named, with the place in it that is wrong."""
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        raise PluginError(f"plugin {what} cannot be loaded: {error!r}{place}") from error


def _import_from(folder: Path, name: str) -> ModuleType:
    full_name = f"rainbow_xmpp_plugin_paths.{name}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    file = folder / f"{name}.py"
    search = None
    if not file.exists():
        file, search = folder / name / "__init__.py", [str(folder / name)]
    spec = importlib.util.spec_from_file_location(full_name, file, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin_paths: {file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full_name] = module
    spec.loader.exec_module(module)
    return module


class PluginManager:
    """Owns the plugins of a running server."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._running: dict[str, Plugin] = {}
        self._undo: dict[str, list[Callable[[], None]]] = {}
        self._hooks: dict[str, list[Hook]] = {}
        self._listeners: dict[type[Event], dict[str, list[Listener]]] = {}

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self._running.values())

    @property
    def features(self) -> frozenset[str]:
        return frozenset().union(*(p.features for p in self._running.values()))

    @property
    def account_features(self) -> frozenset[str]:
        return frozenset().union(*(p.account_features for p in self._running.values()))

    @property
    def stream_features(self) -> bytes:
        return b"".join(p.stream_features for p in self._running.values())

    async def start(
        self, classes: Iterable[type[Plugin]], options: Mapping[str, PluginOptions], services: Services
    ) -> None:
        """Make, register and start these plugins; a failure stops those already started and is raised."""
        try:
            for cls in classes:
                plugin = cls(services, options.get(cls.name) or cls.Options())
                self._running[plugin.name] = plugin
                self._register(plugin, services)
            self._pipeline.set_hooks(h for hooks in self._hooks.values() for h in hooks)
            for plugin in self._running.values():
                await plugin.start()
        except BaseException:
            await self.stop()
            raise

    def _register(self, plugin: Plugin, services: Services) -> None:
        undo = self._undo.setdefault(plugin.name, [])
        hooks = self._hooks.setdefault(plugin.name, [])
        for mark, handler in plugin.marks():
            match mark:
                case HookMark():
                    hooks.append(Hook(mark.stage, handler, plugin.name, mark.before, mark.after))
                case IqMark():
                    undo.append(services.iqs.add(plugin.name, mark.type, mark.name, handler, mark.targets))
                case EventMark():
                    try:
                        inspect.signature(handler).bind("event")
                    except TypeError:
                        raise LocalMisuse(
                            f"plugin {plugin.name}: {handler.__qualname__} does not fit on({mark.event.__name__}); "
                            "expected: def or async def handler(self, event)"
                        ) from None
                    self._listeners.setdefault(mark.event, {}).setdefault(plugin.name, []).append(handler)

    async def stop(self) -> None:
        """Take back everything that was registered, newest plugin first, then let each plugin clean up."""
        for plugin in reversed(list(self._running.values())):
            for undo in self._undo.pop(plugin.name, ()):
                undo()
            self._hooks.pop(plugin.name, None)
            for listeners in self._listeners.values():
                listeners.pop(plugin.name, None)
            self._pipeline.set_hooks(h for hooks in self._hooks.values() for h in hooks)
            try:
                await plugin.stop()
            except Exception:
                log.exception("plugin %s did not stop cleanly", plugin.name)
        self._running.clear()

    def tell(self, event: Event) -> Awaitable[None] | None:
        """Call every listener; what is returned, if anything, must be awaited. Failures are logged."""
        waiting: list[Awaitable[None]] = []
        for owner, listeners in self._listeners.get(type(event), {}).items():
            for listener in listeners:
                try:
                    pending = listener(event)
                except Exception:
                    log.exception("plugin %s failed on %s", owner, type(event).__name__)
                    continue
                if pending is not None:
                    waiting.append(pending)
        return _all(waiting, type(event).__name__) if waiting else None


async def _all(waiting: list[Awaitable[None]], what: str) -> None:
    for pending in waiting:
        try:
            await pending
        except Exception:
            log.exception("a plugin failed on %s", what)
