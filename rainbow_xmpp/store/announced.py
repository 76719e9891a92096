"""Where installed packages keep the migrations of the plugins that they announce, found without importing them."""

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path

ENTRY_POINTS = "rainbow_xmpp.plugins"
"""The group of entry points in which packages announce plugins."""


def announced_migrations() -> Iterator[Path]:
    """The `migrations` folder beside each plugin that an installed package announces, where there is one."""
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        folders = [folder for folder in _candidates(entry.module) if folder.is_dir()]
        yield from folders[:1]


def _candidates(module: str) -> Iterator[Path]:
    """In the package that is the plugin, or in the one that its module lies in."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # of a top name: this imports nothing
    except ValueError:
        return
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location, *inner, "migrations")
        if inner:
            yield Path(location, *inner[:-1], "migrations")
