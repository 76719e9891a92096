"""Finds plugins: ours, those in the folders of `plugin_paths`, those that installed packages announce."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
import traceback
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.plugin.base import Plugin
from rainbow_xmpp.store.announced import ENTRY_POINTS


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
                places = (sys.modules[cls.__module__].__file__ for cls in (found[value.name], value))
                raise PluginError(f"two plugins are called {value.name}: {', '.join(map(str, places))}")
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
        # Absolute: Python remembers a relative folder by its name, wherever the process stands by then.
        for info in pkgutil.iter_modules([str(folder.absolute())]):
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
    folder = folder.resolve()
    full_name = f"rainbow_xmpp_plugin_paths.{name}"
    file = folder / f"{name}.py"
    search = None
    if not file.exists():
        file, search = folder / name / "__init__.py", [str(folder / name)]
    known = sys.modules.get(full_name)
    if known is not None and known.__file__ != str(file):
        full_name += f"_{zlib.crc32(str(folder).encode()):08x}"  # another folder has one of this name
        known = sys.modules.get(full_name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(full_name, file, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin_paths: {file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full_name]  # or the next look would find half a module
        raise
    return module
